"""What an outcome keeps, beyond what the crash matrix shows: refusals, late news, odd amounts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from activities.errors import RETRYABLE, Failure, PaymentMismatch, StepError, StripeFailure
from activities.stripe_movements import RefundObject
from activities.stripe_requests import CreateRefund
from activities.stripe_writes import StripeWrites
from models.payments import Refund
from models.states import (
    BookingStatus,
    PaymentStatus,
    RefundStatus,
    ReportedOutcome,
    SessionStatus,
    StatusReason,
)
from tests.activities.desk import (
    CHARGE_NOW,
    CLIENT,
    OPS,
    PROVIDER,
    Desk,
    abandoned,
    cancelled_by,
    completed,
    do,
    settling,
)
from tests.activities.money_steps import CAPTURE, GIVE_BACK_REFUND, HALF, PRICE, REFUND, VOID


def failing_refunds(desk: Desk) -> StripeWrites:
    """Stripe takes the refund on and answers that it failed."""
    writes = StripeWrites(desk.gateway)
    send = writes.refund.send

    async def refused(request: CreateRefund, key: str) -> RefundObject:
        made = await send(request, key)
        await desk.control.ask("POST", f"/refunds/{made.id}", status="failed")
        failed = await desk.sdk.v1.refunds.retrieve_async(made.id)
        return RefundObject.read(failed.to_dict())

    writes.refund = replace(writes.refund, send=refused)
    return writes


@pytest.mark.parametrize("step", [REFUND, GIVE_BACK_REFUND], ids=lambda step: step.name)
async def test_a_refund_that_failed_is_no_end_and_another_one_is_made(desk: Desk, step: Any) -> None:
    booking_id = await step.prepare(desk)
    payments, _ = desk.with_parts(writes=failing_refunds(desk))
    with pytest.raises(StepError) as failed:
        await step.act(replace(desk.activities(), payments=payments), booking_id)
    assert failed.value.failure is Failure.REFUND_FAILED
    assert failed.value.failure not in RETRYABLE
    picture = await desk.picture(booking_id)
    assert (picture.booking, picture.payout, picture.payment) in {
        ("CONFIRMED", None, "CAPTURED"),
        ("PENDING", None, "CAPTURED"),
    }
    await step.act(desk.activities(), booking_id)
    amount = step.ends.refunds[0]
    assert await desk.picture(booking_id) == replace(step.ends, refunds=(amount, amount))
    found = select(Refund).where(Refund.booking_id == booking_id).order_by(Refund.number)
    rows = await desk.database.run(lambda session: session.scalars(found))
    assert [row.status for row in rows] == [RefundStatus.FAILED, RefundStatus.SUCCEEDED]


@pytest.mark.parametrize("action", ["reset_after", "reset_before"])
async def test_ops_who_abort_a_half_done_forfeit_give_everything_back(desk: Desk, action: str) -> None:
    booking_id = await REFUND.prepare(desk)
    await desk.control.fault(action, REFUND.path)
    with pytest.raises(StripeFailure):
        await REFUND.act(desk.activities(), booking_id)
    for _ in range(2):
        await desk.activities().payments.give_back(abandoned(booking_id))
        await desk.activities().bookings.release(abandoned(booking_id))
    given_back = replace(GIVE_BACK_REFUND.ends, booking="CANCELLED", refunds=(HALF, HALF))
    journals = {**GIVE_BACK_REFUND.ends.journals, "refund": 2}
    assert await desk.picture(booking_id) == replace(given_back, journals=journals)


@pytest.mark.parametrize("before", [Desk.opened, Desk.paid, Desk.confirmed], ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("policy", [{}, CHARGE_NOW], ids=["authorized", "charged"])
async def test_a_seat_is_not_let_go_while_the_clients_money_has_not_gone_back(
    desk: Desk, before: Any, policy: Any
) -> None:
    booking_id = await before(desk, await desk.shop(policy=policy))
    with pytest.raises(StepError) as refused:
        await desk.activities().bookings.release(abandoned(booking_id))
    assert refused.value.failure is Failure.MONEY_NOT_SETTLED
    await desk.activities().payments.give_back(abandoned(booking_id))
    released = await desk.activities().bookings.release(abandoned(booking_id))
    assert released is not None
    assert (released.status, released.session_status) == (BookingStatus.CANCELLED, SessionStatus.CANCELLED)


@pytest.mark.parametrize(("amount", "share"), [(100, 9_520), (PRICE, None)])
async def test_a_refund_that_our_books_do_not_know_is_read_before_a_settlement(
    desk: Desk, amount: int, share: int | None
) -> None:
    booking_id = await desk.confirmed(await desk.shop(policy=CHARGE_NOW))
    intent = await desk.intent_id(booking_id)
    await desk.sdk.v1.refunds.create_async({"payment_intent": intent, "amount": amount})
    state = await desk.activities().payments.settle(completed(booking_id))
    assert (state.status, state.payout_amount) == (BookingStatus.COMPLETED, share)
    assert (await desk.picture(booking_id)).refunds == (amount,)


async def test_a_decision_that_stands_is_not_computed_again(desk: Desk) -> None:
    booking_id = await CAPTURE.prepare(desk)
    await desk.control.fault("fail_before", CAPTURE.path)
    with pytest.raises(StripeFailure):
        await desk.activities().payments.settle(completed(booking_id))
    await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert await desk.picture(booking_id) == CAPTURE.ends


async def test_the_hold_begins_with_the_outcome_and_not_with_the_settlement(desk: Desk) -> None:
    booking_id = await CAPTURE.prepare(desk)
    step = completed(booking_id)
    reported = step.outcome.at - timedelta(hours=5)
    outcome = step.outcome.model_copy(update={"at": reported})
    state = await desk.activities().payments.settle(step.model_copy(update={"outcome": outcome}))
    assert state.payout_due_at == reported + timedelta(hours=72)


@pytest.mark.fault("S5")
@pytest.mark.parametrize("known", [False, True], ids=["found out while settling", "known before"])
async def test_an_authorization_that_the_network_let_go_is_never_completed(
    desk: Desk, *, known: bool
) -> None:
    booking_id = await CAPTURE.prepare(desk)
    await desk.control.ask("POST", "/clock", advance_seconds=8 * 86_400)
    if known:
        read = await desk.activities().payments.read_payment(do(booking_id))
        assert read.payment_status is PaymentStatus.EXPIRED
    for _ in range(2):
        state = await desk.activities().payments.settle(completed(booking_id))
        assert (state.status, state.payment_status) == (BookingStatus.CONFIRMED, PaymentStatus.EXPIRED)
    picture = await desk.picture(booking_id)
    assert (picture.booking, picture.payout, picture.captured) == ("CONFIRMED", None, 0)
    expired = abandoned(booking_id).model_copy(update={"reason": StatusReason.AUTHORIZATION_EXPIRED})
    await desk.activities().payments.give_back(expired)
    released = await desk.activities().bookings.release(expired)
    assert released is not None
    assert (released.status, released.status_reason) == (BookingStatus.CANCELLED, "authorization_expired")


@pytest.mark.fault("S5")
async def test_a_provider_who_cancels_an_expired_authorization_owes_nothing(desk: Desk) -> None:
    booking_id = await VOID.prepare(desk)
    await desk.control.ask("POST", "/clock", advance_seconds=8 * 86_400)
    await desk.activities().payments.read_payment(do(booking_id))
    await VOID.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == replace(VOID.ends, payment="EXPIRED")


@pytest.mark.fault("S5")
async def test_a_capture_that_somebody_made_in_the_dashboard_is_taken_for_ours(desk: Desk) -> None:
    booking_id = await CAPTURE.prepare(desk)
    await desk.sdk.v1.payment_intents.capture_async(await desk.intent_id(booking_id))
    await CAPTURE.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == CAPTURE.ends


@pytest.mark.fault("S5")
async def test_a_capture_of_another_amount_is_a_mismatch_for_a_person(desk: Desk) -> None:
    booking_id = await CAPTURE.prepare(desk)
    await desk.sdk.v1.payment_intents.capture_async(
        await desk.intent_id(booking_id), {"amount_to_capture": 100}
    )
    with pytest.raises(PaymentMismatch):
        await CAPTURE.act(desk.activities(), booking_id)
    assert (await desk.picture(booking_id)).booking == "CONFIRMED"


async def test_a_part_that_somebody_captured_is_a_mismatch_whoever_looks_first(desk: Desk) -> None:
    booking_id = await CAPTURE.prepare(desk)
    intent = await desk.intent_id(booking_id)
    await desk.sdk.v1.payment_intents.capture_async(intent, {"amount_to_capture": 100})
    with pytest.raises(PaymentMismatch, match="captured amount is 100, not"):
        await desk.activities().payments.read_payment(do(booking_id))
    with pytest.raises(PaymentMismatch):
        await CAPTURE.act(desk.activities(), booking_id)
    assert (await desk.picture(booking_id)).payment == "AUTHORIZED"
    await desk.activities().payments.give_back(abandoned(booking_id))
    given_back = await desk.picture(booking_id)
    assert (given_back.payment, len(given_back.refunds)) == ("REFUNDED", 1)


async def test_a_client_who_cancels_in_time_pays_nothing(desk: Desk) -> None:
    shop = await desk.shop(policy={"cancellation_tiers": [{"hours_before": 1, "refund_bps": 10_000}]})
    booking_id = await desk.confirmed(shop)  # the session is two hours away
    await desk.activities().payments.settle(cancelled_by(CLIENT, booking_id))
    assert await desk.picture(booking_id) == VOID.ends


async def test_a_refund_that_is_still_pending_counts_as_given_back(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop(policy=CHARGE_NOW), "pm_card_pendingRefund")
    for _ in range(2):
        await desk.activities().payments.give_back(abandoned(booking_id))
    assert await desk.picture(booking_id) == GIVE_BACK_REFUND.ends
    found = select(Refund.status).where(Refund.booking_id == booking_id)
    assert await desk.database.run(lambda session: session.scalar(found)) is RefundStatus.PENDING


async def test_what_ops_keep_is_rounded_to_what_stripe_can_move(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=12_350, currency="kwd"))
    step = settling(booking_id, ReportedOutcome.COMPLETED, OPS, keep=6_667)
    await desk.activities().payments.settle(step)
    picture = await desk.picture(booking_id)
    assert (picture.booking, picture.captured, picture.books["held"]) == ("COMPLETED", 6_660, -6_660)


@pytest.mark.parametrize(
    ("currency", "amount", "kept", "share"),
    [("jpy", 4_001, 2_001, 1_601), ("kwd", 12_350, 6_180, 4_950)],
)
async def test_currencies_without_cents_and_with_mils_divide_without_a_remainder(
    desk: Desk, currency: str, amount: int, kept: int, share: int
) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=amount, currency=currency))
    state = await desk.activities().payments.settle(cancelled_by(CLIENT, booking_id))
    assert (state.status, state.payout_amount) == (BookingStatus.FORFEIT, share)
    picture = await desk.picture(booking_id)
    assert (picture.captured, picture.books["held"]) == (kept, -kept)
    await desk.activities().payouts.pay_out(do(booking_id))
    assert (await desk.picture(booking_id)).transfers == (share,)
