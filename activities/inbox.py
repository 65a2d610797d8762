"""The webhook inbox: store first, then tell the booking; what cannot be told yet stays (DESIGN 9).

Routing is by ids in our own database; metadata in an event is a hint and is not even kept.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client
from temporalio.service import RPCError

from activities.routing import (
    ACCOUNT_EVENTS,
    PAYMENT_EVENTS,
    TAKES_MONEY,
    Owner,
    is_known_refund,
    is_ours,
    owner_of,
    settled_before,
)
from activities.telling import Telling
from models.database import Database
from models.records import StripeEvent
from workflows.contracts import MoneyFact, PaymentFact
from workflows.followups import Stray

log = structlog.get_logger()

CHANNEL: Final = "stripe_events"
FIRST_DELIVERY: Final = timedelta(seconds=5)
"""How long the webhook request itself has before the relay takes the event up."""
LONGEST_PAUSE: Final = timedelta(minutes=10)
AWAY_PAUSE: Final = timedelta(seconds=30)
"""While Temporal is away: however long that lasts, what was told meanwhile arrives within a minute after it."""

QUIET: Final = frozenset(PAYMENT_EVENTS) | {"charge.refunded", "refund.created"}
"""What a settlement brings about by itself."""


class InboundEvent(BaseModel):
    """A verified event, reduced to what routing needs. Never its snapshot of the object."""

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    account: str | None
    livemode: bool
    object_id: str | None
    payment_intent_id: str | None
    charge_id: str | None = None


class Delivery(StrEnum):
    """What became of an event."""

    SIGNALLED = "signalled"
    KNOWN = "known"
    IGNORED = "ignored"
    PENDING = "pending"
    PROVIDER_UPDATED = "provider_updated"
    AFTERCARE = "aftercare"
    SETTLING = "settling"
    UNKNOWN = "unknown"
    """No booking of ours has anything to do with it, yet."""
    LATE = "late"
    """Money for a payment that is over by our books: to be read at Stripe."""


LEFT: Final[dict[Delivery, str]] = {
    Delivery.PENDING: "nobody to tell yet",
    Delivery.UNKNOWN: "nobody knows it yet",
    Delivery.LATE: "money for a payment that is over",
}
"""Why an event stays in the inbox."""


class Inbox:
    """Stores events and passes them to their bookings."""

    def __init__(self, database: Database, temporal: Client) -> None:
        self._database = database
        self.telling = Telling(temporal)

    async def store(self, event: InboundEvent) -> bool:
        """Keep the event; False when it was handled before. Only now may Stripe be told 200."""

        async def work(session: AsyncSession) -> bool:
            values = event.model_dump() | {"next_attempt_at": func.now() + FIRST_DELIVERY}
            added = insert(StripeEvent).values(values).on_conflict_do_nothing().returning(StripeEvent.id)
            if await session.scalar(added) is not None:
                await session.execute(select(func.pg_notify(CHANNEL, event.id)))
                return True
            return (await session.get_one(StripeEvent, event.id)).handled_at is None

        return await self._database.run(work)

    async def deliver(self, event_id: str) -> Delivery:
        """Tell the booking; an event that cannot be told yet stays for the relay."""
        event = await self._database.run(lambda session: session.get_one(StripeEvent, event_id))
        if event.handled_at is not None:
            return Delivery.KNOWN
        try:
            delivery = await self._route(event)
        except (RPCError, RuntimeError) as error:  # RuntimeError: a client that never got to connect
            reason = error.status.name if isinstance(error, RPCError) else "not connected"
            log.warning("booking could not be told", event_id=event_id, error=reason)
            await self.postpone(event_id, f"Temporal: {reason}", AWAY_PAUSE)
            return Delivery.PENDING
        if delivery in LEFT:
            await self.postpone(event_id, LEFT[delivery])
        else:
            await self.handled(event_id, delivery)
        return delivery

    async def handled(self, event_id: str, delivery: Delivery) -> None:
        """Take the event off the inbox."""
        await self._update(event_id, handled_at=func.now(), result=delivery, last_error=None)

    async def postpone(self, event_id: str, why: str, at_most: timedelta = LONGEST_PAUSE) -> None:
        """Try again later: 1 s, doubling."""
        longest = int(at_most.total_seconds())
        delay = func.least(longest, func.power(2, func.least(StripeEvent.attempts, 12)))
        await self._update(
            event_id,
            attempts=StripeEvent.attempts + 1,
            next_attempt_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, delay),
            last_error=why,
        )

    async def settle(self, event: StripeEvent) -> Delivery:
        """Have a payment that no live booking knows settled, and take the event off the inbox."""
        stray = Stray(payment_intent_id=event.payment_intent_id or "", event_id=event.id)
        await self.telling.settle(stray)
        await self.handled(event.id, Delivery.SETTLING)
        return Delivery.SETTLING

    async def _route(self, event: StripeEvent) -> Delivery:
        if event.type in ACCOUNT_EVENTS:
            return Delivery.PENDING  # the relay reads the account first
        if not is_ours(event):
            return Delivery.IGNORED
        owner = await self._database.run(lambda session: owner_of(session, event))
        if owner is None:
            return await self._route_stray(event)
        if event.type in PAYMENT_EVENTS:
            return await self._route_payment(event, owner)
        return await self._route_money(event, owner)

    async def _route_payment(self, event: StripeEvent, owner: Owner) -> Delivery:
        if owner.gone:
            return Delivery.LATE if event.type in TAKES_MONEY else Delivery.KNOWN
        if owner.payment is None or owner.payment.status in PAYMENT_EVENTS[event.type]:
            return Delivery.KNOWN
        fact = PaymentFact(event_id=event.id, payment_intent_id=owner.payment.payment_intent_id)
        if await self.telling.tell(owner.booking_id, "payment_changed", fact):
            return Delivery.SIGNALLED
        # A booking that ended has settled its payment; one that has not lost its run, and gets another.
        return Delivery.KNOWN if owner.ended else Delivery.PENDING

    async def _route_money(self, event: StripeEvent, owner: Owner) -> Delivery:
        if await self._database.run(lambda session: is_known_refund(session, event, owner)):
            return Delivery.KNOWN
        fact = MoneyFact(event_id=event.id, object_id=event.object_id)
        if await self.telling.tell(owner.booking_id, "money_changed", fact):
            return Delivery.SIGNALLED
        if not owner.ended:
            return Delivery.PENDING
        await self.telling.tell_aftercare(owner.booking_id, fact)
        return Delivery.AFTERCARE

    async def _route_stray(self, event: StripeEvent) -> Delivery:
        """A payment that was settled without a booking: only what changed since is news."""
        if not await self._database.run(lambda session: settled_before(session, event)):
            return Delivery.UNKNOWN
        return Delivery.KNOWN if event.type in QUIET else await self.settle(event)

    async def _update(self, event_id: str, **values: object) -> None:
        changed = update(StripeEvent).where(StripeEvent.id == event_id).values(**values)

        async def work(session: AsyncSession) -> None:
            await session.execute(changed)

        await self._database.run(work)
