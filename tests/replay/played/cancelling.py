"""Bookings that are called off, by whomever."""

from typing import Final

from models.states import BookingStatus, Role
from tests.replay.scene import (
    SOON,
    STARTED,
    Path,
    Scene,
    ends,
    paid_out,
)
from tests.workflows.real import RealSaga
from workflows.contracts import Refusal
from workflows.search_attributes import ATTENTION_STEP


async def cancelled_before_payment(scene: Scene) -> RealSaga:
    saga = await scene.begin()
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


async def cancelled_after_payment(scene: Scene) -> RealSaga:
    saga = await scene.confirmed()
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


async def cancelled_after_charge(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(capture="on_payment")
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


async def cancelled_by_provider(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(SOON)
    await saga.cancel(Role.PROVIDER)
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_provider")


async def forfeit(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(SOON)
    await saga.cancel()
    return await paid_out(await ends(saga, BookingStatus.FORFEIT, "cancelled_by_client"))


async def temporal_cancel(scene: Scene) -> RealSaga:
    saga = await scene.confirmed()
    await saga.handle.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_ops")


async def temporal_cancel_before_payment(scene: Scene) -> RealSaga:
    saga = await scene.begin()
    await saga.handle.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_ops")


async def temporal_cancel_after_outcome(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, payout_hold="PT1S")
    await saga.complete()
    await saga.handle.cancel()
    await saga.shows(ATTENTION_STEP, value="cancellation")
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def refused(scene: Scene) -> RealSaga:
    """Somebody else has the seat."""
    first = await scene.begin()
    taken = (await first.shop.session_of(first.booking_id)).starts_at
    request = (await scene.market.request(first.shop)).model_copy(update={"starts_at": taken})
    saga, opened = await scene.market.open_at_once(first.shop, request)
    assert opened.refusal is Refusal.SLOT_TAKEN
    await saga.ends()
    await first.cancel()
    await first.ends()
    return saga


PATHS: Final[tuple[Path, ...]] = (
    cancelled_before_payment,
    cancelled_after_payment,
    cancelled_after_charge,
    cancelled_by_provider,
    forfeit,
    temporal_cancel,
    temporal_cancel_before_payment,
    temporal_cancel_after_outcome,
    refused,
)
