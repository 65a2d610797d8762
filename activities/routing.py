"""Whom an event of Stripe's concerns: by ids in our own database, and what our books say of it already.

What is on the books is old news, but a shortcut must never swallow news: a refund that changes and
everything about a dispute always goes on (DESIGN section 9, TRAPS 13 to 16).
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from models.bookings import Booking
from models.keys import stray_id_for
from models.payments import BankPayout, Dispute, Payment, Payout, ProviderTransfer, Refund
from models.records import StripeEvent, StripeOperation
from models.states import MONEY_TAKEN, TERMINAL_BOOKING, PaymentStatus, RefundStatus

GONE: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})
_DECIDED: Final = MONEY_TAKEN | {PaymentStatus.AUTHORIZED}
_KEPT: Final = _DECIDED | {PaymentStatus.SAVED}

PAYMENT_EVENTS: Final[dict[str, frozenset[PaymentStatus]]] = {
    "payment_intent.amount_capturable_updated": _DECIDED,
    "payment_intent.succeeded": MONEY_TAKEN,
    "payment_intent.payment_failed": _DECIDED,
    "payment_intent.canceled": frozenset(),
    "payment_intent.processing": _DECIDED,
    "payment_intent.requires_action": _DECIDED,
    "setup_intent.succeeded": _KEPT,
    "setup_intent.setup_failed": _KEPT,
    "checkout.session.completed": _KEPT,
    "checkout.session.expired": _KEPT,
    "checkout.session.async_payment_succeeded": MONEY_TAKEN,
    "checkout.session.async_payment_failed": _DECIDED,
    "charge.captured": MONEY_TAKEN,
    "charge.expired": frozenset(),
}
"""Events of a payment on its way, and the statuses in which our books already say what they say."""

TAKES_MONEY: Final = frozenset(
    {
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "charge.captured",
    }
)
"""What is news even of a payment that is over: somebody's money may be with us after all."""

MONEY_EVENTS: Final = frozenset(
    {
        "charge.refunded",
        "charge.refund.updated",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "transfer.reversed",
    }
)
"""Events of money that was taken; it may still move years later."""

BANK_EVENTS: Final = frozenset({"payout.paid", "payout.failed", "payout.canceled"})
"""Events of a connected account's way to its bank."""

ACCOUNT_EVENTS: Final = frozenset(
    {"account.updated", "capability.updated", "account.application.deauthorized"}
)

HANDLED: Final = frozenset(PAYMENT_EVENTS) | MONEY_EVENTS | BANK_EVENTS | ACCOUNT_EVENTS


@dataclass(frozen=True)
class Owner:
    """The booking that an event concerns. Without a payment, the intent is one of an earlier round."""

    booking_id: UUID
    ended: bool
    payment: Payment | None = None

    @property
    def gone(self) -> bool:
        """Our books say that there is no money behind the payment."""
        return self.payment is None or self.payment.status in GONE


def is_ours(event: StripeEvent) -> bool:
    """Whether the event is of a kind, and from an account, that means something to us."""
    if event.type in BANK_EVENTS:
        return event.account is not None
    return event.type in HANDLED and event.account is None


async def owner_of(session: AsyncSession, event: StripeEvent) -> Owner | None:
    """The booking that an event is about, by the ids that it carries."""
    for query in _payments(event):
        payment = (await session.scalars(query)).first()
        if payment is not None:
            return await _owner(session, payment.booking_id, payment)
    for ids in _bookings(event):
        booking_id = (await session.scalars(ids)).first()
        if booking_id is not None:
            return await _owner(session, booking_id, None)
    return None


async def settled_before(session: AsyncSession, event: StripeEvent) -> bool:
    """Whether the payment is one that a settlement has dealt with, for want of a booking."""
    if event.payment_intent_id is None:
        return False
    owner = stray_id_for(event.payment_intent_id)
    written = select(StripeOperation.key).where(StripeOperation.booking_id == owner)
    return (await session.scalars(written.limit(1))).first() is not None


async def is_known_refund(session: AsyncSession, event: StripeEvent, owner: Owner) -> bool:
    """Whether the books have the refunds that an event only announces."""
    if event.type not in ("charge.refunded", "refund.created"):
        return False
    if owner.gone:
        return True  # letting go of an authorization may show as a refund; nothing was ever taken
    if event.type == "refund.created":
        known = select(Refund.id).where(
            Refund.refund_id == event.object_id, Refund.status != RefundStatus.PENDING
        )
        return (await session.scalars(known)).first() is not None
    return owner.payment is not None and owner.payment.status is PaymentStatus.REFUNDED


async def _owner(session: AsyncSession, booking_id: UUID, payment: Payment | None) -> Owner:
    booking = await session.get_one(Booking, booking_id)
    return Owner(booking_id, booking.status in TERMINAL_BOOKING, payment)


def _payments(event: StripeEvent) -> list[Select[Payment]]:
    """Where the event's payment may be found, the surest first."""
    found = select(Payment)
    object_id = event.object_id
    by_object = (
        found.outerjoin(Refund, Refund.payment_id == Payment.id)
        .outerjoin(Dispute, Dispute.payment_id == Payment.id)
        .where(
            (Payment.setup_intent_id == object_id)
            | (Refund.refund_id == object_id)
            | (Dispute.dispute_id == object_id)
        )
    )
    queries = [
        (event.payment_intent_id, found.where(Payment.payment_intent_id == event.payment_intent_id)),
        (event.charge_id, found.where(Payment.charge_id == event.charge_id)),
        (object_id, by_object),
    ]
    return [query for value, query in queries if value is not None]


def _bookings(event: StripeEvent) -> list[Select[UUID]]:
    """Where the booking may be found when no payment has the id any more, or it is the provider's money."""
    operations = select(StripeOperation.booking_id).join(Booking, Booking.id == StripeOperation.booking_id)
    if event.type in BANK_EVENTS:
        sent = select(BankPayout.booking_id).where(BankPayout.stripe_payout_id == event.object_id)
        return [sent.where(BankPayout.account == event.account)]
    if event.type == "transfer.reversed":
        return [
            select(ProviderTransfer.booking_id).where(ProviderTransfer.transfer_id == event.object_id),
            select(Payout.booking_id).where(Payout.transfer_id == event.object_id),
        ]
    ids = [value for value in (event.payment_intent_id, event.object_id) if value is not None]
    return [operations.where(StripeOperation.object_id.in_(ids))]
