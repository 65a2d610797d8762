"""The relay: delivers what is left in the inbox, takes up news of accounts, and finds what is nobody's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.account_news import AccountNews
from activities.inbox import CHANNEL, Delivery, Inbox
from activities.notifications import Postman, delivering
from activities.routing import ACCOUNT_EVENTS
from activities.stray_payments import being_made, is_ours, read_stray, stands
from activities.stripe_gateway import StripeGateway
from models.database import Database
from models.records import StripeEvent
from settings import ORPHAN_AFTER
from workflows.contracts import RelayBatch
from workflows.policies import RELAY_LIFE
from workflows.steps import RelaySteps

log = structlog.get_logger()

BATCH: Final = 100
"""After as many, what is left is counted, though more may be due."""
POLL: Final = timedelta(seconds=1)
"""Back-offs end without a NOTIFY, so the inbox is also looked at this often."""
LEASE: Final = timedelta(seconds=30)
"""Longer than an event usually takes; one that is taken twice is still applied once. A relay that dies keeps the event in its
hands from the next one for as long."""


class RelayActivities(RelaySteps):
    """Implements `RelaySteps`."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        gateway: StripeGateway,
        now: Callable[[], datetime],
        *,
        orphan_after: timedelta = ORPHAN_AFTER,
        postman: Postman | None = None,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._gateway = gateway
        self._now = now
        self._postman = postman
        self._orphan_after = orphan_after
        self._accounts = AccountNews(database, gateway, inbox.telling)

    @activity.defn
    async def relay_inbox(self) -> RelayBatch:
        """Deliver for an hour, or until the worker stops; every round heartbeats."""
        delivered = 0
        until = self._now() + RELAY_LIFE
        waiting = activity.metric_meter().create_gauge("stripe_events_pending", "Events not delivered yet")
        async with delivering(self._postman), self._woken() as woken:
            while self._now() < until and not _stopping():
                delivered += await self.deliver_due()
                waiting.set(await self._database.run(_pending))
                activity.heartbeat(delivered)
                await woken()
        return RelayBatch(delivered=delivered)

    async def deliver_due(self) -> int:
        """Deliver what is due now, one after the other; answers how many events left the inbox."""
        delivered = 0
        for _ in range(BATCH):
            if _stopping() or (event := await self._database.run(_claim)) is None:
                break
            delivered += await self._deliver(event) is not Delivery.PENDING
            if activity.in_activity():
                activity.heartbeat(delivered)
        return delivered

    async def _deliver(self, event: StripeEvent) -> Delivery:
        try:
            return await self._deliver_or_settle(event)
        except Exception as error:  # noqa: BLE001 - one event must not hold up those behind it
            log.warning("event not delivered", event_id=event.id, failure=type(error).__name__)
            await self._inbox.postpone(event.id, type(error).__name__)
            return Delivery.PENDING

    async def _deliver_or_settle(self, event: StripeEvent) -> Delivery:
        if event.type in ACCOUNT_EVENTS:
            ours = await self._accounts.take_up(event.account or event.object_id)
            return await self._done(event, Delivery.PROVIDER_UPDATED if ours else Delivery.IGNORED)
        delivery = await self._inbox.deliver(event.id)
        if delivery is Delivery.LATE:
            return await self._late(event)
        if delivery is Delivery.UNKNOWN:
            return await self._unknown(event)
        return delivery

    async def _late(self, event: StripeEvent) -> Delivery:
        """Our books say that the payment is over. Does Stripe say so, too? (TRAPS 12, 13)."""
        intent = await read_stray(self._gateway, event.payment_intent_id)
        if intent is None or not stands(intent):
            return await self._done(event, Delivery.KNOWN)
        if await self._database.run(lambda session: being_made(session, intent)):
            return Delivery.PENDING  # an authorization that is being renewed
        log.warning("a payment that was over stands at Stripe", event_id=event.id, intent=intent.id)
        return await self._inbox.settle(event)

    async def _unknown(self, event: StripeEvent) -> Delivery:
        """A payment of ours without a booking is settled; somebody else's is left alone (DESIGN 9)."""
        if self._now() - event.received_at < self._orphan_after:
            return Delivery.PENDING
        intent = await read_stray(self._gateway, event.payment_intent_id)
        if intent is None or not is_ours(intent, livemode=self._gateway.livemode):
            return await self._done(event, Delivery.IGNORED)
        if await self._database.run(lambda session: being_made(session, intent)):
            return Delivery.PENDING
        log.error("a payment of ours has no booking", event_id=event.id, intent=intent.id)
        return await self._inbox.settle(event)

    async def _done(self, event: StripeEvent, delivery: Delivery) -> Delivery:
        await self._inbox.handled(event.id, delivery)
        return delivery

    @asynccontextmanager
    async def _woken(self) -> AsyncIterator[Callable[[], Any]]:
        """Listen for new events; the yielded call returns on one, or after `POLL`."""
        bell = asyncio.Event()
        async with self._database.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection
            await driver.add_listener(CHANNEL, lambda *_: bell.set())

            async def woken() -> None:
                try:
                    await asyncio.wait_for(bell.wait(), POLL.total_seconds())
                except TimeoutError:
                    await driver.execute("SELECT 1")  # a connection that died hears no bell
                bell.clear()

            try:
                yield woken
            finally:
                # A listening connection must not go back to the pool.
                await connection.invalidate()


def _stopping() -> bool:
    """The worker is asked to end: what is not begun is the next relay's."""
    return activity.in_activity() and activity.is_worker_shutdown()


async def _claim(session: AsyncSession) -> StripeEvent | None:
    """Lease the event that has been due longest; a relay that dies lets the lease run out."""
    due = (
        select(StripeEvent.id)
        .where(StripeEvent.handled_at.is_(None), StripeEvent.next_attempt_at <= func.now())
        .order_by(StripeEvent.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    leased = (
        update(StripeEvent)
        .where(StripeEvent.id == due.scalar_subquery())
        .values(next_attempt_at=func.now() + LEASE)
        .returning(StripeEvent)
    )
    return await session.scalar(leased)


async def _pending(session: AsyncSession) -> int:
    waiting = select(func.count()).select_from(StripeEvent).where(StripeEvent.handled_at.is_(None))
    return (await session.execute(waiting)).scalar_one()
