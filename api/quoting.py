"""What cancelling a booking now would cost: the same code that will charge it, and the same refusals."""

from datetime import datetime

from activities.decisions import terms_of
from api.auth import Caller
from api.errors import Code, Problem
from api.queries import BookingRecord
from api.schemas import CancellationQuote
from models.policy import Quote, cancellation_quote
from models.states import SEAT_HOLDING, BookingStatus, Role


def quote(record: BookingRecord, caller: Caller, now: datetime) -> CancellationQuote:
    """What would be kept and given back if `caller` cancelled at `now`.

    Raises:
        Problem: the booking can no longer be cancelled.
    """
    booking = record.booking
    if booking.status not in SEAT_HOLDING or booking.reported_outcome is not None:
        detail = f"A booking that is {booking.status} cannot be cancelled."
        raise Problem(Code.INVALID_STATE, detail, booking_id=booking.id)
    quoted = _quote(record, caller.role, now)
    return CancellationQuote(
        booking_id=booking.id,
        booking_status=quoted.booking_status,
        amount=booking.amount,
        keep=quoted.keep,
        give_back=quoted.give_back,
        currency=booking.currency,
    )


def _quote(record: BookingRecord, actor: Role, now: datetime) -> Quote:
    booking = record.booking
    if booking.status is not BookingStatus.CONFIRMED:
        return Quote(keep=0, give_back=booking.amount, booking_status=BookingStatus.CANCELLED)
    if actor is Role.CLIENT and now >= record.session.starts_at:
        raise Problem(Code.TOO_LATE, booking_id=booking.id)
    return cancellation_quote(terms_of(booking, record.session, record.payment), actor, now)
