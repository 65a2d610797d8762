"""Disputes: during the hold they freeze it, afterwards they take the money back or make a debt (TRAPS 30, 31)."""

from datetime import timedelta
from uuid import UUID

import pytest

from activities.errors import Failure, StepError
from models.ledger import JournalKind
from models.payments import Dispute
from models.states import BookingStatus, DisputeStatus, PaymentStatus, PayoutStatus
from tests.activities.afterwards import (
    audited,
    books,
    debt_of,
    decided,
    disputed,
    drain,
    earned,
    in_dashboard,
    mirrored,
    ordered,
    paid_out,
    payout_of,
    rebalanced,
    rows_of,
)
from tests.activities.desk import CHARGE_NOW, PROVIDER, Desk, cancelled_by, completed, do, now
from tests.activities.money_steps import PRICE, SHARE

HALF_A_DAY = timedelta(hours=12)
FEE = 1_500
"""What Stripe takes for a dispute: 15.00."""


async def test_a_dispute_freezes_the_hold_and_a_won_one_lets_it_run_on(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    due_at = (await payout_of(desk, booking_id)).due_at
    dispute = await disputed(desk, booking_id)
    frozen_at = due_at - HALF_A_DAY
    state = await mirrored(desk, booking_id, frozen_at)
    assert (state.payout_status, state.disputed, state.refundable) == (PayoutStatus.FROZEN, True, 0)
    payout = await payout_of(desk, booking_id)
    assert (payout.frozen_seconds, payout.amount) == (12 * 3600, 0)
    await decided(desk, dispute, "won")
    thawed_at = due_at + timedelta(days=30)
    state = await mirrored(desk, booking_id, thawed_at)
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, SHARE)
    assert (state.disputed, state.payout_due_at) == (False, thawed_at + HALF_A_DAY)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    await audited(desk, booking_id)


async def test_the_disputes_money_and_its_fee_are_posted_as_the_bank_moves_them(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    before = (await desk.picture(booking_id)).books
    dispute = await disputed(desk, booking_id)
    for _ in range(3):
        await mirrored(desk, booking_id)
    taken = (await desk.picture(booking_id)).books
    assert taken["stripe_balance"] == before["stripe_balance"] - PRICE - FEE
    assert taken["dispute_losses"] == FEE
    await decided(desk, dispute, "under_review")
    await mirrored(desk, booking_id)
    assert (await desk.picture(booking_id)).books == taken
    await decided(desk, dispute, "won")
    await mirrored(desk, booking_id)
    picture = await desk.picture(booking_id)
    less = {"stripe_balance": before["stripe_balance"] - FEE, "dispute_losses": FEE}
    assert picture.books == {**before, **less}
    assert picture.journals[JournalKind.DISPUTE] == 2
    assert picture.journals[JournalKind.DISPUTE_FEE] == 1


async def test_a_dispute_that_is_lost_during_the_hold_leaves_nothing_to_transfer(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    dispute = await disputed(desk, booking_id)
    await decided(desk, dispute, "lost")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.CANCELLED, False)
    (row,) = await rows_of(desk, Dispute, booking_id)
    assert row.status is DisputeStatus.LOST
    picture = await desk.picture(booking_id)
    assert picture.transfers == ()
    assert not {"held", "provider_payable", "platform_revenue"} & set(picture.books)


async def test_a_dispute_over_a_part_that_is_lost_leaves_the_rest_to_the_provider(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    dispute = await disputed(desk, booking_id, amount=PRICE // 4)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.FROZEN, 7_200)
    await decided(desk, dispute, "lost")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, 7_200)
    assert state.refundable == 9_000
    await desk.activities().payouts.pay_out(do(booking_id))
    assert (await desk.picture(booking_id)).transfers == (7_200,)
    await audited(desk, booking_id)


async def test_an_inquiry_freezes_without_money_and_closed_counts_as_won(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    inquiry = await disputed(desk, booking_id, inquiry=True)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.FROZEN, SHARE)
    await decided(desk, inquiry, "warning_closed")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.disputed) == (PayoutStatus.HELD, False)
    (row,) = await rows_of(desk, Dispute, booking_id)
    assert row.status is DisputeStatus.WON


async def test_a_payout_that_nobody_was_told_about_is_frozen_before_it_is_made(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await disputed(desk, booking_id, inquiry=True)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.FROZEN
    assert (await desk.picture(booking_id)).transfers == ()


async def test_a_blocked_payout_freezes_and_is_blocked_again_when_the_dispute_is_won(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await earned(desk, shop)
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", transfers="inactive")
    blocked = await desk.activities().payouts.pay_out(do(booking_id))
    dispute = await disputed(desk, booking_id)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.escalate_at) == (PayoutStatus.FROZEN, None)
    await decided(desk, dispute, "won")
    state = await mirrored(desk, booking_id, now() + timedelta(days=1))
    assert (state.payout_status, state.escalate_at) == (PayoutStatus.BLOCKED, blocked.escalate_at)
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", transfers="active")
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)


async def test_a_dispute_before_the_outcome_freezes_the_payout_from_its_start(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE, policy=CHARGE_NOW))
    dispute = await disputed(desk, booking_id)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.disputed) == (None, True)
    state = await desk.activities().payments.settle(completed(booking_id))
    assert state.payout_status is PayoutStatus.FROZEN
    await audited(desk, booking_id)
    await decided(desk, dispute, "won")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, SHARE)


