"""Which words may still be said to a booking: the validators refuse before anything reaches the history."""

from datetime import datetime

from temporalio.exceptions import ApplicationError

from models.outcomes import MAY_REPORT
from models.states import PAYMENT_STANDS, TERMINAL_BOOKING, BookingStatus, PayoutStatus, ReportedOutcome, Role
from workflows.contracts import Actor, BookingState
from workflows.wishes import Wishes, confirming

ATTENDED = frozenset({BookingStatus.COMPLETED, BookingStatus.NO_SHOW})
CONTESTABLE = frozenset({PayoutStatus.HELD, PayoutStatus.FROZEN})

IN_EFFECT = {
    ReportedOutcome.COMPLETED: frozenset({BookingStatus.COMPLETED}),
    ReportedOutcome.CLIENT_NO_SHOW: frozenset({BookingStatus.NO_SHOW}),
    ReportedOutcome.PROVIDER_NO_SHOW: frozenset[BookingStatus](),
}


def check(
    kind: ReportedOutcome, booking: BookingState | None, wishes: Wishes, actor: Actor, now: datetime
) -> None:
    """Refuse what may not be wished any more.

    Raises:
        ApplicationError: of type `invalid_state`, `too_late` or `forbidden`.
    """
    if kind is ReportedOutcome.CANCELLED:
        check_cancel(booking, wishes, actor, now)
    else:
        check_report(kind, booking, wishes, actor, now)


def check_cancel(booking: BookingState | None, wishes: Wishes, actor: Actor, now: datetime) -> None:
    """Refuse a cancellation that comes too late; repeating one is fine.

    Raises:
        ApplicationError: of type `invalid_state` or `too_late`.
    """
    if wishes.cancelled or booking is None or booking.status is BookingStatus.CANCELLED:
        return
    if booking.reported_outcome is ReportedOutcome.CANCELLED and booking.status not in TERMINAL_BOOKING:
        return  # it is being let go already: for want of a payment, or decided before this run
    if wishes.outcome or booking.reported_outcome or booking.status in TERMINAL_BOOKING:
        raise _invalid(booking, "cancelled")
    started = now >= booking.starts_at
    confirmed = booking.status is BookingStatus.CONFIRMED or confirming(booking)
    if started and confirmed and actor.role is Role.CLIENT:
        raise _untimely(booking, "The session has started: it can no longer be cancelled.", "too_late")


def check_report(
    kind: ReportedOutcome, booking: BookingState | None, wishes: Wishes, actor: Actor, now: datetime
) -> None:
    """Only a confirmed booking whose session has started has an outcome; repeating a report is fine.

    Raises:
        ApplicationError: of type `invalid_state` or `forbidden`.
    """
    if actor.role not in MAY_REPORT[kind]:
        raise ApplicationError(f"{actor.role} may not report {kind}.", type="forbidden")
    if booking is None:
        raise ApplicationError("The booking is still being made.", type="invalid_state")
    if in_effect(kind, booking):
        return
    called_off = wishes.cancelled or booking.reported_outcome is ReportedOutcome.CANCELLED
    # Postgres may say CONFIRMED before we have heard of it: the handler looks again then.
    confirmed = booking.status is BookingStatus.CONFIRMED or confirming(booking)
    if not confirmed or called_off:
        raise _invalid(booking, "completed" if kind is ReportedOutcome.COMPLETED else "reported as missed")
    if now < booking.starts_at:
        starts = f"{booking.starts_at:%Y-%m-%d %H:%M} UTC"
        raise _untimely(
            booking, f"The session starts at {starts}; nothing can be reported before.", "invalid_state"
        )


def in_effect(kind: ReportedOutcome, booking: BookingState) -> bool:
    """Whether the booking has ended as `kind` says."""
    if kind is ReportedOutcome.PROVIDER_NO_SHOW and booking.status in TERMINAL_BOOKING:
        return booking.status_reason == kind
    return booking.status in IN_EFFECT[kind]


def contradicts(kind: ReportedOutcome, booking: BookingState | None, actor: Actor) -> bool:
    """A client who says, while the money is on hold, that the session was not what was reported."""
    return (
        booking is not None
        and actor.role is Role.CLIENT
        and kind is ReportedOutcome.PROVIDER_NO_SHOW
        and booking.status in ATTENDED
        and booking.payout_status in CONTESTABLE
    )


def check_approval(booking: BookingState | None, wishes: Wishes, *, accept: bool) -> None:
    """Only a booking that is before its provider can be accepted or rejected; the first word stands.

    Raises:
        ApplicationError: of type `invalid_state`.
    """
    status: str = booking.status if booking else "still being made"
    if wishes.cancelled:
        status = "being cancelled"
    elif wishes.approved and not accept:
        status = "accepted"
    elif wishes.rejected and accept:
        status = "rejected"
    elif booking is not None and (booking.status is BookingStatus.AWAITING_APPROVAL or asking(booking)):
        return
    raise ApplicationError(f"A booking that is {status} waits for no approval.", type="invalid_state")


def asking(booking: BookingState) -> bool:
    """The payment stands, and the provider is just being asked."""
    pending = booking.status is BookingStatus.PENDING and booking.wants_approval
    return pending and booking.payment_status in PAYMENT_STANDS


def _invalid(booking: BookingState, what: str) -> ApplicationError:
    return ApplicationError(f"A booking that is {booking.status} cannot be {what}.", type="invalid_state")


def _untimely(booking: BookingState, why: str, code: str) -> ApplicationError:
    """Carries the start that was judged by: Postgres may have another one already, while the booking is moved."""
    return ApplicationError(why, booking.starts_at.isoformat(), type=code)
