"""What cancelling a booking now would cost: the same code that will charge it, and the same refusals."""

from datetime import datetime

from api.auth import Caller
from api.errors import Code, Problem
from api.queries import BookingRecord
from api.schemas import CancellationQuote
from models.policy import Policy, Quote, Terms, cancellation_quote
from models.states import SEAT_HOLDING, BookingStatus, PaymentStatus, Role


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
    return cancellation_quote(_terms(record), actor, now)


def _terms(record: BookingRecord) -> Terms:
    booking = record.booking
    return Terms(
        policy=Policy.model_validate(booking.policy),
        amount=booking.amount,
        currency=booking.currency,
        starts_at=record.session.starts_at,
        zone=booking.time_zone,
        refund_cap_bps=booking.refund_cap_bps,
        chargeable=record.payment.status is not PaymentStatus.SAVED,
    )
