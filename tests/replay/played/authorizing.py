"""The authorization's clock: captured early, authorized anew, authorized later."""

from datetime import timedelta
from typing import Final

from models.states import BookingStatus, PaymentStatus
from tests.replay.played.deciding import ahead
from tests.replay.scene import (
    FAR_OFF,
    MOMENT,
    REFUSED_LATER,
    STARTED,
    Path,
    Scene,
    ends,
    paid_out,
    payment_becomes,
    starts,
)
from tests.workflows.real import RealSaga, until

BRIEF: Final = "PT4S"


async def capture_early(scene: Scene) -> RealSaga:
    async with scene.short_authorizations(BRIEF):
        saga = await scene.confirmed(STARTED)
    await payment_becomes(saga, PaymentStatus.CAPTURED)
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def reauthorized(scene: Scene) -> RealSaga:
    async with scene.short_authorizations(BRIEF):
        saga = await scene.confirmed(STARTED, authorization_expiry="reauthorize")

    async def replaced() -> bool:
        return (await saga.shop.payment(saga.booking_id)).number > 1

    await until(replaced)
    await saga.quiet()
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def authorize_later(scene: Scene) -> RealSaga:
    saga = await _kept(scene, MOMENT)
    await payment_becomes(saga, PaymentStatus.AUTHORIZED)
    await starts(saga)
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def authorize_later_fixed(scene: Scene) -> RealSaga:
    saga = await _kept(scene, 2 * MOMENT, REFUSED_LATER)
    await _to_be_fixed(saga)
    await saga.pays()
    await saga.stripe_says("evt_fixed")
    await payment_becomes(saga, PaymentStatus.AUTHORIZED)
    await starts(saga)
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def authorize_later_refused(scene: Scene) -> RealSaga:
    saga = await _kept(scene, MOMENT, REFUSED_LATER)
    return await ends(saga, BookingStatus.CANCELLED, "authorization_refused")


async def authorize_later_cancelled(scene: Scene) -> RealSaga:
    """A card that is only kept has nothing to lose."""
    saga = await scene.confirmed(FAR_OFF)
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


async def _kept(scene: Scene, starts_in: timedelta, card: str = "pm_card_visa") -> RealSaga:
    """A card is kept for a session a month ahead, which is then brought forward."""
    saga = await scene.confirmed(FAR_OFF, card)
    await saga.moves_to(ahead(starts_in))
    return saga


async def _to_be_fixed(saga: RealSaga) -> None:
    async def refused() -> bool:
        return (await saga.shop.payment(saga.booking_id)).fix_by is not None

    await until(refused)
    await saga.quiet()


PATHS: Final[tuple[Path, ...]] = (
    capture_early,
    reauthorized,
    authorize_later,
    authorize_later_fixed,
    authorize_later_refused,
    authorize_later_cancelled,
)
