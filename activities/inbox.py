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
from temporalio.service import RPCError, RPCStatusCode

from models.database import Database
from models.keys import workflow_id_for
from models.payments import Payment, Refund
from models.records import StripeEvent
from models.states import MONEY_TAKEN, PaymentStatus
from workflows.contracts import PaymentFact

log = structlog.get_logger()

CHANNEL: Final = "stripe_events"
FIRST_DELIVERY: Final = timedelta(seconds=5)
"""How long the webhook request itself has before the relay takes the event up."""
SIGNAL_TIMEOUT: Final = timedelta(seconds=5)

_GONE: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})
_REFUNDED: Final = frozenset({PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED})
_DECIDED: Final = MONEY_TAKEN | _GONE | {PaymentStatus.AUTHORIZED}

OLD_NEWS: Final[dict[str, frozenset[PaymentStatus]]] = {
    "payment_intent.amount_capturable_updated": _DECIDED,
    "payment_intent.succeeded": MONEY_TAKEN,
    "payment_intent.payment_failed": _DECIDED,
    "payment_intent.canceled": _GONE,
    "payment_intent.processing": _DECIDED,
    "payment_intent.requires_action": _DECIDED,
    "charge.captured": MONEY_TAKEN,
    "charge.expired": _GONE,
    "charge.refunded": _REFUNDED,
    "refund.created": _REFUNDED,
    "refund.updated": _REFUNDED,
}
"""Payment events, and the statuses in which our books already say what the event says."""

ACCOUNT_EVENTS: Final = frozenset(
    {"account.updated", "capability.updated", "account.application.deauthorized"}
)


class InboundEvent(BaseModel):
    """A verified event, reduced to what routing needs. Never its snapshot of the object."""

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    account: str | None
    livemode: bool
    object_id: str | None
    payment_intent_id: str | None


class Delivery(StrEnum):
    """What became of an event."""

    SIGNALLED = "signalled"
    KNOWN = "known"
    IGNORED = "ignored"
    PENDING = "pending"
    PROVIDER_UPDATED = "provider_updated"


class Inbox:
    """Stores events and passes them to their bookings."""

    def __init__(self, database: Database, temporal: Client) -> None:
        self._database = database
        self._temporal = temporal

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
            await self.postpone(event_id, f"Temporal: {reason}")
            return Delivery.PENDING
        if delivery is Delivery.PENDING:
            await self.postpone(event_id, "nobody to tell yet")
        else:
            await self.handled(event_id, delivery)
        return delivery

    async def handled(self, event_id: str, delivery: Delivery) -> None:
        """Take the event off the inbox."""
        await self._update(event_id, handled_at=func.now(), result=delivery, last_error=None)

    async def postpone(self, event_id: str, why: str) -> None:
        """Try again later: 1 s doubling to 10 min."""
        delay = func.least(600, func.power(2, func.least(StripeEvent.attempts, 12)))
        await self._update(
            event_id,
            attempts=StripeEvent.attempts + 1,
            next_attempt_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, delay),
            last_error=why,
        )

    async def _route(self, event: StripeEvent) -> Delivery:
        if event.type in ACCOUNT_EVENTS:
            return Delivery.PENDING
        if event.type not in OLD_NEWS or event.account is not None:
            return Delivery.IGNORED  # our payments are all on the platform's own account
        payment = await self._database.run(lambda session: _payment_of(session, event))
        if payment is None:
            return Delivery.PENDING
        if payment.status in OLD_NEWS[event.type]:
            return Delivery.KNOWN
        fact = PaymentFact(event_id=event.id, payment_intent_id=payment.payment_intent_id)
        handle = self._temporal.get_workflow_handle(workflow_id_for(payment.booking_id))
        try:
            await handle.signal("payment_changed", fact, rpc_timeout=SIGNAL_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return Delivery.PENDING
        return Delivery.SIGNALLED

    async def _update(self, event_id: str, **values: object) -> None:
        changed = update(StripeEvent).where(StripeEvent.id == event_id).values(**values)

        async def work(session: AsyncSession) -> None:
            await session.execute(changed)

        await self._database.run(work)


async def _payment_of(session: AsyncSession, event: StripeEvent) -> Payment | None:
    """The payment that an event is about: by its intent, or by a refund that we know."""
    if event.payment_intent_id is not None:
        by_intent = select(Payment).where(Payment.payment_intent_id == event.payment_intent_id)
        return (await session.scalars(by_intent)).one_or_none()
    by_refund = select(Payment).join(Refund, Refund.payment_id == Payment.id)
    found = await session.scalars(by_refund.where(Refund.refund_id == event.object_id))
    return found.one_or_none()
