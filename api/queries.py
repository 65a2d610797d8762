"""What the API reads from Postgres. It never asks Temporal how a booking stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, false, func, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from api.auth import Caller
from api.paging import Position
from models.availability import OpeningHours, Span
from models.bookings import Booking, BookingRequest, Session
from models.catalogue import AvailabilityRule, Provider, Service
from models.payments import BankPayout, Dispute, Payment, Payout, ProviderDebt
from models.records import StripeEvent
from models.states import LIVE_SESSION, BookingStatus, DisputeStatus, PayoutStatus, Role


@dataclass(frozen=True)
class BookingRecord:
    """A booking with what hangs on it; the payment is its latest, and so is what went to the bank."""

    booking: Booking
    session: Session
    payment: Payment
    payout: Payout | None
    bank_payout_id: str | None = None
    notes: str | None = None


@dataclass(frozen=True)
class Offer:
    """A service with whoever sells it."""

    service: Service
    provider: Provider


@dataclass(frozen=True)
class BookingFilter:
    """Which of the visible bookings are wanted."""

    status: BookingStatus | None = None
    provider_id: UUID | None = None
    starts_from: datetime | None = None


async def provider_of(session: AsyncSession, subject: str) -> UUID | None:
    """The provider that a token's subject stands for."""
    return await session.scalar(select(Provider.id).where(Provider.subject == subject))


def visible_to(caller: Caller) -> ColumnElement[bool]:
    """A client sees its own bookings, a provider those of its services, ops everything."""
    if caller.role is Role.OPS:
        return true()
    if caller.role is Role.CLIENT:
        return Booking.client_id == caller.subject
    return Booking.provider_id == caller.provider_id if caller.provider_id else false()


async def booking(session: AsyncSession, booking_id: UUID, caller: Caller) -> BookingRecord | None:
    """One booking, if the caller may see it."""
    return await _one(session, (Booking.id == booking_id) & visible_to(caller))


async def booking_paid_by(session: AsyncSession, intent_id: str, caller: Caller) -> BookingRecord | None:
    """The caller's booking that this PaymentIntent pays for, or for which this SetupIntent keeps a card."""
    theirs = (Payment.payment_intent_id == intent_id) | (Payment.setup_intent_id == intent_id)
    of_intent = select(Payment.booking_id).where(theirs)
    return await _one(session, Booking.id.in_(of_intent) & visible_to(caller))


async def bookings(
    session: AsyncSession, caller: Caller, wanted: BookingFilter, after: Position | None, limit: int
) -> list[BookingRecord]:
    """At most `limit` visible bookings, the newest first, from just after a position."""
    query = _records().where(visible_to(caller))
    if wanted.status is not None:
        query = query.where(Booking.status == wanted.status)
    if wanted.provider_id is not None:
        query = query.where(Booking.provider_id == wanted.provider_id)
    if wanted.starts_from is not None:
        query = query.where(Session.starts_at >= wanted.starts_from)
    if after is not None:
        query = query.where(tuple_(Booking.created_at, Booking.id) < tuple_(after.created_at, after.id))
    newest_first = query.order_by(Booking.created_at.desc(), Booking.id.desc()).limit(limit)
    return [BookingRecord(*row) for row in await session.execute(newest_first)]


async def request_for(session: AsyncSession, booking_id: UUID) -> BookingRequest | None:
    """What was asked for under a booking's id, whether or not it came to be."""
    return await session.get(BookingRequest, booking_id)


async def offer(session: AsyncSession, service_id: UUID) -> Offer | None:
    """A service and its provider."""
    query = _offers().where(Service.id == service_id)
    row = (await session.execute(query)).one_or_none()
    return Offer(*row) if row else None


async def offers(session: AsyncSession, after: Position | None, limit: int) -> list[Offer]:
    """At most `limit` active services, the newest first, from just after a position."""
    query = _offers().where(Service.active)
    if after is not None:
        query = query.where(tuple_(Service.created_at, Service.id) < tuple_(after.created_at, after.id))
    newest_first = query.order_by(Service.created_at.desc(), Service.id.desc()).limit(limit)
    return [Offer(*row) for row in await session.execute(newest_first)]


