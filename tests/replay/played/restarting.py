"""Runs that are reset or terminated, and carry on from Postgres."""

from typing import Final

from models.states import BookingStatus
from tests.replay.played.completing import happy
from tests.replay.scene import (
    STARTED,
    Path,
    Scene,
    ends,
    paid_out,
)
from tests.workflows.real import RealSaga


async def reset_after_capture(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, payout_hold="PT1.5S")
    await saga.complete()
    return await paid_out(await ends(await saga.reset(), BookingStatus.COMPLETED))


async def reset_after_transfer(scene: Scene) -> RealSaga:
    saga = await happy(scene)
    return await paid_out(await ends(await saga.reset(), BookingStatus.COMPLETED))


async def terminated_and_started_again(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.terminated()
    booking = await saga.shop.booking(saga.booking_id)
    request = saga.shop.request(booking_id=saga.booking_id).model_copy(
        update={"starts_at": (await saga.shop.session_of(booking.id)).starts_at}
    )
    again = await scene.market.begin(saga.shop, request)
    await again.opened()
    await again.complete()
    return await paid_out(await ends(again, BookingStatus.COMPLETED))


PATHS: Final[tuple[Path, ...]] = (
    reset_after_capture,
    reset_after_transfer,
    terminated_and_started_again,
)
