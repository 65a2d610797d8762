"""What people and Stripe told the booking before its outcome stands. Handlers write here; the story reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from models.outcomes import CANCELLED_BY, MISSED_BY
from models.states import PAYMENT_STANDS, BookingStatus, ReportedOutcome, Role
from workflows.contracts import Actor, BookingState, Claim, Decide, Outcome

UNCONFIRMED: Final = frozenset({BookingStatus.PENDING, BookingStatus.AWAITING_APPROVAL})


@dataclass
class Wishes:
    """The first word that decides the outcome stands; news of the payment are only counted."""

    outcome: Outcome | None = None
    free_of_charge: bool = False
    """Whoever cancelled was shown a booking that is not confirmed: no tier applies to it."""
    claim: Claim | None = None
    """A client says that the provider did not come: the provider may contradict."""
    contradiction: Claim | None = None
    approved: bool = False
    rejected: Actor | None = None
    news: int = 0
    news_read: int = 0

    @property
    def news_waiting(self) -> bool:
        """Stripe said something that has not been read yet."""
        return self.news > self.news_read

    @property
    def answered_approval(self) -> bool:
        """The provider accepted, or rejected."""
        return self.approved or self.rejected is not None

    @property
    def cancelled(self) -> bool:
        """Somebody wants the booking cancelled."""
        return self.outcome is not None and self.outcome.kind is ReportedOutcome.CANCELLED

    def report(self, kind: ReportedOutcome, by: Decide, at: datetime, booking: BookingState | None) -> None:
        """Note an outcome of a booking as it stands; a later, different one was refused before."""
        if self.outcome is not None:
            return
        if kind is ReportedOutcome.CANCELLED:
            self._cancel(by, at, booking)
        elif not self._is_a_claim(kind, by.actor, at, booking):
            self.outcome = Outcome(kind=kind, actor=by.actor, at=at, reason=MISSED_BY.get(kind))

    def _cancel(self, by: Decide, at: datetime, booking: BookingState | None) -> None:
        reason = CANCELLED_BY[by.actor.role]
        self.outcome = Outcome(kind=ReportedOutcome.CANCELLED, actor=by.actor, at=at, reason=reason)
        unpaid = booking is None or (booking.status in UNCONFIRMED and not confirming(booking))
        self.free_of_charge = unpaid or by.unconfirmed

    def _is_a_claim(
        self, kind: ReportedOutcome, actor: Actor, at: datetime, booking: BookingState | None
    ) -> bool:
        """One side's word against the other's money waits for the other side; ops' word decides."""
        said = Claim(kind=kind, actor=actor, at=at)
        claim = self.claim or (booking.claim if booking else None)
        if actor.role is Role.CLIENT and kind is ReportedOutcome.PROVIDER_NO_SHOW:
            self.claim = claim or said
            return True
        if claim is not None and actor.role is Role.PROVIDER:
            self.contradiction = self.contradiction or said
            return True
        return False


def confirming(booking: BookingState) -> bool:
    """The payment stands, and the confirmation is on its way."""
    pending = booking.status is BookingStatus.PENDING and not booking.wants_approval
    return pending and booking.payment_status in PAYMENT_STANDS
