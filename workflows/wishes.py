"""What people and Stripe told the booking, and which of it may still be told.

Handlers only write here; the story reads. The checks are the updates' validators: they refuse
before anything reaches the history.
"""

from dataclasses import dataclass
from datetime import datetime

from temporalio.exceptions import ApplicationError

from models.states import PAYMENT_STANDS, TERMINAL_BOOKING, BookingStatus, ReportedOutcome, Role, StatusReason
from workflows.contracts import Actor, BookingState, Decide, Outcome

CANCELLED_BY = {
    Role.CLIENT: StatusReason.CANCELLED_BY_CLIENT,
    Role.PROVIDER: StatusReason.CANCELLED_BY_PROVIDER,
    Role.OPS: StatusReason.CANCELLED_BY_OPS,
    Role.SYSTEM: StatusReason.CANCELLED_BY_OPS,
}


@dataclass
class Wishes:
    """The first word that decides the outcome stands; news of the payment are only counted."""

    outcome: Outcome | None = None
    free_of_charge: bool = False
    """Whoever cancelled was shown a booking that is not confirmed: no tier applies to it."""
    news: int = 0
    news_read: int = 0

    @property
    def news_waiting(self) -> bool:
        """Stripe said something that has not been read yet."""
        return self.news > self.news_read

    @property
    def cancelled(self) -> bool:
        """Somebody wants the booking cancelled."""
        return self.outcome is not None and self.outcome.kind is ReportedOutcome.CANCELLED

    def report(self, kind: ReportedOutcome, by: Decide, at: datetime, booking: BookingState | None) -> None:
        """Note an outcome of a booking as it stands; a later, different one was refused before."""
        if self.outcome is not None:
            return
        cancelled = kind is ReportedOutcome.CANCELLED
        reason = CANCELLED_BY[by.actor.role] if cancelled else None
        self.outcome = Outcome(kind=kind, actor=by.actor, at=at, reason=reason)
        unpaid = booking is None or (booking.status is BookingStatus.PENDING and not confirming(booking))
        self.free_of_charge = cancelled and (unpaid or by.unconfirmed)


def check(
    kind: ReportedOutcome, booking: BookingState | None, wishes: Wishes, actor: Actor, now: datetime
) -> None:
    """Refuse what may not be wished any more.

    Raises:
        ApplicationError: of type `invalid_state` or `too_late`.
    """
    if kind is ReportedOutcome.CANCELLED:
        check_cancel(booking, wishes, actor, now)
    else:
        check_complete(booking, wishes, now)


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
        raise ApplicationError("The session has started: it can no longer be cancelled.", type="too_late")


def check_complete(booking: BookingState | None, wishes: Wishes, now: datetime) -> None:
    """Only a confirmed booking whose session has started can be completed; repeating is fine.

    Raises:
        ApplicationError: of type `invalid_state`.
    """
    if booking is None:
        raise ApplicationError("The booking is still being made.", type="invalid_state")
    if booking.status is BookingStatus.COMPLETED:
        return
    called_off = wishes.cancelled or booking.reported_outcome is ReportedOutcome.CANCELLED
    # Postgres may say CONFIRMED before we have heard of it: the handler looks again then.
    confirmed = booking.status is BookingStatus.CONFIRMED or confirming(booking)
    if not confirmed or called_off:
        raise _invalid(booking, "completed")
    if now < booking.starts_at:
        raise ApplicationError(
            f"The session starts at {booking.starts_at:%Y-%m-%d %H:%M} UTC; it cannot be completed before.",
            type="invalid_state",
        )


def confirming(booking: BookingState) -> bool:
    """The payment stands, and the confirmation is on its way."""
    return booking.status is BookingStatus.PENDING and booking.payment_status in PAYMENT_STANDS


def _invalid(booking: BookingState, what: str) -> ApplicationError:
    return ApplicationError(f"A booking that is {booking.status} cannot be {what}.", type="invalid_state")
