"""An authorization that ends before the outcome is captured early or made anew; never twice for long."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.bookkeeping import record_intent
from activities.errors import StepError, StripeFailure
from activities.settlements import HAS_IT
from models.payments import Payment
from models.states import PaymentStatus
from models.transitions import Change
from tests.activities.afterwards import audited
from tests.activities.desk import CLIENT, PROVIDER, Desk, abandoned, cancelled_by, completed, do, now
from tests.activities.money_steps import (
    CAPTURE,
    CAPTURE_EARLY,
    PRICE,
    RENEW,
    RENEW_REFUSED,
    REPLAN,
    VOID,
)
from workflows.followups import SettleStray, Stray
from workflows.orders import Moving, Reschedule

EIGHT_DAYS = 8 * 86_400


async def payments_of(desk: Desk, booking_id: UUID) -> list[Payment]:
    found = select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number)

    async def work(session: AsyncSession) -> list[Payment]:
        return list(await session.scalars(found))

    return await desk.database.run(work)


async def renew(desk: Desk, booking_id: UUID) -> Any:
    return await desk.activities().authorizations.renew_authorization(do(booking_id))


async def test_an_authorization_has_a_day_by_which_it_is_renewed(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop())
    (payment,) = await payments_of(desk, booking_id)
    assert payment.capture_before is not None
    assert payment.renew_at == payment.capture_before - timedelta(hours=12)
    assert payment.payment_method_id is not None
    state = await renew(desk, booking_id)
    assert state.renew_at == payment.renew_at  # and not before
    assert (await desk.picture(booking_id)).intents == ("requires_capture",)


async def test_a_renewal_is_a_payment_of_its_own_with_a_new_day(desk: Desk) -> None:
    booking_id = await RENEW.prepare(desk)
    before = await desk.payment(booking_id)
    state = await renew(desk, booking_id)
    old, new = await payments_of(desk, booking_id)
    assert (old.status, new.status) == (PaymentStatus.VOIDED, PaymentStatus.AUTHORIZED)
    assert (old.number, new.number, new.amount) == (1, 2, PRICE)
    assert new.payment_method_id == before.payment_method_id
    assert before.renew_at is not None
    assert state.renew_at is not None
    assert state.renew_at > before.renew_at


async def test_a_renewed_authorization_is_captured_once_and_pays_the_provider(desk: Desk) -> None:
    booking_id = await RENEW.prepare(desk)
    await renew(desk, booking_id)
    await desk.activities().payments.settle(completed(booking_id))
    expected = replace(CAPTURE.ends, intents=("canceled", "succeeded"))
    assert await desk.picture(booking_id) == expected


async def test_an_authorization_can_be_renewed_more_than_once(desk: Desk) -> None:
    booking_id = await RENEW.prepare(desk)
    for _ in range(3):
        await desk.comes_due(booking_id, renew_at=now())
        await renew(desk, booking_id)
    picture = await desk.picture(booking_id)
    assert picture.intents == ("canceled", "canceled", "canceled", "requires_capture")


@pytest.mark.parametrize("path", ["/v1/payment_intents", "/v1/payment_intents/*/confirm"])
@pytest.mark.parametrize("action", ["reset_before", "reset_after"])
@pytest.mark.parametrize("end", ["settle", "give back"])
async def test_a_renewal_that_was_cut_short_leaves_nothing_authorized_behind(
    desk: Desk, path: str, action: str, end: str
) -> None:
    booking_id = await RENEW.prepare(desk)
    await desk.control.fault(action, path, match={"method": "POST"})
    with pytest.raises(StripeFailure):
        await renew(desk, booking_id)
    for _ in range(2):
        if end == "settle":
            await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
        else:
            await desk.activities().payments.give_back(abandoned(booking_id))
            await desk.activities().bookings.release(abandoned(booking_id))
        await renew(desk, booking_id)  # a zombie wakes up
    picture = await desk.picture(booking_id)
    assert (picture.booking, picture.payment, picture.captured) == ("CANCELLED", "VOIDED", 0)
    assert set(picture.intents) == {"canceled"}


async def test_a_booking_that_is_settled_while_both_authorizations_stand_lets_the_old_one_go(
    desk: Desk,
) -> None:
    booking_id = await RENEW.prepare(desk)
    await desk.control.fault("fail_before", "/v1/payment_intents/*/cancel")
    with pytest.raises(StripeFailure):
        await renew(desk, booking_id)
    assert (await desk.picture(booking_id)).intents == ("requires_capture", "requires_capture")
    await desk.activities().payments.settle(completed(booking_id))
    picture = await desk.picture(booking_id)
    assert (picture.intents, picture.captured) == (("canceled", "succeeded"), PRICE)
    assert {one.status for one in await payments_of(desk, booking_id)} == {
        PaymentStatus.VOIDED,
        PaymentStatus.CAPTURED,
    }


async def test_a_card_that_wants_its_owner_is_captured_early_instead(desk: Desk) -> None:
    booking_id = await RENEW_REFUSED.prepare(desk)
    await renew(desk, booking_id)
    (payment,) = await payments_of(desk, booking_id)
    assert (payment.status, payment.amount_captured) == (PaymentStatus.CAPTURED, PRICE)


@pytest.mark.fault("S5")
async def test_an_authorization_that_is_gone_before_it_is_captured_early_ends_expired(desk: Desk) -> None:
    booking_id = await CAPTURE_EARLY.prepare(desk)
    await desk.control.ask("POST", "/clock", advance_seconds=EIGHT_DAYS)
    for _ in range(2):
        state = await renew(desk, booking_id)
        assert state.payment_status is PaymentStatus.EXPIRED
    assert (await desk.picture(booking_id)).captured == 0


async def test_a_card_renews_what_the_network_has_let_go_meanwhile(desk: Desk) -> None:
    booking_id = await RENEW.prepare(desk)
    await desk.control.ask("POST", "/clock", advance_seconds=EIGHT_DAYS)
    await renew(desk, booking_id)
    old, new = await payments_of(desk, booking_id)
    assert (old.status, new.status) == (PaymentStatus.EXPIRED, PaymentStatus.AUTHORIZED)


async def test_a_capture_of_the_whole_that_was_lost_does_not_outdo_a_cancellation(desk: Desk) -> None:
    booking_id = await CAPTURE_EARLY.prepare(desk)
    await desk.control.fault("reset_after", CAPTURE_EARLY.path)
    with pytest.raises(StripeFailure):
        await renew(desk, booking_id)
    half = cancelled_by(CLIENT, booking_id)
    await desk.activities().payments.settle(half)
    picture = await desk.picture(booking_id)
    assert (picture.booking, picture.captured, picture.refunds) == ("FORFEIT", PRICE, (PRICE // 2,))


@pytest.mark.parametrize("end", ["settle", "give back", "renew"])
@pytest.mark.parametrize("lost", [False, True], ids=["at once", "its answer lost"])
async def test_a_replaced_authorization_that_was_captured_by_hand_goes_back_whole(
    desk: Desk, end: str, *, lost: bool
) -> None:
    booking_id = await RENEW.prepare(desk)
    await desk.control.fault("fail_before", "/v1/payment_intents/*/cancel")
    with pytest.raises(StripeFailure):
        await renew(desk, booking_id)
    old, _ = await payments_of(desk, booking_id)
    await desk.sdk.v1.payment_intents.capture_async(old.payment_intent_id or "")
    if lost:
        await desk.control.fault("reset_after", "/v1/refunds")
        with pytest.raises(StripeFailure):
            await finish(desk, booking_id, end)
    for _ in range(2):
        await finish(desk, booking_id, end)
    picture = await desk.picture(booking_id)
    assert picture.refunds == (PRICE,)
    standing = {
        "settle": ("COMPLETED", 2 * PRICE),
        "give back": ("CANCELLED", PRICE),
        "renew": ("CONFIRMED", PRICE),
    }
    assert (picture.booking, picture.captured) == standing[end]
    await audited(desk, booking_id)


async def finish(desk: Desk, booking_id: UUID, end: str) -> None:
    if end == "settle":
        await desk.activities().payments.settle(completed(booking_id))
    elif end == "give back":
        await desk.activities().payments.give_back(abandoned(booking_id))
        await desk.activities().bookings.release(abandoned(booking_id))
    else:
        await renew(desk, booking_id)


async def lost_renewal(desk: Desk) -> tuple[UUID, str]:
    """The new authorization stands at Stripe, and nobody has heard of it; answers its intent, too."""
    booking_id = await RENEW.prepare(desk)
    await desk.control.fault("reset_after", RENEW.path, match={"method": "POST"})
    with pytest.raises(StripeFailure):
        await renew(desk, booking_id)
    (made,) = await desk.operations(booking_id, "intent")
    assert made.object_id is not None
    return booking_id, made.object_id


async def test_a_settlement_leaves_the_renewal_of_a_booking_that_takes_place_alone(desk: Desk) -> None:
    booking_id, intent = await lost_renewal(desk)
    settlements = desk.activities().settlements
    with pytest.raises(StepError, match="just being made"):
        await settlements.judge_stray(Stray(payment_intent_id=intent))
    with pytest.raises(StepError, match="just being made"):
        await settlements.give_back_stray(SettleStray(payment_intent_id=intent, at=now()))
    state = await renew(desk, booking_id)
    assert state.payment_status is PaymentStatus.AUTHORIZED
    assert (await desk.picture(booking_id)).intents == ("canceled", "requires_capture")
    assert (await settlements.judge_stray(Stray(payment_intent_id=intent))).why == HAS_IT


async def test_a_stored_answer_does_not_bring_back_a_renewal_that_was_cancelled_since(desk: Desk) -> None:
    booking_id, intent = await lost_renewal(desk)
    await desk.sdk.v1.payment_intents.cancel_async(intent)
    state = await renew(desk, booking_id)
    assert state.payment_status is PaymentStatus.CAPTURED
    assert await desk.picture(booking_id) == RENEW_REFUSED.ends


async def test_a_renewal_that_was_cancelled_before_it_was_confirmed_is_captured_early(desk: Desk) -> None:
    booking_id = await RENEW.prepare(desk)
    await desk.control.fault("reset_before", RENEW.path, match={"method": "POST"})
    with pytest.raises(StripeFailure):
        await renew(desk, booking_id)
    (made,) = await desk.operations(booking_id, "intent")
    await desk.sdk.v1.payment_intents.cancel_async(made.object_id or "")
    for _ in range(2):
        await renew(desk, booking_id)
    assert await desk.picture(booking_id) == RENEW_REFUSED.ends


# --- moved beyond the authorization ---------------------------------------------------------------


async def test_a_replanned_payment_keeps_its_card_for_the_new_day(desk: Desk) -> None:
    booking_id = await REPLAN.prepare(desk)
    before = await desk.payment(booking_id)
    state = await desk.activities().authorizations.replan_payment(do(booking_id))
    payment = await desk.payment(booking_id)
    assert (payment.cycle, payment.payment_intent_id, payment.charge_id) == (2, None, None)
    assert (payment.capture_before, payment.renew_at, payment.replan) == (None, None, False)
    assert payment.payment_method_id == before.payment_method_id
    assert state.authorize_at == state.starts_at - timedelta(hours=48)
    assert await desk.activities().authorizations.replan_payment(do(booking_id)) == state


async def test_a_replanned_payment_is_authorized_and_captured_in_its_second_round(desk: Desk) -> None:
    booking_id = await REPLAN.prepare(desk)
    await desk.activities().authorizations.replan_payment(do(booking_id))
    await desk.activities().payments.open_payment(do(booking_id))  # a run that starts over opens nothing
    await desk.comes_due(booking_id, authorize_at=now())
    for _ in range(2):
        state = await desk.activities().authorizations.authorize(do(booking_id))
        assert state.payment_status is PaymentStatus.AUTHORIZED
    assert (await desk.picture(booking_id)).intents == ("canceled", "requires_capture")
    await desk.activities().payments.settle(completed(booking_id))
    assert await desk.picture(booking_id) == replace(CAPTURE.ends, intents=("canceled", "succeeded"))


async def test_what_the_network_let_go_before_it_was_replanned_is_replanned_all_the_same(
    desk: Desk,
) -> None:
    booking_id = await REPLAN.prepare(desk)
    await desk.control.ask("POST", "/clock", advance_seconds=EIGHT_DAYS)
    heard = await desk.activities().payments.read_payment(do(booking_id))
    assert heard.payment_status is PaymentStatus.AUTHORIZED
    state = await desk.activities().authorizations.replan_payment(do(booking_id))
    assert state.payment_status is PaymentStatus.SAVED
    assert await desk.picture(booking_id) == REPLAN.ends


async def test_a_payment_that_was_captured_before_it_could_be_replanned_stays_captured(desk: Desk) -> None:
    booking_id = await REPLAN.prepare(desk)
    await desk.sdk.v1.payment_intents.capture_async(await desk.intent_id(booking_id))
    state = await desk.activities().authorizations.replan_payment(do(booking_id))
    assert (state.payment_status, state.replan, state.refundable) == (PaymentStatus.CAPTURED, False, PRICE)


async def test_a_replanning_whose_answer_was_lost_does_not_hinder_a_cancellation(desk: Desk) -> None:
    booking_id = await REPLAN.prepare(desk)
    await desk.control.fault("reset_after", REPLAN.path)
    with pytest.raises(StripeFailure):
        await desk.activities().authorizations.replan_payment(do(booking_id))
    await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert await desk.picture(booking_id) == VOID.ends


async def test_news_of_an_earlier_round_change_nothing(desk: Desk) -> None:
    booking_id = await REPLAN.prepare(desk)
    intent = await desk.gateway.retrieve_intent(await desk.intent_id(booking_id))
    before = await desk.payment(booking_id)
    await desk.activities().authorizations.replan_payment(do(booking_id))

    async def late(session: AsyncSession) -> None:
        await record_intent(session, before.id, intent, Change(booking_id, now()))

    await desk.database.run(late)
    assert (await desk.payment(booking_id)).status is PaymentStatus.SAVED


async def test_a_booking_that_moves_back_before_it_was_replanned_keeps_its_authorization(
    desk: Desk,
) -> None:
    booking_id = await REPLAN.prepare(desk)
    back = Reschedule(actor=PROVIDER, starts_at=now() + timedelta(hours=3))
    moved = await desk.activities().bookings.reschedule(Moving(booking_id=booking_id, at=now(), order=back))
    assert not moved.booking.replan
    state = await desk.activities().authorizations.replan_payment(do(booking_id))
    assert state.payment_status is PaymentStatus.AUTHORIZED
    assert (await desk.picture(booking_id)).intents == ("requires_capture",)
