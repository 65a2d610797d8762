"""What the two sides decide: approval, other times, and who did not come."""

from datetime import UTC, datetime, timedelta
from typing import Final

from models.states import BookingStatus, PaymentStatus, Role
from tests.replay.scene import (
    FAR_OFF,
    MOMENT,
    SOON,
    STARTED,
    THIRD,
    Path,
    Scene,
    becomes,
    ends,
    paid_out,
    parks,
    payment_becomes,
    starts,
)
from tests.workflows.real import RealSaga
from workflows.parking import Action, Step

NEARLY_OVER: Final = timedelta(seconds=-58)


def ahead(duration: timedelta) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + duration


# --- approval -----------------------------------------------------------------------------------


async def approved(scene: Scene) -> RealSaga:
    saga = await scene.paid(SOON, approval="provider")
    await becomes(saga, BookingStatus.AWAITING_APPROVAL)
    await saga.approve()
    await saga.cancel(Role.PROVIDER)
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_provider")


async def rejected(scene: Scene) -> RealSaga:
    saga = await scene.paid(SOON, approval="provider")
    await becomes(saga, BookingStatus.AWAITING_APPROVAL)
    await saga.reject()
    return await ends(saga, BookingStatus.REJECTED, "rejected_by_provider")


async def approval_timeout(scene: Scene) -> RealSaga:
    saga = await scene.paid(SOON, approval="provider", approval_window="PT1S")
    return await ends(saga, BookingStatus.CANCELLED, "approval_timeout")


async def cancelled_while_asking(scene: Scene) -> RealSaga:
    saga = await scene.paid(SOON, approval="provider")
    await becomes(saga, BookingStatus.AWAITING_APPROVAL)
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


# --- who did not come ---------------------------------------------------------------------------


async def client_no_show(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, client_no_show_keep_bps=5_000)
    await saga.client_missed()
    return await paid_out(await ends(saga, BookingStatus.NO_SHOW, "client_no_show"))


async def provider_no_show_claim(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(NEARLY_OVER, duration_minutes=1, completion_grace="PT1S")
    await saga.provider_missed()
    return await ends(saga, BookingStatus.CANCELLED, "provider_no_show")


async def provider_no_show_by_ops(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.provider_missed(Role.OPS)
    return await ends(saga, BookingStatus.CANCELLED, "provider_no_show")


async def contradiction_released(scene: Scene) -> RealSaga:
    saga = await _contradicted(scene)
    await saga.resolve(Step.REPORTS, Action.RELEASE)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED, "decided_by_ops"))


async def contradiction_refunded(scene: Scene) -> RealSaga:
    saga = await _contradicted(scene)
    await saga.resolve(Step.REPORTS, Action.REFUND)
    return await ends(saga, BookingStatus.CANCELLED, "decided_by_ops")


async def contradiction_refunded_in_part(scene: Scene) -> RealSaga:
    saga = await _contradicted(scene)
    await saga.resolve(Step.REPORTS, Action.REFUND, amount=THIRD)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED, "decided_by_ops"))


async def _contradicted(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.provider_missed()
    await saga.complete(Role.PROVIDER)
    await parks(saga, Step.REPORTS)
    return saga


# --- other times --------------------------------------------------------------------------------


async def rescheduled(scene: Scene) -> RealSaga:
    saga = await scene.confirmed()
    await saga.moves_to(ahead(MOMENT))
    await starts(saga)
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def replanned(scene: Scene) -> RealSaga:
    """Moved beyond the authorization: the card is kept, and there is nothing to keep of it."""
    saga = await scene.confirmed()
    await saga.moves_to(ahead(FAR_OFF))
    await payment_becomes(saga, PaymentStatus.SAVED)
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


PATHS: Final[tuple[Path, ...]] = (
    approved,
    rejected,
    approval_timeout,
    cancelled_while_asking,
    client_no_show,
    provider_no_show_claim,
    provider_no_show_by_ops,
    contradiction_released,
    contradiction_refunded,
    contradiction_refunded_in_part,
    rescheduled,
    replanned,
)
