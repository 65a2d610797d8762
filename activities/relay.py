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

from activities.errors import Failure, StripeFailure
from activities.inbox import ACCOUNT_EVENTS, CHANNEL, Delivery, Inbox
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Account
from models.catalogue import Provider
from models.database import Database
from models.keys import APP
from models.records import StripeEvent
from workflows.contracts import RelayBatch
from workflows.policies import RELAY_LIFE
from workflows.steps import RelaySteps

log = structlog.get_logger()

BATCH: Final = 10
"""Few enough that the lease outlasts them also when every one is slow."""
POLL: Final = timedelta(seconds=1)
"""Back-offs end without a NOTIFY, so the inbox is also looked at this often."""
LEASE: Final = timedelta(minutes=2)
ACCOUNT_GONE: Final = frozenset({Failure.PROVIDER_NOT_PAYABLE, Failure.STRIPE_AUTHENTICATION})
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
        delivered = 0
        for event in await self._database.run(_claim):
            delivered += await self._deliver(event) is not Delivery.PENDING
            if activity.in_activity():
                activity.heartbeat(delivered)
        return delivered

    async def _deliver(self, event: StripeEvent) -> Delivery:
        try:
            return await self._deliver_or_ignore(event)
        except Exception as error:  # noqa: BLE001 - one event must not hold up those behind it
            log.warning("event not delivered", event_id=event.id, failure=type(error).__name__)
            await self._inbox.postpone(event.id, type(error).__name__)
            return Delivery.PENDING

    async def _deliver_or_ignore(self, event: StripeEvent) -> Delivery:
        if event.type in ACCOUNT_EVENTS:
            return await self._update_provider(event)
        delivery = await self._inbox.deliver(event.id)
        if delivery is Delivery.PENDING and await self._is_strange(event):
            await self._inbox.handled(event.id, Delivery.IGNORED)
            return Delivery.IGNORED
        return delivery

    async def _update_provider(self, event: StripeEvent) -> Delivery:
        """An account changed: read it again and keep what payouts depend on."""
        account_id = event.account or event.object_id
        ours = select(Provider.id).where(Provider.stripe_account_id == account_id)
        provider_id = await self._database.run(lambda session: session.scalar(ours))
        if account_id is None or provider_id is None:
            await self._inbox.handled(event.id, Delivery.IGNORED)
            return Delivery.IGNORED
        account = await self._account(account_id)
        changed = (
            update(Provider)
            .where(Provider.id == provider_id)
            .values(
                transfers_active=account is not None and account.transfers_active,
                payouts_enabled=account is not None and account.payouts_enabled,
            )
        )
        await self._database.run(lambda session: session.execute(changed))
        await self._inbox.handled(event.id, Delivery.PROVIDER_UPDATED)
        return Delivery.PROVIDER_UPDATED

    async def _account(self, account_id: str) -> Account | None:
        """The account, unless it has been taken from us (deauthorized, deleted)."""
        try:
            return await self._gateway.retrieve_account(account_id)
        except StripeFailure as failure:
            if failure.failure not in ACCOUNT_GONE:
                raise
            return None

    async def _is_strange(self, event: StripeEvent) -> bool:
        """Somebody else's payment on the same Stripe account is left alone (DESIGN 9)."""
        if self._now() - event.received_at < STRANGER_AFTER:
            return False
        if event.payment_intent_id is None:
            return True
        try:
            intent = await self._gateway.retrieve_intent(event.payment_intent_id)
        except StripeFailure as failure:
            if failure.code != "resource_missing":
                raise
            return True
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
