"""What a provider is due after its transfer: paid again, blocked, given up, or for ops to decide about."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities.debts import raise_debt
from activities.errors import Failure, StepError
from activities.records import load
from models.payments import Refund
from models.states import PaymentStatus, PayoutStatus
from models.transitions import Change
from tests.activities.afterwards import (
    MANUAL,
    audited,
    books,
    debt_of,
    decided,
    disputed,
    earned,
    mirrored,
    ordered,
    paid_out,
    payout_of,
    rebalanced,
    rows_of,
    swap_account,
    transfers_of,
)
from tests.activities.desk import Desk, do, now
from tests.activities.money_steps import PRICE, SHARE
from tests.activities.test_rebalancing import LATER, WHOLE, insisting, owing, reversed_by_hand, waiving
from tests.support.shop import Shop

HALF = PRICE // 2


async def comes_back(desk: Desk, booking_id: UUID) -> None:
    """The latest refund did not reach the client after all."""
    refund = (await rows_of(desk, Refund, booking_id))[-1]
    await desk.control.ask("POST", f"/refunds/{refund.refund_id}", status="failed")


# --- a transfer that follows, and cannot be made ----------------------------------------------


async def blocked_again(desk: Desk, shop: Shop) -> UUID:
    """Half of the share came back for a dispute that was won, and the provider cannot be paid any more."""
    booking_id = await paid_out(desk, shop)
    dispute = await disputed(desk, booking_id, amount=HALF)
    await mirrored(desk, booking_id)
    await rebalanced(desk, booking_id)
    await decided(desk, dispute, "won")
    assert (await mirrored(desk, booking_id)).unbalanced
    await swap_account(desk, shop, None)
    for _ in range(2):
        state = await rebalanced(desk, booking_id)
        assert (state.payout_status, state.unbalanced, state.at_bank) == (PayoutStatus.BLOCKED, False, False)
    assert state.escalate_at is not None
    return booking_id


async def test_a_further_transfer_waits_until_the_provider_can_be_paid(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await blocked_again(desk, shop)
    await swap_account(desk, shop, shop.account_id)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert (await desk.picture(booking_id)).transfers == (SHARE, SHARE // 2)
    await audited(desk, booking_id)


async def test_a_refund_of_just_what_was_blocked_gives_the_further_transfer_up(desk: Desk) -> None:
    booking_id = await blocked_again(desk, await desk.shop(amount=PRICE))
    changed = await ordered(desk, booking_id, HALF)
    assert (changed.booking.payout_status, changed.booking.unbalanced) == (
        PayoutStatus.PARTIALLY_REVERSED,
        False,
    )
    await audited(desk, booking_id)


async def test_a_refund_of_everything_is_taken_from_the_transfer_before_the_blocked_one(desk: Desk) -> None:
    booking_id = await blocked_again(desk, await desk.shop(amount=PRICE))
    changed = await ordered(desk, booking_id)
    assert (changed.refusal, changed.booking.unbalanced) == (None, True)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    assert (await desk.picture(booking_id)).reversals == (SHARE // 2, SHARE // 2)
    assert await debt_of(desk, booking_id) == (0, 0)


@pytest.mark.parametrize(("end", "then"), [("lost", PayoutStatus.REVERSED), ("won", PayoutStatus.PAID)])
async def test_a_dispute_freezes_a_blocked_further_transfer_and_takes_back_what_came_before(
    desk: Desk, end: str, then: PayoutStatus
) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await blocked_again(desk, shop)
    dispute = await disputed(desk, booking_id)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.FROZEN, True)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.FROZEN, False)
    await decided(desk, dispute, end)
    await mirrored(desk, booking_id)
    await swap_account(desk, shop, shop.account_id)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert (state.payout_status, state.unbalanced) == (then, False)
    assert (await books(desk, booking_id)).received == (SHARE if end == "won" else 0)
    await audited(desk, booking_id)


async def test_a_further_transfer_that_is_given_up_leaves_the_rest_on_its_way_to_the_bank(desk: Desk) -> None:
    await desk.control.ask("POST", "/settings", payout_delay="P30D")
    booking_id = await blocked_again_by_bank(desk, await desk.shop(amount=PRICE, policy=MANUAL))
    changed = await ordered(desk, booking_id, HALF)
    assert (changed.booking.payout_status, changed.booking.at_bank) == (PayoutStatus.PROCESSING, True)
    await desk.activities().payouts.send_to_bank(do(booking_id))
    assert (await desk.picture(booking_id)).bank == (SHARE // 2, SHARE // 2)


async def blocked_again_by_bank(desk: Desk, shop: Shop) -> UUID:
    """Half has arrived, another quarter was paid again and failed late, the last quarter cannot be paid."""
    booking_id = await paid_out(desk, shop)
    await ordered(desk, booking_id, HALF)
    await rebalanced(desk, booking_id)
    await desk.activities().payouts.send_to_bank(do(booking_id))
    (sent,) = await desk.control.objects("payout")
    await desk.control.ask("POST", f"/payouts/{sent['id']}", status="paid")
    await mirrored(desk, booking_id)
    await comes_back(desk, booking_id)
    await mirrored(desk, booking_id)
    await swap_account(desk, shop, None)
    assert (await rebalanced(desk, booking_id)).payout_status is PayoutStatus.BLOCKED
    await desk.control.ask("POST", f"/payouts/{sent['id']}", status="failed")
    await mirrored(desk, booking_id)
    return booking_id


# --- reversed by mistake ----------------------------------------------------------------------


async def test_ops_who_insist_pay_again_though_the_first_try_is_refused(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await paid_out(desk, shop)
    await reversed_by_hand(desk, booking_id, SHARE)
    await desk.control.fault("fail_before", "/v1/transfers", status=400, code="balance_insufficient")
    with pytest.raises(StepError) as short:
        await desk.activities().payouts.rebalance(insisting(booking_id))
    assert short.value.failure is Failure.INSUFFICIENT_BALANCE
    state = await rebalanced(desk, booking_id)  # the word of ops was given
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert (await desk.picture(booking_id)).transfers == (SHARE, SHARE)


async def test_what_was_reversed_by_mistake_before_the_bank_had_it_is_paid_again_and_sent(desk: Desk) -> None:
    await desk.control.ask("POST", "/settings", payout_delay="P30D")
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE, policy=MANUAL))
    await reversed_by_hand(desk, booking_id, SHARE)
    assert (await mirrored(desk, booking_id)).unbalanced
    with pytest.raises(StepError):
        await desk.activities().payouts.rebalance(do(booking_id))
    state = await desk.activities().payouts.rebalance(insisting(booking_id))
    assert (state.payout_status, state.at_bank) == (PayoutStatus.PROCESSING, True)
    await desk.activities().payouts.send_to_bank(do(booking_id))
    assert (await desk.picture(booking_id)).bank == (SHARE,)
    await audited(desk, booking_id)


# --- a refund of everything that fails late ---------------------------------------------------


async def given_back_in_vain(desk: Desk) -> UUID:
    """Everything was refunded, the payout is cancelled for ever, and then the refund failed."""
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await ordered(desk, booking_id)
    await comes_back(desk, booking_id)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.unbalanced, state.refundable) == (PayoutStatus.CANCELLED, True, PRICE)
    with pytest.raises(StepError, match=r"refund again .* or leave it") as asked:
        await desk.activities().payouts.rebalance(do(booking_id))
    assert asked.value.failure is Failure.UNEXPECTED_STATE
    return booking_id


async def test_a_refund_of_everything_that_failed_late_can_be_made_again(desk: Desk) -> None:
    booking_id = await given_back_in_vain(desk)
    changed = await ordered(desk, booking_id, None, "again")
    assert (changed.refusal, changed.booking.unbalanced) == (None, False)
    assert changed.booking.payment_status is PaymentStatus.REFUNDED
    accounts = (await desk.picture(booking_id)).books
    assert not {"held", "provider_payable", "platform_revenue", "provider_debt"} & set(accounts)
    await audited(desk, booking_id)


async def test_a_refund_of_everything_that_failed_late_can_stay_with_the_platform(desk: Desk) -> None:
    booking_id = await given_back_in_vain(desk)
    state = await desk.activities().payouts.rebalance(waiving(booking_id))
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.CANCELLED, False)
    assert (await desk.picture(booking_id)).books["platform_revenue"] == -PRICE
    await audited(desk, booking_id)


# --- shares that pay debts --------------------------------------------------------------------


async def test_a_share_that_paid_debts_alone_and_is_due_again_pays_them_again(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=dict(WHOLE))
    debtor = await owing(desk, shop)
    booking_id = await earned(desk, shop, LATER)
    await ordered(desk, booking_id, HALF)
    await desk.activities().payouts.pay_out(do(booking_id))
    assert await debt_of(desk, debtor) == (SHARE, SHARE // 2)
    await comes_back(desk, booking_id)
    state = await mirrored(desk, booking_id)
    assert (state.payout_amount, state.unbalanced) == (SHARE, True)
    for _ in range(2):
        state = await rebalanced(desk, booking_id)
        assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert await debt_of(desk, debtor) == (SHARE, SHARE)
    assert (await payout_of(desk, booking_id)).debt_netted == SHARE
    assert await transfers_of(desk, booking_id) == []


async def test_a_share_that_paid_debts_alone_is_transferred_when_it_is_due_again(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=dict(WHOLE))
    await owing(desk, shop)
    booking_id = await earned(desk, shop, LATER)
    await ordered(desk, booking_id, HALF)
    await desk.activities().payouts.pay_out(do(booking_id))
    payer = await earned(desk, shop, 2 * LATER)
    await desk.activities().payouts.pay_out(do(payer))  # the rest of the debt
    await comes_back(desk, booking_id)
    await mirrored(desk, booking_id)
    await desk.control.fault("reset_after", "/v1/transfers")
    with pytest.raises(StepError):
        await desk.activities().payouts.rebalance(do(booking_id))
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert (await desk.picture(booking_id)).transfers == (SHARE // 2,)


async def test_a_debt_can_be_netted_while_its_booking_is_at_work(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    debtor = await owing(desk, shop)
    booking_id = await earned(desk, shop, LATER)

    async def meanwhile(session: AsyncSession) -> None:
        rows = await load(session, debtor, lock=True)
        await asyncio.wait_for(desk.activities().payouts.pay_out(do(booking_id)), timeout=20)
        await raise_debt(session, rows, 10, Change(debtor, now()))

    await desk.database.run(meanwhile)
    assert await debt_of(desk, debtor) == (SHARE + 10, SHARE // 2)
