"""From the connected account to its bank, for accounts on a manual schedule (TRAPS 26, 31)."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import Failure, StepError
from models.payments import BankPayout, Refund
from models.states import BankPayoutStatus, PayoutStatus
from tests.activities.afterwards import (
    DAYS,
    MANUAL,
    audited,
    debt_of,
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
from tests.activities.desk import Desk, do, now
from tests.activities.money_steps import PRICE, SHARE
from workflows.contracts import BookingState

PATH = "/v1/payouts"
LATER = timedelta(hours=4)


@pytest.fixture(autouse=True)
async def _slow_bank(desk: Desk) -> None:
    """No payout arrives unless somebody says so."""
    await desk.control.ask("POST", "/settings", payout_delay="P30D")


async def transferred(desk: Desk, **policy: Any) -> UUID:
    return await paid_out(desk, await desk.shop(amount=PRICE, policy={**MANUAL, **policy}))


async def sent(desk: Desk, booking_id: UUID) -> BookingState:
    state = await desk.activities().payouts.send_to_bank(do(booking_id))
    await audited(desk, booking_id)
    return state


async def attempts(desk: Desk, booking_id: UUID) -> list[BankPayout]:
    return await rows_of(desk, BankPayout, booking_id)


async def reversed_and_paid_again(desk: Desk, booking_id: UUID) -> None:
    """The refund fails late after all: what was taken back is transferred once more."""
    (refund,) = await rows_of(desk, Refund, booking_id)
    await desk.control.ask("POST", f"/refunds/{refund.refund_id}", status="failed")
    await mirrored(desk, booking_id)
    await desk.control.ask("POST", "/balance", amount=SHARE, currency="eur")
    assert (await rebalanced(desk, booking_id)).at_bank


async def bank_says(desk: Desk, booking_id: UUID, status: str) -> None:
    latest = (await attempts(desk, booking_id))[-1]
    await desk.control.ask("POST", f"/payouts/{latest.stripe_payout_id}", status=status)


async def test_a_share_is_paid_when_the_bank_has_it(desk: Desk) -> None:
    booking_id = await transferred(desk)
    payout = await payout_of(desk, booking_id)
    assert (payout.status, payout.transfer_id is not None) == (PayoutStatus.PROCESSING, True)
    for _ in range(2):
        state = await sent(desk, booking_id)
        assert (state.payout_status, state.at_bank) == (PayoutStatus.PROCESSING, True)
    await bank_says(desk, booking_id, "paid")
    for _ in range(2):
        state = await sent(desk, booking_id)
        assert (state.payout_status, state.at_bank) == (PayoutStatus.PAID, False)
    assert (await desk.picture(booking_id)).bank == (SHARE,)


async def test_it_waits_until_the_transferred_funds_are_available(desk: Desk) -> None:
    booking_id = await desk.earned(await desk.shop(amount=PRICE, policy=MANUAL))
    await desk.activities().payouts.pay_out(do(booking_id))
    state = await sent(desk, booking_id)
    assert (state.payout_status, await attempts(desk, booking_id)) == (PayoutStatus.PROCESSING, [])
    await desk.control.ask("POST", "/clock", advance_seconds=DAYS)
    await sent(desk, booking_id)
    assert (await desk.picture(booking_id)).bank == (SHARE,)


async def test_a_bank_that_refuses_blocks_and_the_next_attempt_has_a_number_of_its_own(desk: Desk) -> None:
    booking_id = await transferred(desk)
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "failed")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.at_bank) == (PayoutStatus.BLOCKED, True)
    assert state.escalate_at is not None
    state = await sent(desk, booking_id)
    assert state.payout_status is PayoutStatus.PROCESSING
    await bank_says(desk, booking_id, "paid")
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PAID
    first, second = await attempts(desk, booking_id)
    assert [(one.number, one.status) for one in (first, second)] == [
        (1, BankPayoutStatus.FAILED),
        (2, BankPayoutStatus.PAID),
    ]
    assert first.failure == "could_not_process"


async def test_an_account_that_may_not_be_paid_out_blocks_until_it_may(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    booking_id = await paid_out(desk, shop)
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", payouts_enabled=False)
    for _ in range(2):
        state = await sent(desk, booking_id)
        assert (state.payout_status, state.at_bank) == (PayoutStatus.BLOCKED, True)
    assert await attempts(desk, booking_id) == []
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", payouts_enabled=True)
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PROCESSING


@pytest.mark.parametrize(
    ("code", "then"),
    [("balance_insufficient", PayoutStatus.PROCESSING), ("payouts_not_allowed", PayoutStatus.BLOCKED)],
)
async def test_a_refusal_by_stripe_ends_the_attempt_and_frees_the_account(
    desk: Desk, code: str, then: PayoutStatus
) -> None:
    booking_id = await transferred(desk)
    await desk.control.fault("fail_before", PATH, status=400, code=code)
    assert (await sent(desk, booking_id)).payout_status is then
    (failed,) = await attempts(desk, booking_id)
    assert (failed.status, failed.failure) == (BankPayoutStatus.FAILED, code)
    await sent(desk, booking_id)
    assert (await desk.picture(booking_id)).bank == (SHARE,)


async def test_a_payout_that_fails_after_it_was_paid_is_tried_again(desk: Desk) -> None:
    booking_id = await transferred(desk)
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "paid")
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "failed")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.at_bank) == (PayoutStatus.PROCESSING, True)
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "paid")
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PAID
    assert (await desk.picture(booking_id)).bank == (SHARE, SHARE)


async def test_two_bookings_of_one_account_go_to_the_bank_one_after_the_other(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    first, second = await paid_out(desk, shop), await paid_out(desk, shop, LATER)
    await asyncio.gather(*(desk.activities().payouts.send_to_bank(do(one)) for one in (first, second)))
    pictures = [await desk.picture(one) for one in (first, second)]
    assert sorted(picture.bank for picture in pictures) == [(), (SHARE,)]
    sender, waiter = (first, second) if pictures[0].bank else (second, first)
    assert (await sent(desk, waiter)).payout_status is PayoutStatus.PROCESSING
    await bank_says(desk, sender, "paid")
    await sent(desk, sender)
    await sent(desk, waiter)
    assert (await desk.picture(waiter)).bank == (SHARE,)


async def test_without_the_lock_the_database_still_lets_one_payout_of_an_account_wait_for_its_bank(
    desk: Desk,
) -> None:
    booking_id = await transferred(desk)
    await sent(desk, booking_id)
    (attempt,) = await attempts(desk, booking_id)
    values = {column.key: getattr(attempt, column.key) for column in BankPayout.__table__.columns}
    rival = BankPayout(**(values | {"id": uuid4(), "number": 2, "stripe_payout_id": None}))

    async def slip_in(session: AsyncSession) -> None:
        session.add(rival)

    with pytest.raises(IntegrityError, match="uq_bank_payouts_pending"):
        await desk.database.run(slip_in)


async def test_a_refund_before_the_bank_has_it_sends_only_what_is_left(desk: Desk) -> None:
    booking_id = await transferred(desk)
    changed = await ordered(desk, booking_id, PRICE // 2)
    assert changed.booking.unbalanced
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PROCESSING, False)
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "paid")
    state = await sent(desk, booking_id)
    assert (state.payout_status, state.at_bank) == (PayoutStatus.PARTIALLY_REVERSED, False)
    assert (await desk.picture(booking_id)).bank == (SHARE // 2,)


async def test_a_refund_of_everything_before_the_bank_has_it_sends_nothing(desk: Desk) -> None:
    booking_id = await transferred(desk)
    await ordered(desk, booking_id)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced, state.at_bank) == (PayoutStatus.REVERSED, False, False)
    await sent(desk, booking_id)
    assert (await desk.picture(booking_id)).bank == ()


async def test_what_is_on_its_way_to_the_bank_cannot_be_reversed_and_is_owed(desk: Desk) -> None:
    booking_id = await transferred(desk)
    await sent(desk, booking_id)
    await ordered(desk, booking_id, PRICE // 2)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PROCESSING, False)
    assert (await desk.picture(booking_id)).reversals == ()
    await bank_says(desk, booking_id, "paid")
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PAID


async def test_an_account_below_zero_sends_nothing(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    booking_id = await paid_out(desk, shop)
    await drain(desk, shop, SHARE + 1_000)
    state = await sent(desk, booking_id)
    assert (state.payout_status, await attempts(desk, booking_id)) == (PayoutStatus.PROCESSING, [])


async def test_an_answer_that_was_lost_is_found_by_the_mirror(desk: Desk) -> None:
    booking_id = await transferred(desk)
    await desk.control.fault("reset_after", PATH)
    with pytest.raises(StepError) as lost:
        await desk.activities().payouts.send_to_bank(do(booking_id))
    assert lost.value.failure is Failure.STRIPE_INDETERMINATE
    await mirrored(desk, booking_id)
    (attempt,) = await attempts(desk, booking_id)
    assert attempt.stripe_payout_id is not None
    await sent(desk, booking_id)
    assert (await desk.picture(booking_id)).bank == (SHARE,)


async def test_a_share_whose_account_stripe_pays_out_by_itself_is_not_sent(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await desk.activities().payouts.pay_out(do(booking_id))
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PAID
    assert (await desk.picture(booking_id)).bank == ()


async def test_nothing_goes_to_the_bank_while_something_has_to_be_taken_back_first(desk: Desk) -> None:
    booking_id = await transferred(desk)
    await in_dashboard(desk, booking_id, PRICE)
    state = await sent(desk, booking_id)  # learns of the refund only now
    assert (state.payout_status, state.at_bank, state.unbalanced) == (PayoutStatus.PROCESSING, True, True)
    assert await attempts(desk, booking_id) == []
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    assert await debt_of(desk, booking_id) == (0, 0)
    assert (await desk.picture(booking_id)).reversals == (SHARE,)


async def test_an_earlier_attempt_that_comes_back_late_is_seen_and_sent_again(desk: Desk) -> None:
    booking_id = await transferred(desk)
    await ordered(desk, booking_id, PRICE // 2)
    await rebalanced(desk, booking_id)
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "paid")
    await reversed_and_paid_again(desk, booking_id)
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "paid")
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PAID
    first, _ = await attempts(desk, booking_id)
    await desk.control.ask("POST", f"/payouts/{first.stripe_payout_id}", status="failed")
    state = await mirrored(desk, booking_id)
    assert (state.payout_status, state.at_bank) == (PayoutStatus.PROCESSING, True)
    assert [one.status for one in await attempts(desk, booking_id)] == [
        BankPayoutStatus.FAILED,
        BankPayoutStatus.PAID,
    ]
    await sent(desk, booking_id)
    assert [one.amount for one in await attempts(desk, booking_id)] == [
        first.amount,
        SHARE // 2,
        first.amount,
    ]


async def test_a_bank_that_refuses_again_and_again_is_looked_into_after_the_first_refusals_patience(
    desk: Desk,
) -> None:
    booking_id = await transferred(desk)
    first = now()
    for days in range(3):
        await desk.activities().payouts.send_to_bank(do(booking_id, at=first + timedelta(days=days)))
        await bank_says(desk, booking_id, "failed")
        state = await mirrored(desk, booking_id, first + timedelta(days=days))
        assert (state.payout_status, state.escalate_at) == (PayoutStatus.BLOCKED, first + timedelta(days=3))
    await sent(desk, booking_id)
    await bank_says(desk, booking_id, "paid")
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PAID
    assert (await payout_of(desk, booking_id)).blocked_at is None
