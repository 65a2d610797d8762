"""The provider's share: from the ledger, once, and never given up (DESIGN section 5)."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import RETRYABLE, Failure, StepError, StripeFailure
from models.keys import transfer_group_for
from models.ledger import JournalKind, LedgerEntry
from models.payments import ProviderTransfer
from models.states import OperationState, PayoutStatus
from tests.activities.afterwards import (
    audited,
    in_dashboard,
    mirrored,
    payout_of,
    rows_of,
    swap_account,
    transfers_of,
)
from tests.activities.desk import Desk, do, now
from tests.activities.money_steps import PAY_OUT, PRICE, SHARE

REFUSED = "insufficient_capabilities_for_transfer"


async def refund_during_the_hold(desk: Desk, booking_id: UUID, amount: int) -> None:
    """Held money goes back to the client, and our books know it."""
    await in_dashboard(desk, booking_id, amount)
    await mirrored(desk, booking_id)


async def account_of(desk: Desk) -> str:
    (account,) = await desk.control.objects("account")
    return str(account["id"])


@pytest.mark.parametrize(
    ("refunded", "share", "fee"), [(0, 9_600, 2_400), (2_000, 8_000, 2_000), (11_999, 1, 0)]
)
async def test_the_share_is_what_the_ledger_still_holds_less_the_fee(
    desk: Desk, refunded: int, share: int, fee: int
) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    if refunded:
        await refund_during_the_hold(desk, booking_id, refunded)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.PAID, share)
    picture = await desk.picture(booking_id)
    assert picture.transfers == (share,)
    assert picture.books.get("platform_revenue", 0) == -fee
    assert "held" not in picture.books
    assert "provider_payable" not in picture.books


@pytest.mark.parametrize("why", ["refunded", "all fee"])
async def test_a_share_of_nothing_is_cancelled_and_nothing_is_sent(desk: Desk, why: str) -> None:
    policy = {"platform_fee_bps": 10_000} if why == "all fee" else {}
    booking_id = await desk.earned(await desk.shop(policy=policy))
    if why == "refunded":
        await refund_during_the_hold(desk, booking_id, PRICE)
    for _ in range(2):
        state = await desk.activities().payouts.pay_out(do(booking_id))
        assert (state.payout_status, state.payout_amount) == (PayoutStatus.CANCELLED, 0)
    picture = await desk.picture(booking_id)
    assert picture.transfers == ()
    assert "held" not in picture.books


@pytest.mark.fault("S5")
async def test_a_provider_that_cannot_be_paid_blocks_the_payout_until_it_can(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    account = await account_of(desk)
    await desk.control.ask("POST", f"/accounts/{account}", transfers="inactive")
    first, later = now(), now() + timedelta(days=1)
    for at in (first, later):
        state = await desk.activities().payouts.pay_out(do(booking_id, at=at))
        assert (state.payout_status, state.at_bank) == (PayoutStatus.BLOCKED, False)
        assert state.escalate_at == first + timedelta(days=3)
    assert await desk.operations(booking_id, "transfer") == []
    await desk.control.ask("POST", f"/accounts/{account}", transfers="active")
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends
    assert (await payout_of(desk, booking_id)).blocked_at is None


@pytest.mark.fault("S5")
async def test_a_provider_that_left_blocks_the_payout(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.ask("POST", f"/accounts/{await account_of(desk)}", deauthorized=True)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.BLOCKED


async def test_a_provider_without_an_account_blocks_the_payout_until_it_has_one(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await desk.earned(shop)
    await swap_account(desk, shop, None)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.BLOCKED
    await swap_account(desk, shop, shop.account_id)
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends


@pytest.mark.fault("S5")
async def test_a_provider_that_turns_out_to_be_restricted_is_blocked_by_stripes_word(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("fail_before", PAY_OUT.path, times=2, status=400, code=REFUSED)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.BLOCKED
    assert (await desk.picture(booking_id)).transfers == ()
    await audited(desk, booking_id)
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends


@pytest.mark.fault("S5")
async def test_refusals_day_after_day_are_looked_into_after_the_first_ones_patience(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    first = now()
    for days in range(3):
        await desk.control.fault("fail_before", PAY_OUT.path, times=2, status=400, code=REFUSED)
        state = await desk.activities().payouts.pay_out(do(booking_id, at=first + timedelta(days=days)))
        assert (state.payout_status, state.escalate_at) == (PayoutStatus.BLOCKED, first + timedelta(days=3))


@pytest.mark.fault("S5")
async def test_an_account_that_was_swapped_gets_the_money_of_the_one_that_was_refused(desk: Desk) -> None:
    shop, other = await desk.shop(amount=PRICE), await desk.shop(amount=PRICE)
    booking_id = await desk.earned(shop)
    await desk.control.fault("fail_before", PAY_OUT.path, status=400, code="balance_insufficient")
    with pytest.raises(StripeFailure):
        await desk.activities().payouts.pay_out(do(booking_id))
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", deauthorized=True)
    await swap_account(desk, other, None)
    await swap_account(desk, shop, other.account_id)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.PAID
    (transfer,) = await transfers_of(desk, booking_id)
    (row,) = await rows_of(desk, ProviderTransfer, booking_id)
    assert transfer["destination"] == row.destination == other.account_id
    await audited(desk, booking_id)


@pytest.mark.fault("S2")
async def test_an_answer_that_was_lost_is_looked_up_before_a_swapped_account_counts(desk: Desk) -> None:
    shop, other = await desk.shop(amount=PRICE), await desk.shop(amount=PRICE)
    booking_id = await desk.earned(shop)
    await desk.control.fault("reset_after", PAY_OUT.path)
    with pytest.raises(StripeFailure):
        await desk.activities().payouts.pay_out(do(booking_id))
    await swap_account(desk, other, None)
    await swap_account(desk, shop, other.account_id)
    await PAY_OUT.act(desk.activities(), booking_id)
    (transfer,) = await transfers_of(desk, booking_id)
    assert transfer["destination"] == shop.account_id
    await audited(desk, booking_id)


@pytest.mark.fault("S5")
async def test_an_empty_balance_is_waited_for_under_a_new_key(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("fail_before", PAY_OUT.path, times=2, status=400, code="balance_insufficient")
    for _ in range(2):
        with pytest.raises(StripeFailure) as empty:
            await PAY_OUT.act(desk.activities(), booking_id)
        assert empty.value.failure is Failure.INSUFFICIENT_BALANCE
        assert empty.value.failure in RETRYABLE
        assert empty.value.definite
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends
    attempts = await desk.operations(booking_id, "transfer")
    failed, again, succeeded = (attempt.state for attempt in attempts)
    assert (failed, again, succeeded) == (
        OperationState.FAILED,
        OperationState.FAILED,
        OperationState.SUCCEEDED,
    )


async def test_a_refund_between_two_attempts_shrinks_the_second(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("fail_before", PAY_OUT.path, status=400, code="balance_insufficient")
    with pytest.raises(StripeFailure):
        await PAY_OUT.act(desk.activities(), booking_id)
    await refund_during_the_hold(desk, booking_id, 2_000)
    await PAY_OUT.act(desk.activities(), booking_id)
    assert (await desk.picture(booking_id)).transfers == (8_000,)


@pytest.mark.fault("S1")
async def test_a_refund_after_a_lost_answer_does_not_change_what_was_asked(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("fail_before", PAY_OUT.path)
    with pytest.raises(StripeFailure):
        await PAY_OUT.act(desk.activities(), booking_id)
    (before,) = await desk.operations(booking_id, "transfer")
    await desk.control.fault("fail_before", PAY_OUT.path)
    with pytest.raises(StripeFailure):
        await PAY_OUT.act(desk.activities(), booking_id)
    (after,) = await desk.operations(booking_id, "transfer")
    assert before.request == after.request
    assert after.request["amount"] == SHARE


async def test_a_refund_that_our_books_do_not_know_is_read_before_the_payout(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await in_dashboard(desk, booking_id, 2_000)
    await PAY_OUT.act(desk.activities(), booking_id)
    picture = await desk.picture(booking_id)
    assert (picture.payout, picture.transfers) == ("PAID", (8_000,))
    await audited(desk, booking_id)


async def test_a_transfer_that_version_0_1_0_had_frozen_is_recorded_with_its_allocation(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("reset_after", PAY_OUT.path)
    with pytest.raises(StripeFailure):
        await desk.activities().payouts.pay_out(do(booking_id))

    async def as_it_was(session: AsyncSession) -> None:
        await session.execute(delete(ProviderTransfer).where(ProviderTransfer.booking_id == booking_id))
        await session.execute(text("ALTER TABLE ledger_entries DISABLE TRIGGER USER"))
        allocated = LedgerEntry.booking_id == booking_id, LedgerEntry.kind == JournalKind.ALLOCATION
        await session.execute(delete(LedgerEntry).where(*allocated))
        await session.execute(text("ALTER TABLE ledger_entries ENABLE TRIGGER USER"))

    await desk.database.run(as_it_was)
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends
    await audited(desk, booking_id)


async def transferred_by_hand(desk: Desk, booking_id: UUID, amount: int) -> str:
    (account,) = await desk.control.objects("account")
    (charge,) = await desk.control.objects("charge")
    made = await desk.sdk.v1.transfers.create_async(
        {
            "amount": amount,
            "currency": "eur",
            "destination": account["id"],
            "source_transaction": charge["id"],
            "transfer_group": transfer_group_for(booking_id),
        }
    )
    return str(made.id)


async def test_ops_can_adopt_the_transfer_that_they_made_by_hand(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    by_hand = await transferred_by_hand(desk, booking_id, SHARE)
    state = await desk.activities().payouts.pay_out(do(booking_id, adopt=by_hand))
    assert state.payout_status is PayoutStatus.PAID
    assert await desk.picture(booking_id) == PAY_OUT.ends
    (attempt,) = await desk.operations(booking_id, "transfer")
    assert attempt.object_id == by_hand


async def test_a_transfer_of_another_amount_is_not_adopted(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    by_hand = await transferred_by_hand(desk, booking_id, 100)
    with pytest.raises(StepError) as refused:
        await desk.activities().payouts.pay_out(do(booking_id, adopt=by_hand))
    assert refused.value.failure is Failure.ADOPTION_REFUSED
    picture = await desk.picture(booking_id)
    assert (picture.payout, picture.transfers) == ("PROCESSING", (100,))


async def test_a_transfer_that_was_taken_back_is_not_adopted(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    by_hand = await transferred_by_hand(desk, booking_id, SHARE)
    await desk.sdk.v1.transfers.reversals.create_async(by_hand)
    with pytest.raises(StepError) as refused:
        await desk.activities().payouts.pay_out(do(booking_id, adopt=by_hand))
    assert refused.value.failure is Failure.ADOPTION_REFUSED


async def test_a_transfer_that_does_not_exist_is_not_adopted(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    with pytest.raises(StripeFailure) as refused:
        await desk.activities().payouts.pay_out(do(booking_id, adopt="tr_nowhere"))
    assert refused.value.failure not in RETRYABLE
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends


async def test_a_whole_refund_after_a_failed_attempt_cancels_the_payout(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("fail_before", PAY_OUT.path, status=400, code="balance_insufficient")
    with pytest.raises(StripeFailure):
        await PAY_OUT.act(desk.activities(), booking_id)
    await refund_during_the_hold(desk, booking_id, PRICE)
    state = await desk.activities().payouts.pay_out(do(booking_id))
    assert state.payout_status is PayoutStatus.CANCELLED
    assert (await desk.picture(booking_id)).transfers == ()
