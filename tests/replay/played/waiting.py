"""The payment window: what happens in it, at its end, and to an authorization after it."""

from typing import Any, Final

import stripe

from models.states import BookingStatus
from tests.replay.scene import (
    INTENTS,
    LATER,
    STARTED,
    Path,
    Scene,
    becomes,
    ends,
)
from tests.workflows.real import RealSaga, until

UNPAID: Final[dict[str, Any]] = {"payment_window": "PT1.5S"}


async def payment_timeout(scene: Scene) -> RealSaga:
    return await ends(await scene.begin(**UNPAID), BookingStatus.CANCELLED, "payment_timeout")


async def payment_found_at_timeout(scene: Scene) -> RealSaga:
    """Every webhook was lost."""
    saga = await scene.begin(STARTED, **UNPAID)
    await saga.pays()
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def three_d_secure_in_the_extension(scene: Scene) -> RealSaga:
    saga = await scene.begin(STARTED, **UNPAID)
    await saga.pays("pm_card_authenticationRequired")

    async def extended() -> bool:
        return (await saga.shop.booking(saga.booking_id)).grace_used

    await until(extended)
    path = f"/payment_intents/{await saga.intent_id()}/authenticate"
    await scene.control.ask("POST", path, outcome="success")
    await saga.stripe_says()
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def strict_refusal(scene: Scene) -> RealSaga:
    saga = await scene.begin(strict_payment_failure=True)
    try:
        await saga.pays("pm_card_chargeDeclined")
    except stripe.CardError:
        await saga.stripe_says()
    return await ends(saga, BookingStatus.CANCELLED, "payment_failed")


async def payment_unavailable(scene: Scene) -> RealSaga:
    """Stripe will not open the payment: the seat is let go with the window."""
    await scene.control.refuses(INTENTS, times=-1)
    saga = await scene.market.start(await scene.shop(**UNPAID), LATER)
    return await ends(saga, BookingStatus.CANCELLED, "payment_unavailable")


async def authorization_expired(scene: Scene) -> RealSaga:
    saga = await scene.confirmed()
    await saga.sdk.v1.payment_intents.cancel_async(await saga.intent_id())
    await saga.stripe_says("evt_canceled")
    return await ends(saga, BookingStatus.CANCELLED, "authorization_expired")


PATHS: Final[tuple[Path, ...]] = (
    payment_timeout,
    payment_found_at_timeout,
    three_d_secure_in_the_extension,
    strict_refusal,
    payment_unavailable,
    authorization_expired,
)
