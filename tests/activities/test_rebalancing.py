"""After the transfer: reversals, debts, what pays them, and what somebody did by hand (TRAPS 27, 31)."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from activities.errors import Failure, StepError
from models.payments import ProviderTransfer, Refund, TransferReversal
from models.states import PayoutStatus
from tests.activities.afterwards import (
    audit_of,
    audited,
    books,
    debt_of,
    disputed,
    drain,
    earned,
    mirrored,
    ordered,
    paid_out,
    payout_of,
    rebalanced,
    rows_of,
    transfers_of,
)
from tests.activities.desk import OPS, Desk, completed, do, now
from tests.activities.money_steps import PRICE, SHARE
from tests.support.shop import Shop
from workflows.contracts import Do

WHOLE: Mapping[str, Any] = {"debt_cap_bps": 10_000}
LATER = timedelta(hours=4)


async def owing(desk: Desk, shop: Shop, starts_in: timedelta = timedelta(hours=2)) -> Any:
    """Paid out, drained, refunded: the provider owes its whole share."""
    booking_id = await paid_out(desk, shop, starts_in)
    await drain(desk, shop, SHARE)
    await ordered(desk, booking_id)
    await rebalanced(desk, booking_id)
    assert await debt_of(desk, booking_id) == (SHARE, 0)
    return booking_id


async def reversed_by_hand(desk: Desk, booking_id: Any, amount: int) -> None:
    """Somebody takes a transfer back in Stripe's dashboard."""
    (transfer, *_) = reversed(await transfers_of(desk, booking_id))
    await desk.sdk.v1.transfers.reversals.create_async(transfer["id"], {"amount": amount})


def waiving(booking_id: Any) -> Do:
    return Do(booking_id=booking_id, at=now(), waive=OPS)


def insisting(booking_id: Any) -> Do:
    return Do(booking_id=booking_id, at=now(), insist=OPS)


