"""What an outcome keeps, decided once and stored before any money moves."""

from sqlalchemy.ext.asyncio import AsyncSession

from activities.records import Records, load
from models.bookings import Booking
from models.policy import Quote, cancellation_quote
from models.states import TERMINAL_BOOKING, BookingStatus, ReportedOutcome
from workflows.contracts import Abandon, Outcome, Settle


async def decide(session: AsyncSession, step: Settle) -> Records:
    """Store the outcome and what it keeps; a decision that stands is never computed again."""
    rows = await load(session, step.booking_id, lock=True)
    if rows.booking.outcome_status is None:
        quote = _quote(rows, step.outcome)
        rows.booking.reported_outcome = step.outcome.kind
        rows.booking.reported_by = f"{step.outcome.actor.role}:{step.outcome.actor.id or ''}"
        rows.booking.outcome_at = step.outcome.at
        rows.booking.outcome_reason = step.outcome.reason
        rows.booking.outcome_status = quote.booking_status
        rows.booking.keep = quote.keep
    return rows


async def abandon(session: AsyncSession, step: Abandon) -> bool:
    """Store that everything goes back; False when there is no booking left to undo."""
    booking = await session.get(Booking, step.booking_id, with_for_update=True)
    if booking is None or booking.status in TERMINAL_BOOKING:
        return False
    booking.reported_outcome = booking.reported_outcome or ReportedOutcome.CANCELLED
    booking.outcome_at = booking.outcome_at or step.at
    booking.outcome_status = BookingStatus.CANCELLED
    booking.outcome_reason = step.reason
    booking.keep = 0
    return True


def _quote(rows: Records, outcome: Outcome) -> Quote:
    booking = rows.booking
    if outcome.kind is ReportedOutcome.COMPLETED:
        return Quote(keep=booking.amount, give_back=0, booking_status=BookingStatus.COMPLETED)
    return cancellation_quote(
        rows.policy,
        actor=outcome.actor.role,
        amount=booking.amount,
        currency=booking.currency,
        starts_at=rows.session.starts_at,
        zone=booking.time_zone,
        now=outcome.at,
    )
