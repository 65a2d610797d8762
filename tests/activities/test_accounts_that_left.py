"""A provider that takes its account away holds up nobody else: clients get their money, the rest is owed or waits."""

import pytest

from activities.errors import StepError
from models.states import BankPayoutStatus, PayoutStatus
from tests.activities.afterwards import MANUAL, debt_of, ordered, paid_out, rebalanced
from tests.activities.desk import Desk, do
from tests.activities.money_steps import PRICE, SHARE
from tests.activities.test_bank_payouts import PATH, attempts, bank_says, sent
from tests.support.shop import Shop


@pytest.fixture(autouse=True)
async def _slow_bank(desk: Desk) -> None:
    """No payout arrives unless somebody says so."""
    await desk.control.ask("POST", "/settings", payout_delay="P30D")


async def departed(desk: Desk, shop: Shop, *, really: bool = True) -> None:
    """The provider takes its account away from the platform, or comes back."""
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", deauthorized=really)


async def test_what_an_account_that_left_still_has_is_taken_back_unseen(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await paid_out(desk, shop)
    await departed(desk, shop)
    assert (await ordered(desk, booking_id)).refusal is None
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.REVERSED, False)
    assert (await desk.picture(booking_id)).reversals == (SHARE,)


@pytest.mark.parametrize("code", ["balance_insufficient", "account_invalid"])
async def test_what_an_account_that_left_does_not_give_back_is_owed(desk: Desk, code: str) -> None:
    shop = await desk.shop(amount=PRICE)
    booking_id = await paid_out(desk, shop)
    await departed(desk, shop)
    await ordered(desk, booking_id)
    await desk.control.fault("fail_before", "/v1/transfers/*/reversals", status=400, code=code)
    state = await rebalanced(desk, booking_id)
    assert (state.payout_status, state.unbalanced) == (PayoutStatus.PAID, False)
    assert await debt_of(desk, booking_id) == (SHARE, 0)


async def test_an_account_that_left_with_money_on_its_way_blocks_until_it_is_back(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    booking_id = await paid_out(desk, shop)
    await sent(desk, booking_id)
    await departed(desk, shop)
    state = await sent(desk, booking_id)
    assert (state.payout_status, state.at_bank) == (PayoutStatus.BLOCKED, True)
    changed = await ordered(desk, booking_id, PRICE // 2)  # a client can always be given back
    assert (changed.refusal, changed.booking.unbalanced) == (None, True)
    assert not (await rebalanced(desk, booking_id)).unbalanced
    await departed(desk, shop, really=False)
    await bank_says(desk, booking_id, "paid")
    assert (await sent(desk, booking_id)).payout_status is PayoutStatus.PAID


async def test_an_account_that_left_before_the_bank_had_it_blocks_until_it_is_back(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    booking_id = await paid_out(desk, shop)
    await departed(desk, shop)
    for _ in range(2):
        state = await sent(desk, booking_id)
        assert (state.payout_status, await attempts(desk, booking_id)) == (PayoutStatus.BLOCKED, [])
    await departed(desk, shop, really=False)
    await sent(desk, booking_id)
    assert (await desk.picture(booking_id)).bank == (SHARE,)


async def test_an_attempt_whose_answer_was_lost_is_not_given_up_because_its_account_left(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    booking_id = await paid_out(desk, shop)
    await desk.control.fault("reset_after", PATH)
    with pytest.raises(StepError):
        await desk.activities().payouts.send_to_bank(do(booking_id))
    await departed(desk, shop)
    state = await sent(desk, booking_id)
    (attempt,) = await attempts(desk, booking_id)
    assert (state.payout_status, attempt.status) == (PayoutStatus.BLOCKED, BankPayoutStatus.PENDING)
    await departed(desk, shop, really=False)
    await sent(desk, booking_id)
    assert (await desk.picture(booking_id)).bank == (SHARE,)
