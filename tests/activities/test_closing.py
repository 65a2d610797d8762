"""The payment window is over and Stripe decides (DESIGN 3.3, TRAPS 8 and 12)."""

from datetime import timedelta
from uuid import uuid4

import pytest

from activities.errors import Failure, PaymentMismatch, StripeFailure
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent
from activities.stripe_requests import CancelIntent
from models.states import BookingStatus, PaymentStatus
from sandbox.stripe.server import Running
from tests.activities.desk import CHARGE_NOW, Desk, abandoned, do, now
from tests.activities.money_steps import CLOSE, GIVE_BACK_REFUND, PRICE

pytestmark = pytest.mark.fault("W2")

NEEDS_3DS = "pm_card_authenticationRequired"


class Overtaken(StripeGateway):
    """The client pays after we looked and before our cancellation arrives."""

    desk: Desk

    async def cancel_intent(self, request: CancelIntent, *, key: str) -> Intent:
        intent = await self.retrieve_intent(request.payment_intent)
        if intent.status == "requires_payment_method":
            await self.desk.sdk.v1.payment_intents.confirm_async(
                intent.id, {"payment_method": "pm_card_visa"}
            )
        return await super().cancel_intent(request, key=key)


async def test_a_payment_that_stands_wins_over_the_end_of_the_window(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop())
    state = await desk.activities().payments.close_payment(do(booking_id))
    assert state.payment_status is PaymentStatus.AUTHORIZED
    assert (await desk.picture(booking_id)).intents == ("requires_capture",)


async def test_a_client_in_3d_secure_gets_one_grace_and_then_the_intent_ends(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop(), NEEDS_3DS)
    payments = desk.activities().payments
    first = now()
    granted = await payments.close_payment(do(booking_id, at=first))
    assert granted.payment_status is PaymentStatus.PENDING
    assert granted.expires_at == first + timedelta(minutes=10)
    over = await payments.close_payment(do(booking_id, at=granted.expires_at))
    assert over.payment_status is PaymentStatus.VOIDED
    assert await desk.picture(booking_id) == CLOSE.ends


async def test_a_close_that_runs_again_after_granting_grace_does_not_take_it_back(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop(), NEEDS_3DS)
    step = do(booking_id)
    granted = await desk.activities().payments.close_payment(step)
    assert await desk.activities().payments.close_payment(step) == granted
    assert (await desk.picture(booking_id)).intents == ("requires_action",)


async def test_grace_is_never_longer_than_the_window_itself(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop(policy={"payment_window": "PT20S"}), NEEDS_3DS)
    step = do(booking_id)
    granted = await desk.activities().payments.close_payment(step)
    assert granted.expires_at == step.at + timedelta(seconds=20)


async def test_a_client_who_answers_3d_secure_during_the_grace_keeps_the_booking(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop(), NEEDS_3DS)
    payments = desk.activities().payments
    granted = await payments.close_payment(do(booking_id))
    intent_id = await desk.intent_id(booking_id)
    await desk.control.ask("POST", f"/payment_intents/{intent_id}/authenticate", outcome="success")
    state = await payments.close_payment(do(booking_id, at=granted.expires_at))
    assert state.payment_status is PaymentStatus.AUTHORIZED


async def test_an_intent_that_nobody_paid_ends_without_grace(desk: Desk) -> None:
    booking_id = await CLOSE.prepare(desk)
    state = await desk.activities().payments.close_payment(do(booking_id))
    assert (state.payment_status, state.status) == (PaymentStatus.VOIDED, BookingStatus.PENDING)
    assert await desk.picture(booking_id) == CLOSE.ends


async def test_a_payment_that_succeeds_just_before_our_cancellation_wins(
    desk: Desk, outside: Running
) -> None:
    booking_id = await desk.opened(await desk.shop(policy=CHARGE_NOW))
    racing = Overtaken.connect(outside.secret_key, outside.url)
    racing.desk = desk
    state = await desk.activities(gateway=racing).payments.close_payment(do(booking_id))
    await racing.close()
    assert state.payment_status is PaymentStatus.CAPTURED
    picture = await desk.picture(booking_id)
    assert (picture.intents, picture.captured, picture.refunds) == (("succeeded",), PRICE, ())
    assert picture.books["held"] == -PRICE


