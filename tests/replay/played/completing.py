"""Bookings that take place, told in different ways."""

from datetime import timedelta
from typing import Final

import stripe

from models.states import BookingStatus, ReportedOutcome, Role
from tests.replay.scene import (
    STARTED,
    Path,
    Scene,
    becomes,
    ends,
    paid_out,
)
from tests.workflows.real import RealSaga


async def happy(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def charge_now(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, capture="on_payment")
    await saga.complete(Role.PROVIDER)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def auto_completed(scene: Scene) -> RealSaga:
    """A minute's session that is nearly over, and a second's grace."""
    saga = await scene.confirmed(timedelta(seconds=-58), duration_minutes=1, completion_grace="PT1S")
    return await paid_out(await ends(saga, BookingStatus.COMPLETED, "auto_completed"))


async def confirmation_asked_for(scene: Scene) -> RealSaga:
    saga = await scene.begin(STARTED)
    assert (await saga.confirm()).status is BookingStatus.PENDING
    await saga.pays()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def declined_then_paid(scene: Scene) -> RealSaga:
    saga = await scene.begin(STARTED)
    try:
        await saga.pays("pm_card_chargeDeclined")
    except stripe.CardError:
        await saga.stripe_says("evt_payment_failed")
        await saga.quiet()
    await saga.pays()
    await saga.stripe_says("evt_amount_capturable")
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def early_signal(scene: Scene) -> RealSaga:
    """Stripe is faster than our own first step."""
    shop = await scene.shop()
    saga = await scene.market.start(shop, STARTED)
    await saga.stripe_says("evt_early")
    await saga.opened()
    await saga.pays()
    await saga.stripe_says()
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def wish_left_behind(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.leaves_a_wish(ReportedOutcome.COMPLETED)
    return await ends(saga, BookingStatus.COMPLETED)


PATHS: Final[tuple[Path, ...]] = (
    happy,
    charge_now,
    auto_completed,
    confirmation_asked_for,
    declined_then_paid,
    early_signal,
    wish_left_behind,
)
