"""Runs that are reset to their first task, or terminated and started again, after money has moved: Postgres wins."""

from datetime import timedelta
from typing import Final

import pytest

from activities.stripe_gateway import StripeGateway
from models.database import Database
from models.states import BookingStatus, PayoutStatus
from tests.support.shop import Shop, open_shop
from tests.workflows.real import Control, Market, Money, RealSaga
from workflows.parking import Step
from workflows.search_attributes import ATTENTION_STEP

pytestmark = pytest.mark.fault("R1")

STARTED: Final = timedelta(seconds=-1)
FUNDS_AT_ONCE: Final = "pm_card_bypassPending"
REVERSALS: Final = "/v1/transfers/*/reversals"


@pytest.fixture
async def quick_shop(database: Database, gateway: StripeGateway) -> Shop:
    """Whose money is hardly held."""
    return await open_shop(database, gateway, policy={"payout_hold": "PT1S"})


async def paid_out(market: Market, shop: Shop) -> RealSaga:
    """With funds that can be taken back."""
    saga = await market.start(shop, STARTED)
    await saga.held(FUNDS_AT_ONCE)
    await saga.ends()
    return saga


async def a_quarter_went_back(saga: RealSaga) -> None:
    """Once: refunded, and the provider's part of it reversed."""
    assert await saga.money() == Money("succeeded", 12_000, 3_000, (9_600,), reversed=2_400)
    assert (await saga.shop.payout(saga.booking_id)).status is PayoutStatus.PARTIALLY_REVERSED
    await saga.balanced()


async def test_reset_after_a_refund_it_does_not_refund_again(dev_market: Market, shop: Shop) -> None:
    saga = await dev_market.start(shop, STARTED)
    await saga.held()
    await saga.refund(4_000)
    again = await saga.reset()
    await again.pay_now()
    assert (await again.ends()).status is BookingStatus.COMPLETED
    await again.settled(captured=12_000, refunded=4_000, transfers=(6_400,))


async def test_reset_after_a_reversal_neither_run_moves_money_again(
    dev_market: Market, quick_shop: Shop
) -> None:
    saga = await paid_out(dev_market, quick_shop)
    care = await saga.refunded_afterwards(3_000)
    await care.ends()
    await a_quarter_went_back(saga)
    assert (await (await care.reset()).ends()).payout_status is PayoutStatus.PARTIALLY_REVERSED
    await a_quarter_went_back(saga)
    assert (await (await saga.reset()).ends()).status is BookingStatus.COMPLETED
    await a_quarter_went_back(saga)


async def test_aftercare_that_is_terminated_before_its_reversal_is_finished_by_the_next_one(
    dev_market: Market, quick_shop: Shop, control: Control
) -> None:
    saga = await paid_out(dev_market, quick_shop)
    match = {"method": "POST", "path": REVERSALS, "key": f"*{saga.booking_id}*"}
    await control.ask("POST", "/faults", action="fail_before", status=400, match=match)
    care = await saga.refunded_afterwards(3_000)
    await care.shows(ATTENTION_STEP, value=Step.REBALANCE)
    await care.terminated()
    again = await saga.money_moves_afterwards("evt_again")
    assert (await again.ends()).payout_status is PayoutStatus.PARTIALLY_REVERSED
    await a_quarter_went_back(saga)


async def test_terminated_after_its_capture_a_booking_captures_and_transfers_once(
    dev_market: Market, quick_shop: Shop
) -> None:
    saga = await dev_market.start(quick_shop, STARTED)
    await saga.held()
    await saga.terminated()
    starts_at = (await quick_shop.session_of(saga.booking_id)).starts_at
    request = quick_shop.request(booking_id=saga.booking_id).model_copy(update={"starts_at": starts_at})
    again = await dev_market.begin(quick_shop, request)
    assert (await again.ends()).status is BookingStatus.COMPLETED
    await again.settled(captured=12_000, transfers=(9_600,))
