"""The business in numbers: bookings by when they were made, money by when it was posted."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.effects import STANDS
from api.ops_schemas import CurrencySummary
from models.availability import Span
from models.bookings import Booking
from models.ledger import Account, JournalKind, LedgerEntry, Side
from models.money import BASIS_POINTS
from models.states import BookingStatus

Counts = dict[str, tuple[int, int, int]]
"""Bookings, confirmed ones and completed ones, by currency."""

Sums = dict[tuple[str, str], int]
"""Minor units, by currency and what they are."""

CAPTURED: Final = "captured"
REFUNDED: Final = "refunded"
REVENUE: Final = "revenue"
HELD: Final = "held"


async def summary(session: AsyncSession, span: Span) -> list[CurrencySummary]:
    """One line for each currency in which there was anything at all."""
    counts = await _counts(session, span)
    sums = await _movements(session, span) | await _held(session, span.end)
    currencies = sorted({*counts, *(currency for currency, _ in sums)})
    return [_line(currency, counts.get(currency, (0, 0, 0)), sums) for currency in currencies]


def _line(currency: str, counted: tuple[int, int, int], sums: Sums) -> CurrencySummary:
    made, confirmed, completed = counted
    captured, refunded = sums.get((currency, CAPTURED), 0), sums.get((currency, REFUNDED), 0)
    return CurrencySummary(
        currency=currency,
        bookings=made,
        confirmed=confirmed,
        completed=completed,
        conversion_bps=_bps(confirmed, made),
        completion_bps=_bps(completed, confirmed),
        captured=captured,
        refunded=refunded,
        refund_rate_bps=_bps(refunded, captured),
        platform_revenue=sums.get((currency, REVENUE), 0),
        held=sums.get((currency, HELD), 0),
    )


def _bps(part: int, whole: int) -> int:
    return part * BASIS_POINTS // whole if whole else 0


async def _counts(session: AsyncSession, span: Span) -> Counts:
    """A booking that was confirmed once counts as that, whatever became of it: `accepted_at` says so."""
    confirmed = Booking.accepted_at.is_not(None) | Booking.status.in_(STANDS)
    query = (
        select(
            Booking.currency,
            func.count(),
            func.count().filter(confirmed),
            func.count().filter(Booking.status == BookingStatus.COMPLETED),
        )
        .where(Booking.created_at >= span.start, Booking.created_at < span.end)
        .group_by(Booking.currency)
    )
    return {row[0]: (row[1], row[2], row[3]) for row in await session.execute(query)}


async def _movements(session: AsyncSession, span: Span) -> Sums:
    """Captured and refunded as Stripe's balance moved; revenue as the platform's account did."""
    balance, revenue = (
        LedgerEntry.account == Account.STRIPE_BALANCE,
        LedgerEntry.account == Account.PLATFORM_REVENUE,
    )
    capture = LedgerEntry.kind == JournalKind.CAPTURE
    refund = LedgerEntry.kind.in_([JournalKind.REFUND, JournalKind.REFUND_FAILURE])
    query = (
        select(
            LedgerEntry.currency,
            _sum(Side.DEBIT, balance & capture),
            _sum(Side.CREDIT, balance & refund),
            _sum(Side.CREDIT, revenue),
        )
        .where(LedgerEntry.posted_at >= span.start, LedgerEntry.posted_at < span.end)
        .group_by(LedgerEntry.currency)
    )
    sums: Sums = {}
    for currency, captured, refunded, earned in await session.execute(query):
        sums |= {(currency, CAPTURED): captured, (currency, REFUNDED): refunded, (currency, REVENUE): earned}
    return sums


async def _held(session: AsyncSession, until: datetime) -> Sums:
    held = LedgerEntry.account == Account.HELD
    query = (
        select(LedgerEntry.currency, _sum(Side.CREDIT, held))
        .where(LedgerEntry.posted_at < until)
        .group_by(LedgerEntry.currency)
    )
    return {(currency, HELD): amount for currency, amount in await session.execute(query)}


def _sum(side: Side, which: ColumnElement[bool]) -> ColumnElement[int]:
    """What is on `side` less what is on the other, as an integer: Postgres would answer with a numeric."""
    signed = case((LedgerEntry.side == side, LedgerEntry.amount), else_=-LedgerEntry.amount)
    total = func.sum(signed).filter(which)
    return func.coalesce(total, 0).cast(BigInteger)
