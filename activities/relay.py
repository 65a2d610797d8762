"""The relay: delivers what is left in the inbox, and takes up news of providers' accounts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.errors import StepError
from activities.inbox import ACCOUNT_EVENTS, CHANNEL, Delivery, Inbox
from activities.stripe_gateway import StripeGateway
from models.catalogue import Provider
from models.database import Database
from models.keys import APP
from models.records import StripeEvent
from workflows.contracts import RelayBatch
from workflows.policies import RELAY_LIFE
from workflows.steps import RelaySteps

log = structlog.get_logger()

BATCH: Final = 50
POLL: Final = timedelta(seconds=1)
"""Back-offs end without a NOTIFY, so the inbox is also looked at this often."""
LEASE: Final = timedelta(seconds=30)
STRANGER_AFTER: Final = timedelta(minutes=10)
"""How long a payment nobody knows may still turn out to be one that we are just making."""


class RelayActivities(RelaySteps):
    """Implements `RelaySteps`."""

    def __init__(
        self, database: Database, inbox: Inbox, gateway: StripeGateway, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._gateway = gateway
        self._now = now

    @activity.defn
    async def relay_inbox(self) -> RelayBatch:
        """Deliver for an hour, or until the worker stops; every round heartbeats."""
        delivered = 0
        until = self._now() + RELAY_LIFE
        waiting = activity.metric_meter().create_gauge("stripe_events_pending", "Events not delivered yet")
        async with self._woken() as woken:
            while self._now() < until and not activity.is_worker_shutdown():
                delivered += await self.deliver_due()
                waiting.set(await self._database.run(_pending))
                activity.heartbeat(delivered)
                await woken()
        return RelayBatch(delivered=delivered)

    async def deliver_due(self) -> int:
        """Deliver what is due now; answers how many events left the inbox."""
        events = await self._database.run(_claim)
        results = [await self._deliver(event) for event in events]
        return sum(result is not Delivery.PENDING for result in results)

    async def _deliver(self, event: StripeEvent) -> Delivery:
        try:
            if event.type in ACCOUNT_EVENTS:
                return await self._update_provider(event)
            delivery = await self._inbox.deliver(event.id)
            if delivery is Delivery.PENDING and await self._is_strange(event):
                await self._inbox.handled(event.id, Delivery.IGNORED)
                return Delivery.IGNORED
        except StepError as error:
            log.warning("event not delivered", event_id=event.id, failure=error.failure)
            await self._inbox.postpone(event.id, str(error))
            return Delivery.PENDING
        return delivery

    async def _update_provider(self, event: StripeEvent) -> Delivery:
        """An account changed: read it again and keep what payouts depend on."""
        account_id = event.account or event.object_id
        if account_id is None:
            await self._inbox.handled(event.id, Delivery.IGNORED)
            return Delivery.IGNORED
        gone = event.type == "account.application.deauthorized"
        account = None if gone else await self._gateway.retrieve_account(account_id)
        known = (
            update(Provider)
            .where(Provider.stripe_account_id == account_id)
            .values(
                transfers_active=account is not None and account.transfers_active,
                payouts_enabled=account is not None and account.payouts_enabled,
            )
            .returning(Provider.id)
        )
        found = await self._database.run(lambda session: session.scalar(known))
        delivery = Delivery.PROVIDER_UPDATED if found else Delivery.IGNORED
        await self._inbox.handled(event.id, delivery)
        return delivery

    async def _is_strange(self, event: StripeEvent) -> bool:
        """Somebody else's payment on the same Stripe account is left alone (DESIGN 9)."""
        if event.payment_intent_id is None or self._now() - event.received_at < STRANGER_AFTER:
            return False
        intent = await self._gateway.retrieve_intent(event.payment_intent_id)
        if intent.metadata.get("app") != APP:
            return True
        log.error("a payment of ours has no booking to tell", event_id=event.id, intent=intent.id)
        return False

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


async def _claim(session: AsyncSession) -> list[StripeEvent]:
    """Lease due events; a relay that dies lets the lease run out."""
    due = (
        select(StripeEvent.id)
        .where(StripeEvent.handled_at.is_(None), StripeEvent.next_attempt_at <= func.now())
        .order_by(StripeEvent.next_attempt_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    leased = (
        update(StripeEvent)
        .where(StripeEvent.id.in_(due))
        .values(next_attempt_at=func.now() + LEASE)
        .returning(StripeEvent)
    )
    return list(await session.scalars(leased))


async def _pending(session: AsyncSession) -> int:
    waiting = select(func.count()).select_from(StripeEvent).where(StripeEvent.handled_at.is_(None))
    return (await session.execute(waiting)).scalar_one()