async def test_a_refund_that_the_saga_wants_waits_for_the_bank(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE, policy=CHARGE_NOW))
    dispute = await disputed(desk, booking_id)
    with pytest.raises(StepError) as waits:
        await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert waits.value.failure is Failure.DISPUTE_OPEN
    await decided(desk, dispute, "lost")
    state = await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert (state.payment_status, state.payout_status) == (PaymentStatus.CAPTURED, None)
    assert (await desk.picture(booking_id)).refunds == ()
    await audited(desk, booking_id)


async def test_a_dispute_after_the_payout_takes_it_back_and_pays_it_again_when_won(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    dispute = await disputed(desk, booking_id)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, True)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    await decided(desk, dispute, "won")
    assert (await mirrored(desk, booking_id)).unbalanced
    for _ in range(2):
        state = await rebalanced(desk, booking_id)
        assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    picture = await desk.picture(booking_id)
    assert (picture.transfers, picture.reversals) == ((SHARE, SHARE), (SHARE,))


async def test_what_the_account_does_not_have_becomes_a_debt_and_is_forgiven_when_won(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await paid_out(desk, shop)
    await drain(desk, shop, SHARE - 1_000)
    dispute = await disputed(desk, booking_id)
    await mirrored(desk, booking_id)
    for _ in range(2):
        state = await rebalanced(desk, booking_id)
        assert (state.payout_status, state.unbalanced) == (PayoutStatus.PARTIALLY_REVERSED, False)
    assert (await desk.picture(booking_id)).reversals == (1_000,)
    assert await debt_of(desk, booking_id) == (SHARE - 1_000, 0)
    await decided(desk, dispute, "won")
    await mirrored(desk, booking_id)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert await debt_of(desk, booking_id) == (0, 0)
    assert (await desk.picture(booking_id)).transfers == (SHARE, 1_000)


async def test_an_account_below_zero_owes_and_nothing_is_taken_from_it(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await paid_out(desk, shop)
    await drain(desk, shop, SHARE + 5_000)
    await ordered(desk, booking_id)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert (await desk.picture(booking_id)).reversals == ()
    assert await debt_of(desk, booking_id) == (SHARE, 0)


async def test_money_that_went_back_twice_is_the_platforms_loss(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    await in_dashboard(desk, booking_id, PRICE)
    await disputed(desk, booking_id)
    await mirrored(desk, booking_id)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    found = await books(desk, booking_id)
    assert (found.kept, found.division.loss) == (-PRICE, PRICE)
    assert (await desk.picture(booking_id)).books["dispute_losses"] == PRICE + FEE


async def test_a_dispute_of_a_booking_that_kept_nothing_leaves_nothing_held(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE, policy=CHARGE_NOW))
    await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    dispute = await disputed(desk, booking_id)
    state = await mirrored(desk, booking_id)
    assert not state.unbalanced
    assert "held" not in (await desk.picture(booking_id)).books
    await decided(desk, dispute, "won")
    assert not (await mirrored(desk, booking_id)).unbalanced
    assert "held" not in (await desk.picture(booking_id)).books


async def won_without_money(desk: Desk, booking_id: UUID) -> None:
    """The bank decided for us; what it took comes back in an hour of Stripe's clock."""
    await desk.control.ask("POST", "/settings", reinstatement_delay="PT1H")
    dispute = await disputed(desk, booking_id)
    await mirrored(desk, booking_id)
    await decided(desk, dispute, "won")
    state = await mirrored(desk, booking_id)
    (row,) = await rows_of(desk, Dispute, booking_id)
    assert (row.status, state.disputed, state.refundable) == (DisputeStatus.WON, True, 0)


async def money_comes_back(desk: Desk) -> None:
    await desk.control.ask("POST", "/clock", advance_seconds=3_600)


async def test_a_payout_stays_frozen_until_what_was_won_is_back(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await won_without_money(desk, booking_id)
    assert (await payout_of(desk, booking_id)).status is PayoutStatus.FROZEN
    assert (await ordered(desk, booking_id)).refusal == "dispute_open"
    await money_comes_back(desk)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.payout_amount, state.disputed) == (PayoutStatus.HELD, SHARE, False)


async def test_a_cancellation_waits_for_what_was_won_and_then_gives_it_back(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE, policy=CHARGE_NOW))
    await won_without_money(desk, booking_id)
    with pytest.raises(StepError) as waits:
        await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert waits.value.failure is Failure.DISPUTE_OPEN
    await money_comes_back(desk)
    await mirrored(desk, booking_id)
    state = await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    assert (state.status, state.payment_status) == (BookingStatus.CANCELLED, PaymentStatus.REFUNDED)
    assert (await desk.picture(booking_id)).refunds == (PRICE,)
    await audited(desk, booking_id)


async def test_an_outcome_before_what_was_won_is_back_freezes_the_share_from_its_start(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(amount=PRICE, policy=CHARGE_NOW))
    await won_without_money(desk, booking_id)
    state = await desk.activities().payments.settle(completed(booking_id))
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.FROZEN, 0)
    await money_comes_back(desk)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, SHARE)


async def test_a_lost_dispute_beside_one_that_was_won_holds_nothing_up(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await decided(desk, await disputed(desk, booking_id, amount=PRICE // 4), "lost")
    await decided(desk, await disputed(desk, booking_id, amount=PRICE // 4), "won")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, 3 * SHARE // 4)