async def test_a_payment_that_won_the_race_is_verified_like_any_other(desk: Desk, outside: Running) -> None:
    booking_id = await desk.opened(await desk.shop(policy=CHARGE_NOW))
    await desk.sdk.v1.payment_intents.update_async(await desk.intent_id(booking_id), {"amount": 100})
    racing = Overtaken.connect(outside.secret_key, outside.url)
    racing.desk = desk
    with pytest.raises(PaymentMismatch):
        await desk.activities(gateway=racing).payments.close_payment(do(booking_id))
    await racing.close()
    assert (await desk.picture(booking_id)).payment == "PENDING"


async def test_a_payment_that_succeeds_just_before_we_give_it_back_is_refunded(
    desk: Desk, outside: Running
) -> None:
    booking_id = await desk.opened(await desk.shop(policy=CHARGE_NOW))
    racing = Overtaken.connect(outside.secret_key, outside.url)
    racing.desk = desk
    await desk.activities(gateway=racing).payments.give_back(abandoned(booking_id))
    await racing.close()
    assert await desk.picture(booking_id) == GIVE_BACK_REFUND.ends


@pytest.mark.parametrize("undone", [False, True], ids=["window over", "given back"])
async def test_a_payment_that_the_bank_refused_ends_failed(desk: Desk, *, undone: bool) -> None:
    booking_id = await desk.paid(await desk.shop(policy=CHARGE_NOW), "pm_usBankAccount_processing")
    payments = desk.activities().payments
    processing = await payments.read_payment(do(booking_id))
    assert processing.payment_status is PaymentStatus.PROCESSING
    intent_id = await desk.intent_id(booking_id)
    await desk.control.ask("POST", f"/payment_intents/{intent_id}/settle", outcome="fail")
    for _ in range(2):  # also when its record was lost
        await (
            payments.give_back(abandoned(booking_id)) if undone else payments.close_payment(do(booking_id))
        )
    picture = await desk.picture(booking_id)
    assert (picture.payment, picture.intents) == ("FAILED", ("canceled",))


async def test_a_payment_that_the_bank_brings_is_captured(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop(policy=CHARGE_NOW), "pm_usBankAccount_processing")
    payments = desk.activities().payments
    await payments.read_payment(do(booking_id))
    await desk.control.ask(
        "POST", f"/payment_intents/{await desk.intent_id(booking_id)}/settle", outcome="success"
    )
    for _ in range(2):
        state = await payments.close_payment(do(booking_id))
        assert state.payment_status is PaymentStatus.CAPTURED
    assert (await desk.picture(booking_id)).captured == PRICE


async def test_a_payment_that_is_still_with_the_bank_after_its_grace_parks(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop(policy=CHARGE_NOW), "pm_usBankAccount_processing")
    payments = desk.activities().payments
    granted = await payments.close_payment(do(booking_id))
    with pytest.raises(StripeFailure) as parked:
        await payments.close_payment(do(booking_id, at=granted.expires_at))
    assert parked.value.failure is Failure.UNEXPECTED_STATE
    assert (await desk.picture(booking_id)).intents == ("processing",)


async def test_an_undo_finds_the_intent_whose_making_was_lost(desk: Desk) -> None:
    booking_id = await desk.reserved(await desk.shop())
    await desk.control.fault("reset_after", "/v1/payment_intents")
    with pytest.raises(StripeFailure):
        await desk.activities().payments.open_payment(do(booking_id))
    await desk.activities().payments.give_back(abandoned(booking_id))
    assert await desk.picture(booking_id) == CLOSE.ends


async def test_an_undo_of_a_payment_that_was_never_opened_sends_nothing(desk: Desk) -> None:
    booking_id = await desk.reserved(await desk.shop())
    await desk.activities().payments.give_back(abandoned(booking_id))
    picture = await desk.picture(booking_id)
    assert (picture.payment, picture.customers, picture.intents) == ("VOIDED", 0, ())


async def test_an_undo_of_a_booking_that_never_was_does_nothing(desk: Desk) -> None:
    assert await desk.activities().payments.give_back(abandoned(uuid4())) is None