async def test_a_debt_is_netted_from_the_next_payout_up_to_the_cap(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    debtor = await owing(desk, shop)
    booking_id = await earned(desk, shop, LATER)
    await desk.activities().payouts.pay_out(do(booking_id))
    payout = await payout_of(desk, booking_id)
    assert (payout.status, payout.amount, payout.debt_netted) == (PayoutStatus.PAID, SHARE, SHARE // 2)
    assert (await desk.picture(booking_id)).transfers == (SHARE // 2,)
    assert await debt_of(desk, debtor) == (SHARE, SHARE // 2)
    noted = [event.to_status for event in await audit_of(desk, debtor, "debt")]
    assert noted == ["RAISED", "NETTED"]
    for one in (debtor, booking_id):
        await audited(desk, one)


async def test_a_share_that_pays_debts_alone_is_paid_without_a_transfer(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=dict(WHOLE))
    debtor = await owing(desk, shop)
    booking_id = await earned(desk, shop, LATER)
    for _ in range(2):
        state = await desk.activities().payouts.pay_out(do(booking_id))
        assert (state.payout_status, state.unbalanced, state.at_bank) == (PayoutStatus.PAID, False, False)
    assert (await desk.picture(booking_id)).transfers == ()
    assert await debt_of(desk, debtor) == (SHARE, SHARE)
    assert [event.to_status for event in await audit_of(desk, debtor, "debt")] == ["RAISED", "SETTLED"]
    await audited(desk, booking_id)


async def test_two_debts_and_two_payouts_at_once_are_each_paid_once_and_the_oldest_first(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    first = await owing(desk, shop)
    second = await owing(desk, shop, timedelta(hours=4))  # its share paid half of the first's debt
    payers = [await earned(desk, shop, timedelta(hours=6)), await earned(desk, shop, timedelta(hours=8))]
    await asyncio.gather(*(desk.activities().payouts.pay_out(do(payer)) for payer in payers))
    assert await debt_of(desk, first) == (SHARE, SHARE)
    assert await debt_of(desk, second) == (SHARE, SHARE // 2)
    for booking_id in (first, second, *payers):
        await audited(desk, booking_id)
    assert [(await desk.picture(payer)).transfers for payer in payers] == [(SHARE // 2,), (SHARE // 2,)]


async def test_a_debt_is_paid_once_though_its_transfer_needs_several_attempts(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    debtor = await owing(desk, shop)
    booking_id = await earned(desk, shop, LATER)
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", transfers="inactive")
    await desk.activities().payouts.pay_out(do(booking_id))
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", transfers="active")
    await desk.control.fault("fail_before", "/v1/transfers", status=400, code="balance_insufficient")
    with pytest.raises(StepError):
        await desk.activities().payouts.pay_out(do(booking_id))
    await desk.activities().payouts.pay_out(do(booking_id))
    assert (await desk.picture(booking_id)).transfers == (SHARE // 2,)
    assert await debt_of(desk, debtor) == (SHARE, SHARE // 2)
    await audited(desk, booking_id)


async def blocked_after_netting(desk: Desk, shop: Shop) -> Any:
    """A share has paid a debt, and its transfer was then refused for good."""
    booking_id = await earned(desk, shop, LATER)
    refusal = "insufficient_capabilities_for_transfer"
    await desk.control.fault("fail_before", "/v1/transfers", times=2, status=400, code=refusal)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.BLOCKED
    return booking_id


async def test_a_share_that_paid_a_debt_and_went_back_to_the_client_is_owed_itself(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    debtor = await owing(desk, shop)
    booking_id = await blocked_after_netting(desk, shop)
    changed = await ordered(desk, booking_id)
    assert (changed.booking.payout_status, changed.booking.unbalanced) == (PayoutStatus.CANCELLED, False)
    assert await debt_of(desk, debtor) == (SHARE, SHARE // 2)
    assert await debt_of(desk, booking_id) == (SHARE // 2, 0)
    await audited(desk, booking_id)


async def test_a_share_smaller_than_the_debt_it_paid_owes_the_difference(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    await owing(desk, shop)
    booking_id = await blocked_after_netting(desk, shop)
    await ordered(desk, booking_id, 3 * PRICE // 4)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert await debt_of(desk, booking_id) == (SHARE // 4, 0)
    await audited(desk, booking_id)


async def test_a_debt_that_was_paid_already_comes_back_by_transfer(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=dict(WHOLE))
    booking_id = await desk.confirmed(shop, "pm_card_refundFail")
    await desk.activities().payments.settle(completed(booking_id))
    await desk.activities().payouts.pay_out(do(booking_id))
    await desk.control.ask("POST", "/clock", advance_seconds=3 * 86_400)
    await drain(desk, shop, SHARE)
    await ordered(desk, booking_id)
    await rebalanced(desk, booking_id)
    payer = await earned(desk, shop, LATER)
    await desk.activities().payouts.pay_out(do(payer))
    assert await debt_of(desk, booking_id) == (SHARE, SHARE)
    await desk.control.ask("POST", "/clock", advance_seconds=120)
    assert (await mirrored(desk, booking_id)).unbalanced
    await desk.control.ask("POST", "/balance", amount=SHARE, currency="eur")
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert (await desk.picture(booking_id)).transfers == (SHARE, SHARE)


async def test_what_a_late_failure_brings_back_is_a_second_transfer_and_nothing_is_wrong_with_it(
    desk: Desk,
) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await ordered(desk, booking_id, PRICE // 2)
    await desk.activities().payouts.pay_out(do(booking_id))
    (refund,) = await rows_of(desk, Refund, booking_id)
    await desk.control.ask("POST", f"/refunds/{refund.refund_id}", status="failed")
    await mirrored(desk, booking_id)
    await desk.control.ask("POST", "/balance", amount=SHARE, currency="eur")
    assert (await rebalanced(desk, booking_id)).payout_status is PayoutStatus.PAID
    assert (await desk.picture(booking_id)).transfers == (SHARE // 2, SHARE // 2)
    await audited(desk, booking_id)


async def test_a_reversal_made_by_hand_is_mirrored_and_waits_for_ops(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    await reversed_by_hand(desk, booking_id, 1_000)
    for _ in range(2):
        state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PARTIALLY_REVERSED, True)
    (reversal,) = await rows_of(desk, TransferReversal, booking_id)
    assert (reversal.mirrored, reversal.amount) == (True, 1_000)
    for _ in range(2):
        with pytest.raises(StepError) as parked:
            await desk.activities().payouts.rebalance(do(booking_id))
        assert parked.value.failure is Failure.UNEXPECTED_STATE
    assert (await desk.picture(booking_id)).transfers == (SHARE,)


async def test_ops_who_insist_pay_again_what_was_reversed_by_hand(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    await reversed_by_hand(desk, booking_id, SHARE)
    assert (await mirrored(desk, booking_id)).payout_status is PayoutStatus.REVERSED
    for _ in range(2):
        state = await desk.activities().payouts.rebalance(insisting(booking_id))
        assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert (await desk.picture(booking_id)).transfers == (SHARE, SHARE)
    await audited(desk, booking_id)


async def test_ops_who_waive_leave_it_with_the_platform_until_the_client_gets_it(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    await reversed_by_hand(desk, booking_id, SHARE)
    for _ in range(2):
        state = await desk.activities().payouts.rebalance(waiving(booking_id))
        assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    assert (await desk.picture(booking_id)).books["platform_revenue"] == -PRICE
    await audited(desk, booking_id)
    await ordered(desk, booking_id)
    assert not (await rebalanced(desk, booking_id)).unbalanced
    assert await debt_of(desk, booking_id) == (0, 0)
    assert "platform_revenue" not in (await desk.picture(booking_id)).books


async def test_a_refund_and_its_reversal_made_by_hand_balance_each_other(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    intent = await desk.intent_id(booking_id)
    await desk.sdk.v1.refunds.create_async({"payment_intent": intent, "amount": PRICE})
    await reversed_by_hand(desk, booking_id, SHARE)
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)


async def test_what_is_pending_in_the_account_is_reachable(desk: Desk) -> None:
    booking_id = await desk.earned(await desk.shop(amount=PRICE))  # its money arrives in days
    await desk.activities().payouts.pay_out(do(booking_id))
    await ordered(desk, booking_id)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    assert (await desk.picture(booking_id)).reversals == (SHARE,)


async def test_funds_that_vanish_before_the_reversal_become_a_debt(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    await ordered(desk, booking_id)
    await desk.control.fault(
        "fail_before", "/v1/transfers/*/reversals", status=400, code="balance_insufficient"
    )
    with pytest.raises(StepError) as short:
        await desk.activities().payouts.rebalance(do(booking_id))
    assert short.value.failure is Failure.INSUFFICIENT_BALANCE
    assert not (await rebalanced(desk, booking_id)).unbalanced


async def test_a_refund_while_the_transfer_is_in_doubt_is_taken_back_after_it(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await desk.control.fault("reset_after", "/v1/transfers")
    with pytest.raises(StepError):
        await desk.activities().payouts.pay_out(do(booking_id))
    changed = await ordered(desk, booking_id)
    assert (changed.booking.payout_status, changed.booking.unbalanced) == (PayoutStatus.PROCESSING, False)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, True)
    assert not (await rebalanced(desk, booking_id)).unbalanced
    assert (await desk.picture(booking_id)).reversals == (SHARE,)


async def test_refund_and_transfer_at_once_leave_the_provider_its_share_and_no_more(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await earned(desk, shop)
    await asyncio.gather(
        desk.activities().payouts.pay_out(do(booking_id)), ordered(desk, booking_id, PRICE // 2)
    )
    if (await mirrored(desk, booking_id)).unbalanced:
        await rebalanced(desk, booking_id)
    found = await books(desk, booking_id)
    assert (found.received, found.due, found.refunded) == (SHARE // 2, 0, PRICE // 2)


async def test_dispute_and_transfer_at_once_end_frozen_or_taken_back(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await asyncio.gather(desk.activities().payouts.pay_out(do(booking_id)), disputed(desk, booking_id))
    state = await mirrored(desk, booking_id)
    if state.unbalanced:
        state = await rebalanced(desk, booking_id)
    assert state.payout_status in (PayoutStatus.FROZEN, PayoutStatus.REVERSED)
    assert (await books(desk, booking_id)).received == 0


async def test_five_rebalancings_at_once_take_back_once(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    await ordered(desk, booking_id)
    runs = (desk.activities().payouts.rebalance(do(booking_id)) for _ in range(5))
    await asyncio.gather(*runs, return_exceptions=True)
    assert not (await rebalanced(desk, booking_id)).unbalanced
    assert (await desk.picture(booking_id)).reversals == (SHARE,)
    assert await debt_of(desk, booking_id) == (0, 0)


async def test_what_an_earlier_version_transferred_is_taken_back_too(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    (transfer,) = await rows_of(desk, ProviderTransfer, booking_id)
    assert transfer.id == (await payout_of(desk, booking_id)).id
    await ordered(desk, booking_id)
    assert not (await rebalanced(desk, booking_id)).unbalanced
