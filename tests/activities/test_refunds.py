"""Refunds after capture: ordered or mirrored, pending or failing, before and after the transfer (TRAPS 27-29)."""

from typing import Any

import pytest

from activities.errors import RETRYABLE, Failure, StepError, StripeFailure
from activities.refunds import RefundActivities
from models.payments import Refund
from models.states import PaymentStatus, PayoutStatus, RefundStatus, Role
from tests.activities.afterwards import (
    audit_of,
    audited,
    books,
    decided,
    disputed,
    earned,
    giving_back,
    in_dashboard,
    mirrored,
    ordered,
    paid_out,
    payout_of,
    rebalanced,
    rows_of,
)
from tests.activities.desk import CHARGE_NOW, PROVIDER, Desk, cancelled_by, completed, do
from tests.activities.money_steps import PRICE
from tests.activities.test_settling import failing_refunds

TENTH = PRICE // 10


async def statuses(desk: Desk, booking_id: Any) -> list[RefundStatus]:
    return [refund.status for refund in await rows_of(desk, Refund, booking_id)]


async def test_a_refund_during_the_hold_shrinks_the_coming_payout(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    changed = await ordered(desk, booking_id, TENTH)
    assert (changed.refusal, changed.booking.payment_status) == (None, PaymentStatus.PARTIALLY_REFUNDED)
    assert (changed.booking.payout_status, changed.booking.payout_amount) == (PayoutStatus.HELD, 8_640)
    assert changed.booking.refundable == PRICE - TENTH
    await audited(desk, booking_id)
    await desk.activities().payouts.pay_out(do(booking_id))
    assert (await desk.picture(booking_id)).transfers == (8_640,)
    assert (await payout_of(desk, booking_id)).platform_fee == 2_160
    await audited(desk, booking_id)


async def test_a_refund_of_everything_during_the_hold_cancels_the_payout(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    changed = await ordered(desk, booking_id)
    assert changed.booking.payout_status is PayoutStatus.CANCELLED
    assert changed.booking.payment_status is PaymentStatus.REFUNDED
    assert not changed.booking.unbalanced
    await audited(desk, booking_id)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.CANCELLED
    assert (await desk.picture(booking_id)).transfers == ()


async def test_one_request_is_one_refund_and_two_of_one_amount_are_two(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    for request_id in ("one", "one", "another", "one"):
        changed = await ordered(desk, booking_id, TENTH, request_id)
        assert changed.refusal is None
    assert (await desk.picture(booking_id)).refunds == (TENTH, TENTH)
    await audited(desk, booking_id)


async def test_who_asked_for_a_refund_is_written_with_it(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await ordered(desk, booking_id, TENTH)
    (refund,) = await rows_of(desk, Refund, booking_id)
    assert (refund.requested_by_role, refund.requested_by_id) == (Role.PROVIDER, PROVIDER.id)
    events = await audit_of(desk, booking_id, "refund")
    assert {(event.actor_role, event.actor_id) for event in events} == {(Role.PROVIDER, PROVIDER.id)}


async def test_more_than_is_left_is_refused_and_nothing_moves(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await ordered(desk, booking_id, TENTH)
    for amount in (PRICE, 0, -1):
        changed = await ordered(desk, booking_id, amount, f"{amount}")
        assert changed.refusal == "validation_failed"
    assert (await desk.picture(booking_id)).refunds == (TENTH,)


async def test_an_amount_that_stripe_cannot_move_is_refused(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=12_350, currency="kwd"))
    assert (await ordered(desk, booking_id, 1_005, "odd")).refusal == "validation_failed"
    assert (await ordered(desk, booking_id, 1_010, "even")).refusal is None


async def test_what_was_never_captured_or_has_gone_back_is_not_refunded(desk: Desk) -> None:
    authorized = await desk.confirmed(await desk.shop())
    assert (await ordered(desk, authorized)).refusal == "invalid_state"
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await ordered(desk, booking_id)
    assert (await ordered(desk, booking_id, None, "again")).refusal == "invalid_state"
    assert (await desk.picture(booking_id)).refunds == (PRICE,)


async def test_a_refund_while_a_dispute_is_open_is_refused_also_when_nobody_told_us(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    dispute = await disputed(desk, booking_id)
    assert (await ordered(desk, booking_id, TENTH)).refusal == "dispute_open"
    await decided(desk, dispute, "won")
    assert (await ordered(desk, booking_id, TENTH)).refusal is None
    await audited(desk, booking_id)


async def test_a_refund_before_the_outcome_leaves_less_to_keep(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=CHARGE_NOW)
    booking_id = await desk.confirmed(shop)
    await ordered(desk, booking_id, TENTH)
    state = await desk.activities().payments.settle(completed(booking_id))
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, 8_640)
    await audited(desk, booking_id)


@pytest.mark.parametrize("amount", [TENTH, PRICE])
async def test_a_refund_made_in_the_dashboard_is_mirrored_once(desk: Desk, amount: int) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    refund_id = await in_dashboard(desk, booking_id, amount)
    for _ in range(3):
        state = await mirrored(desk, booking_id)
    (refund,) = await rows_of(desk, Refund, booking_id)
    assert (refund.refund_id, refund.mirrored, refund.status) == (refund_id, True, RefundStatus.SUCCEEDED)
    assert state.refundable == PRICE - amount
    assert state.payout_status is (PayoutStatus.CANCELLED if amount == PRICE else PayoutStatus.HELD)


async def test_a_refund_of_ours_whose_answer_was_lost_is_recorded_as_ours(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await desk.control.fault("reset_after", "/v1/refunds")
    with pytest.raises(StripeFailure):
        await ordered(desk, booking_id, TENTH)
    await mirrored(desk, booking_id)
    (refund,) = await rows_of(desk, Refund, booking_id)
    assert (refund.mirrored, refund.status) == (False, RefundStatus.SUCCEEDED)
    assert (await ordered(desk, booking_id, TENTH)).refusal is None
    assert (await desk.picture(booking_id)).refunds == (TENTH,)


async def test_a_mirrored_refund_does_not_hide_one_of_ours_that_is_in_doubt(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=CHARGE_NOW)
    booking_id = await desk.confirmed(shop)
    await desk.control.fault("reset_before", "/v1/refunds")
    with pytest.raises(StripeFailure):
        await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    await in_dashboard(desk, booking_id, TENTH)
    await mirrored(desk, booking_id)
    with pytest.raises(StepError):  # what was asked of Stripe is more than is left of it
        await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert (await desk.picture(booking_id)).refunds == (TENTH, PRICE - TENTH)
    await audited(desk, booking_id)


async def test_a_released_authorization_is_no_refund(desk: Desk) -> None:
    await desk.control.ask("POST", "/settings", release_as_refund=True)
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE))
    outcome = completed(booking_id)
    keep = outcome.outcome.model_copy(update={"keep": TENTH})
    await desk.activities().payments.settle(outcome.model_copy(update={"outcome": keep}))
    state = await mirrored(desk, booking_id)
    assert await rows_of(desk, Refund, booking_id) == []
    assert state.refundable == (await books(desk, booking_id)).captured


async def pending(desk: Desk, card: str = "pm_card_pendingRefund") -> Any:
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE), card)
    await desk.activities().payments.settle(completed(booking_id))
    return booking_id


@pytest.mark.parametrize("amount", [TENTH, PRICE])
async def test_a_pending_refund_that_fails_gives_the_share_back_its_size(desk: Desk, amount: int) -> None:
    booking_id = await pending(desk)
    await ordered(desk, booking_id, TENTH, "first")
    changed = await ordered(desk, booking_id, amount - TENTH or TENTH, "second")
    assert await statuses(desk, booking_id) == [RefundStatus.PENDING, RefundStatus.PENDING]
    second = (await rows_of(desk, Refund, booking_id))[1]
    was_cancelled = changed.booking.payout_status is PayoutStatus.CANCELLED
    await desk.control.ask("POST", f"/refunds/{second.refund_id}", status="failed")
    for _ in range(2):
        state = await mirrored(desk, booking_id)
    assert await statuses(desk, booking_id) == [RefundStatus.PENDING, RefundStatus.FAILED]
    assert (state.payment_status, state.refundable) == (PaymentStatus.PARTIALLY_REFUNDED, PRICE - TENTH)
    if was_cancelled:
        assert (state.payout_status, state.unbalanced) == (PayoutStatus.CANCELLED, True)
    else:
        assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, 8_640)


