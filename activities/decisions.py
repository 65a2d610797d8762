"""What an outcome keeps, decided once and stored before any money moves."""

from sqlalchemy.ext.asyncio import AsyncSession

from activities.records import Records, load
from models.bookings import Booking, Session
from models.money import step as smallest
from models.outcomes import CANCELLED_BY, MISSED_BY
from models.payments import Payment
from models.policy import Policy, Terms, outcome_quote
from models.states import (
    MONEY_TAKEN,
    TERMINAL_BOOKING,
    BookingStatus,
    PaymentStatus,
    ReportedOutcome,
    StatusReason,
    ends_as,
)
from workflows.contracts import Abandon, Outcome, Settle


def terms_of(booking: Booking, session: Session, payment: Payment) -> Terms:
    """What the booking was made under, as far as a quote depends on it."""
    return Terms(
        policy=Policy.model_validate(booking.policy),
        amount=booking.amount,
        currency=booking.currency,
        starts_at=session.starts_at,
        zone=booking.time_zone,
        refund_cap_bps=booking.refund_cap_bps,
        chargeable=payment.status is not PaymentStatus.SAVED,
    )


async def decide(session: AsyncSession, step: Settle) -> Records:
    """Store the outcome and what it keeps; a decision that stands is never computed again."""
    rows = await load(session, step.booking_id, lock=True)
    booking, outcome = rows.booking, step.outcome
    if booking.outcome_status is None:
        terms = terms_of(booking, rows.session, rows.payment)
        quote = outcome_quote(terms, outcome.kind, outcome.actor.role, outcome.at)
        booking.reported_outcome = outcome.kind
        booking.reported_by = f"{outcome.actor.role}:{outcome.actor.id or ''}"
        booking.outcome_at = outcome.at
        booking.outcome_reason = outcome.reason or _reason(outcome)
        booking.outcome_status = quote.booking_status
        booking.keep = quote.keep if outcome.keep is None else _bounded(outcome.keep, rows)
    return rows


def _reason(outcome: Outcome) -> StatusReason | None:
    if outcome.kind is ReportedOutcome.CANCELLED:
        return CANCELLED_BY[outcome.actor.role]
    return MISSED_BY.get(outcome.kind)


def _bounded(keep: int, rows: Records) -> int:
    """What ops want kept, as far as the client has paid it or let us take it, and Stripe can move it."""
    payment = rows.payment
    if payment.status is PaymentStatus.SAVED:
        return 0
    there = payment.amount_captured if payment.status in MONEY_TAKEN else payment.amount
    unit = smallest(rows.booking.currency)
    return max(min(keep, rows.booking.amount, there), 0) // unit * unit


def claim(booking: Booking, outcome: Outcome) -> None:
    """Note what one side says; what another says against it is kept beside it, for ops to decide.

    Of a booking that has been decided, nothing more is noted.
    """
    if booking.status is not BookingStatus.CONFIRMED or booking.outcome_status is not None:
        return
    if booking.claimed_outcome is None:
        booking.claimed_outcome, booking.claimed_at = outcome.kind, outcome.at
        booking.claimed_by_role, booking.claimed_by_id = outcome.actor.role, outcome.actor.id
    elif booking.contradicted_outcome is None and _contradicts(booking, outcome):
        booking.contradicted_outcome, booking.contradicted_at = outcome.kind, outcome.at
        booking.contradicted_by_role, booking.contradicted_by_id = outcome.actor.role, outcome.actor.id


def _contradicts(booking: Booking, outcome: Outcome) -> bool:
    """Whether another side says something else than the claim."""
    differs = outcome.kind is not booking.claimed_outcome
    return differs and outcome.actor.role is not booking.claimed_by_role


async def abandon(session: AsyncSession, step: Abandon) -> bool:
    """Store that everything goes back; False when there is no booking left to undo."""
    booking = await session.get(Booking, step.booking_id, with_for_update=True)
    if booking is None or booking.status in TERMINAL_BOOKING:
        return False
    booking.reported_outcome = booking.reported_outcome or ReportedOutcome.CANCELLED
    booking.outcome_at = booking.outcome_at or step.at
    booking.outcome_status = ends_as(step.reason)
    booking.outcome_reason = step.reason
    booking.keep = 0
    return True
