"""What the server that skips time cannot show: one round trip, the UI's texts, resets (real time)."""

from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType

from activities.stripe_gateway import StripeGateway
from models.database import Database
from models.keys import workflow_id_for
from models.states import BookingStatus, PaymentStatus, PayoutStatus
from tests.support.shop import Shop, open_shop
from tests.workflows.real import SUMMARY, Control, Market, until
from workflows.parking import Action, Step
from workflows.search_attributes import (
    ATTENTION_STEP,
    BOOKING_STATUS,
    NEEDS_ATTENTION,
    PAYOUT_DUE_AT,
    PROVIDER_ID,
    SERVICE_ID,
    SESSION_STARTS_AT,
)

NOW = timedelta(seconds=-1)


@pytest.fixture
async def quick_shop(database: Database, gateway: StripeGateway) -> Shop:
    """Whose money is held for a second and a half."""
    return await open_shop(database, gateway, policy={"payout_hold": "PT1.5S"})


async def test_a_booking_is_started_and_answered_in_one_round_trip(dev_market: Market, shop: Shop) -> None:
    request = await dev_market.request(shop)
    saga, opened = await dev_market.open_at_once(shop, request)
    assert (opened.refusal, opened.status) == (None, BookingStatus.PENDING)
    _, again = await dev_market.open_at_once(shop, request)
    assert again == opened
    intent = await dev_market.sdk.v1.payment_intents.retrieve_async(await saga.intent_id())
    mine = await dev_market.sdk.v1.payment_intents.list_async({"customer": str(intent.customer)})
    assert [one.id for one in mine.data] == [intent.id]
    await saga.cancel()
    await saga.ends()


async def test_the_console_tells_a_booking_apart_and_says_what_it_waits_for(
    dev_market: Market, shop: Shop
) -> None:
    request = await dev_market.request(shop)
    saga, _ = await dev_market.open_at_once(shop, request)
    await saga.pays()
    await saga.confirm()
    description = await saga.handle.describe()
    assert await description.static_summary() == SUMMARY
    shown = description.typed_search_attributes
    assert shown.get(BOOKING_STATUS) == "CONFIRMED"
    assert shown.get(NEEDS_ATTENTION) is False
    assert (shown.get(PROVIDER_ID), shown.get(SERVICE_ID)) == (str(shop.provider_id), str(shop.service_id))
    assert shown.get(SESSION_STARTS_AT) == request.starts_at
    assert "waiting for the session's outcome" in await saga.details()
    history = await saga.handle.fetch_history()
    scheduled = [
        event
        for event in history.events
        if event.event_type
        in (EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, EventType.EVENT_TYPE_TIMER_STARTED)
    ]
    assert scheduled
    assert all(event.user_metadata.HasField("summary") for event in scheduled)
    await saga.cancel()
    await saga.ends()


@pytest.fixture
async def impatient_shop(database: Database, gateway: StripeGateway) -> Shop:
    """Whose blocked payouts are ops' business at once."""
    return await open_shop(database, gateway, policy={"payout_hold": "PT1.5S", "payout_patience": "PT0S"})


@pytest.mark.fault("S5")
async def test_ops_find_what_needs_them_by_its_step(
    dev_market: Market, impatient_shop: Shop, control: Control
) -> None:
    saga = await dev_market.start(impatient_shop, NOW)
    await control.ask("POST", f"/accounts/{impatient_shop.account_id}", transfers="inactive")
    await saga.held()
    await saga.shows(ATTENTION_STEP, value="pay_out")
    query = (
        f"NeedsAttention = true AND AttentionStep = 'pay_out' AND ProviderId = '{impatient_shop.provider_id}'"
    )

    async def found() -> list[str]:
        return [one.id async for one in saga.env.client.list_workflows(query)]

    assert await until(found) == [workflow_id_for(saga.booking_id)]
    payout = await impatient_shop.payout(saga.booking_id)
    assert payout.status is PayoutStatus.BLOCKED
    assert await saga.attribute(PAYOUT_DUE_AT) == payout.due_at
    await control.ask("POST", f"/accounts/{impatient_shop.account_id}", transfers="active")
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    await saga.ends()
    assert await saga.attribute(NEEDS_ATTENTION) is False
    await saga.settled(captured=12_000, transfers=(9600,))


@pytest.mark.fault("R2")
async def test_cancelled_in_temporal_a_booking_is_undone(dev_market: Market, shop: Shop) -> None:
    saga = await dev_market.start(shop)
    await saga.confirmed()
    await saga.handle.cancel()
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_ops")
    await saga.settled(captured=0)
    assert (await shop.payment(saga.booking_id)).status is PaymentStatus.VOIDED


@pytest.mark.fault("R1")
async def test_reset_after_the_capture_does_not_capture_again(dev_market: Market, quick_shop: Shop) -> None:
    saga = await dev_market.start(quick_shop, NOW)
    await saga.held()
    due_at = (await quick_shop.payout(saga.booking_id)).due_at
    again = await saga.reset()
    assert (await again.ends()).status is BookingStatus.COMPLETED
    await again.settled(captured=12_000, transfers=(9600,))
    assert (await quick_shop.payout(saga.booking_id)).due_at == due_at
    history = await again.handle.fetch_history()
    names = [event.activity_task_scheduled_event_attributes.activity_type.name for event in history.events]
    assert [name for name in names if name] == ["reserve", "pay_out"]


@pytest.mark.fault("R1")
async def test_reset_after_the_transfer_does_not_transfer_again(dev_market: Market, quick_shop: Shop) -> None:
    saga = await dev_market.start(quick_shop, NOW)
    await saga.held()
    await saga.ends()
    again = await saga.reset()
    assert (await again.ends()).status is BookingStatus.COMPLETED
    await again.settled(captured=12_000, transfers=(9600,))


@pytest.mark.fault("R1")
async def test_reset_while_confirmed_keeps_the_one_payment(dev_market: Market, quick_shop: Shop) -> None:
    saga = await dev_market.start(quick_shop, timedelta(hours=1))
    await saga.confirmed()
    intent_id = await saga.intent_id()
    again = await saga.reset()
    assert (await again.confirm()).status is BookingStatus.CONFIRMED
    assert await again.intent_id() == intent_id
    await again.cancel()
    await again.ends()