async def opening_hours(session: AsyncSession, provider_id: UUID) -> list[OpeningHours]:
    """A provider's week, from Monday on."""
    rules = await session.scalars(
        select(AvailabilityRule)
        .where(AvailabilityRule.provider_id == provider_id)
        .order_by(AvailabilityRule.weekday, AvailabilityRule.opens_minute)
    )
    return [
        OpeningHours(weekday=rule.weekday, opens_minute=rule.opens_minute, closes_minute=rule.closes_minute)
        for rule in rules
    ]


async def busy(
    session: AsyncSession, provider_id: UUID, span: Span, *, besides: UUID | None = None
) -> Sequence[Span]:
    """The provider's live sessions that meet `span`, but for the one of the booking `besides`."""
    query = (
        select(Session.starts_at, Session.ends_at)
        .where(Session.provider_id == provider_id, Session.status.in_(LIVE_SESSION))
        .where(Session.starts_at < span.end, Session.ends_at > span.start)
    )
    if besides is not None:
        own = select(Booking.session_id).where(Booking.id == besides)
        query = query.where(Session.id.not_in(own))
    return [Span(*row) for row in await session.execute(query)]


async def open_dispute(session: AsyncSession, booking_id: UUID) -> Dispute | None:
    """The dispute over a booking's charge that is not decided yet."""
    disputes = select(Dispute).where(Dispute.booking_id == booking_id, Dispute.status == DisputeStatus.OPEN)
    return (await session.scalars(disputes.limit(1))).one_or_none()


async def open_debts(session: AsyncSession, provider_id: UUID) -> list[tuple[str, int]]:
    """What a provider owes from earlier bookings, by currency, in minor units."""
    open_amount = func.sum(ProviderDebt.raised - ProviderDebt.settled)
    query = (
        select(ProviderDebt.currency, open_amount)
        .where(ProviderDebt.provider_id == provider_id, ProviderDebt.settled < ProviderDebt.raised)
        .group_by(ProviderDebt.currency)
        .order_by(ProviderDebt.currency)
    )
    return [(currency, int(amount)) for currency, amount in await session.execute(query)]


async def blocked_payouts(session: AsyncSession, provider_id: UUID, limit: int) -> Sequence[Payout]:
    """Payouts that wait for the provider's account, the oldest first."""
    query = (
        select(Payout)
        .where(Payout.provider_id == provider_id, Payout.status == PayoutStatus.BLOCKED)
        .order_by(Payout.blocked_at.nulls_first(), Payout.id)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def inbox_pending(session: AsyncSession) -> int:
    """How many Stripe events are stored and not handled."""
    pending = select(func.count()).select_from(StripeEvent).where(StripeEvent.handled_at.is_(None))
    return await session.scalar(pending) or 0


def _records() -> Select[Booking, Session, Payment, Payout, str | None, str | None]:
    earlier = aliased(Payment)
    latest = select(func.max(earlier.number)).where(earlier.booking_id == Booking.id).scalar_subquery()
    sent = (
        select(BankPayout.stripe_payout_id)
        .where(BankPayout.payout_id == Payout.id)
        .order_by(BankPayout.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(Booking, Session, Payment, Payout, sent, BookingRequest.notes)
        .join(Session, Session.id == Booking.session_id)
        .join(Payment, (Payment.booking_id == Booking.id) & (Payment.number == latest))
        .outerjoin(Payout, Payout.booking_id == Booking.id)
        .outerjoin(BookingRequest, BookingRequest.booking_id == Booking.id)
    )


def _offers() -> Select[Service, Provider]:
    return select(Service, Provider).join(Provider, Provider.id == Service.provider_id)


async def _one(session: AsyncSession, condition: ColumnElement[bool]) -> BookingRecord | None:
    row = (await session.execute(_records().where(condition))).one_or_none()
    return BookingRecord(*row) if row else None