async def test_a_pending_refund_succeeds_without_being_counted_again(desk: Desk) -> None:
    booking_id = await pending(desk)
    await ordered(desk, booking_id, TENTH)
    await desk.control.ask("POST", "/clock", advance_seconds=120)
    state = await mirrored(desk, booking_id)
    assert await statuses(desk, booking_id) == [RefundStatus.SUCCEEDED]
    assert state.refundable == PRICE - TENTH


async def test_a_refund_that_fails_late_puts_the_payment_back_and_the_share(desk: Desk) -> None:
    booking_id = await pending(desk, "pm_card_refundFail")
    await ordered(desk, booking_id, TENTH)
    assert await statuses(desk, booking_id) == [RefundStatus.SUCCEEDED]
    await desk.control.ask("POST", "/clock", advance_seconds=120)
    state = await mirrored(desk, booking_id)
    assert await statuses(desk, booking_id) == [RefundStatus.FAILED]
    assert (state.payment_status, state.payout_amount) == (PaymentStatus.CAPTURED, 9_600)


async def test_a_refund_that_stripe_could_not_send_parks_and_another_try_makes_another(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    activities = RefundActivities(
        desk.database, desk.gateway, failing_refunds(desk), desk.activities().payments._operations
    )
    with pytest.raises(StepError) as failed:
        await activities.refund(giving_back(booking_id, TENTH))
    assert (failed.value.failure, failed.value.failure in RETRYABLE) == (Failure.REFUND_FAILED, False)
    await audited(desk, booking_id)
    assert (await payout_of(desk, booking_id)).amount == 9_600
    assert (await ordered(desk, booking_id, TENTH)).refusal is None
    assert await statuses(desk, booking_id) == [RefundStatus.FAILED, RefundStatus.SUCCEEDED]
    await audited(desk, booking_id)


async def test_a_refund_that_fails_after_everything_ended_waits_for_ops(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE, policy=CHARGE_NOW), "pm_card_refundFail")
    state = await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert (state.payout_status, state.unbalanced) == (None, False)
    await desk.control.ask("POST", "/clock", advance_seconds=120)
    state = await mirrored(desk, booking_id)
    assert (state.payment_status, state.unbalanced) == (PaymentStatus.CAPTURED, True)
    with pytest.raises(StepError) as asked:
        await desk.activities().payouts.rebalance(do(booking_id))
    assert asked.value.failure is Failure.UNEXPECTED_STATE
    again = await ordered(desk, booking_id, None, "again")
    assert (again.refusal, again.booking.unbalanced) == (None, False)
    await audited(desk, booking_id)


async def test_a_refund_after_the_transfer_is_taken_back_from_it(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    changed = await ordered(desk, booking_id, TENTH)
    assert (changed.booking.payout_status, changed.booking.unbalanced) == (PayoutStatus.PAID, True)
    await audited(desk, booking_id, at_work=True)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PARTIALLY_REVERSED, False)
    assert (await desk.picture(booking_id)).reversals == (960,)
    await ordered(desk, booking_id, None, "rest")
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    assert (await desk.picture(booking_id)).reversals == (960, 8_640)


@pytest.mark.fault("N1")
async def test_without_the_look_at_the_dashboard_a_payout_pays_what_is_gone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def blind(*_: Any, **__: Any) -> None:
        """Nobody looks."""

    monkeypatch.setattr("activities.mirroring.Mirror.bring", blind)
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await in_dashboard(desk, booking_id, PRICE)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.PAID
    monkeypatch.undo()
    assert (await mirrored(desk, booking_id)).unbalanced
