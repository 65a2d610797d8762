"""The worker's clock is ten minutes off, either way: deadlines are the workflow's, and no outcome changes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import HTTPXClient

from activities import wiring
from activities.inbox import Inbox
from activities.stripe_gateway import StripeGateway
from activities.sweeping import Sweep
from models.database import Database
from models.records import AuditEvent, StripeEvent
from models.states import BookingStatus, PaymentStatus, PayoutStatus
from sandbox.stripe.server import running as running_stripe
from settings import PolicyDefaults
from tests.sandbox.stripe.conftest import client_of
from tests.support.dev_server import dev_server
from tests.support.scratch import scratch_database
from tests.support.shop import Shop, open_shop
from tests.workflows.real import Market, RealSaga, working

pytestmark = pytest.mark.fault("C1")

OFF: Final = timedelta(minutes=10)
STARTED: Final = timedelta(seconds=-1)
HOLD: Final = timedelta(seconds=2)
UNPAID: Final = timedelta(seconds=2)
A_MOMENT: Final = timedelta(seconds=30)
"""Far less than ten minutes, and more than any step takes."""


def clock(off: timedelta) -> Callable[[], datetime]:
    """One that is wrong by so much."""
    return lambda: datetime.now(UTC) + off


@dataclass(frozen=True)
class Place:
    """Where the only worker has the wrong time; Temporal and Stripe have the right one."""

    market: Market
    database: Database
    gateway: StripeGateway

    async def shop(self, **policy: str) -> Shop:
        return await open_shop(self.database, self.gateway, policy=policy)


@pytest.fixture(scope="module", params=[OFF, -OFF], ids=["ahead", "behind"])
async def place(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Place]:
    async with AsyncExitStack() as running:
        stripe = await running.enter_async_context(running_stripe())
        gateway = StripeGateway.connect(stripe.secret_key, stripe.url)
        running.push_async_callback(gateway.close)
        http = HTTPXClient(timeout=10)
        running.push_async_callback(http.close_async)
        server = await running.enter_async_context(dev_server())
        patch = running.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(wiring, "utc_now", clock(request.param))
        activities = wiring.build(database, gateway, server.client, PolicyDefaults())
        await running.enter_async_context(working(server.client, activities))
        market = Market(server, client_of(stripe.url, stripe.secret_key, http))
        yield Place(market, database, gateway)


async def asked_for(saga: RealSaga, step: str) -> datetime:
    """When the workflow wanted a step to be taken, by Temporal's clock."""
    for event in (await saga.handle.fetch_history()).events:
        if event.activity_task_scheduled_event_attributes.activity_type.name == step:
            return event.event_time.ToDatetime(UTC)
    raise AssertionError(f"{step} was never asked for")


async def trail(saga: RealSaga) -> list[AuditEvent]:
    mine = select(AuditEvent).where(AuditEvent.booking_id == saga.booking_id)

    async def work(session: AsyncSession) -> list[AuditEvent]:
        return list(await session.scalars(mine))

    return await saga.shop.database.run(work)


async def test_a_payout_is_held_as_long_as_it_should_be(place: Place) -> None:
    shop = await place.shop(payout_hold=f"PT{HOLD.total_seconds():g}S")
    saga = await place.market.start(shop, STARTED)
    await saga.held()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    await saga.settled(captured=12_000, transfers=(9_600,))
    payout, booking = await shop.payout(saga.booking_id), await shop.booking(saga.booking_id)
    assert booking.outcome_at is not None
    assert payout.status is PayoutStatus.PAID
    assert payout.due_at == booking.outcome_at + HOLD
    assert timedelta(0) <= await asked_for(saga, "pay_out") - payout.due_at < A_MOMENT
    for step in await trail(saga):
        assert abs(step.at - step.recorded_at) < A_MOMENT, f"{step.to_status} by the worker's clock"


async def test_a_payment_window_ends_when_it_should(place: Place) -> None:
    shop = await place.shop(payment_window=f"PT{UNPAID.total_seconds():g}S")
    saga = await place.market.start(shop)
    assert (await saga.ends()).reason == "payment_timeout"
    expires_at = (await shop.booking(saga.booking_id)).expires_at
    assert timedelta(0) <= await asked_for(saga, "close_payment") - expires_at < A_MOMENT
    assert (await shop.payment(saga.booking_id)).status is PaymentStatus.VOIDED


@pytest.mark.parametrize(
    ("hours", "status", "kept"),
    [(24, BookingStatus.CANCELLED, 0), (23, BookingStatus.FORFEIT, 6_000)],
    ids=["just in time", "just too late"],
)
async def test_a_cancellation_costs_what_its_tier_says(
    place: Place, hours: int, status: BookingStatus, kept: int
) -> None:
    """A tier ends a day before: five minutes to or from that are fewer than the clock is off."""
    shop = await place.shop(payout_hold="PT0S")
    just = timedelta(minutes=5) if hours == 24 else timedelta(minutes=55)
    saga = await place.market.start(shop, timedelta(hours=hours) + just)
    await saga.confirmed()
    assert (await saga.cancel()).status is status
    await saga.ends()
    await saga.settled(captured=kept, transfers=(kept * 8 // 10,) if kept else ())


async def test_what_no_webhook_brought_is_found_whoever_looked_before(
    place: Place, database_url: str
) -> None:
    """Where one sweep stopped is where the next one begins, by another clock."""
    shop = await place.shop()
    async with scratch_database(database_url) as quiet:
        inbox = Inbox(quiet, place.market.env.client)
        await Sweep(quiet, inbox, place.gateway, clock(OFF)).run()
        for off in (-OFF, OFF, -OFF):
            saga = await place.market.start(shop, timedelta(hours=48))
            await saga.opened()
            await saga.pays()
            intent_id = await saga.intent_id()
            await Sweep(quiet, inbox, place.gateway, clock(off)).run()
            assert await kept(quiet, intent_id)
            await saga.cancel()
            await saga.ends()


async def kept(database: Database, intent_id: str) -> list[str]:
    """The events about an intent in the inbox."""
    mine = select(StripeEvent.id).where(StripeEvent.payment_intent_id == intent_id)

    async def work(session: AsyncSession) -> list[str]:
        return list(await session.scalars(mine))

    return await database.run(work)
