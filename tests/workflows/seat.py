"""The steps around a seat, played in memory: they only touch rows."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from models import clock
from models.policy import choose_plan
from models.states import (
    TERMINAL_BOOKING,
    BookingStatus,
    PaymentStatus,
    SessionStatus,
    ends_as,
)
from tests.workflows.rows import AUTHORIZED_FOR, DURATION, PRICE, Rows
from workflows.contracts import (
    Abandon,
    AttentionNote,
    BookingState,
    Claim,
    Do,
    Reserve,
    Reserved,
    Settle,
)
from workflows.orders import Changed, Moving


@dataclass
class Seat(Rows):
    """Taking, confirming, moving and letting go of a seat."""

    taken: set[datetime] = field(default_factory=set)
    """Starts at which somebody else has the provider's time."""

    def reserve(self, step: Reserve) -> Reserved:
        if self.refusal:
            return Reserved(refusal=self.refusal)
        if self.state is None:
            times = self._times(self.starts_at)
            self.state = BookingState(
                booking_id=self.booking_id,
                provider_id=uuid4(),
                service_id=step.request.service_id,
                session_id=uuid4(),
                status=BookingStatus.PENDING,
                session_status=SessionStatus.DRAFT,
                amount=PRICE,
                currency="eur",
                plan=choose_plan(self.policy, times["ends_at"], step.at, AUTHORIZED_FOR),
                expires_at=step.at + self.policy.payment_window,
                payment_status=PaymentStatus.PENDING,
                wants_approval=self.policy.approval == "provider",
                **times,
            )
        return Reserved(booking=self.state)

    def ask_approval(self, step: Do) -> BookingState:
        if self.booking.status is not BookingStatus.PENDING:
            return self.booking
        due = clock.approval_due_at(self.policy, step.at, self.booking.starts_at, self.booking.renew_at)
        return self.update(status=BookingStatus.AWAITING_APPROVAL, approval_due_at=due)

    def confirm(self, _: Do) -> BookingState:
        if self.booking.status in (BookingStatus.PENDING, BookingStatus.AWAITING_APPROVAL):
            self.update(status=BookingStatus.CONFIRMED, session_status=SessionStatus.SCHEDULED)
        return self.booking

    def report(self, step: Settle) -> BookingState:
        outcome, claim = step.outcome, self.booking.claim
        said = Claim(kind=outcome.kind, actor=outcome.actor, at=outcome.at)
        if claim is None:
            return self.update(claim=said)
        other = claim.actor.role is not said.actor.role and claim.kind is not said.kind
        if other and self.booking.contradiction is None:
            self.update(contradiction=said)
        return self.booking

    def reschedule(self, step: Moving) -> Changed:
        starts_at, booking = step.order.starts_at, self.booking
        if starts_at in self.taken:
            return Changed(booking=booking, refusal="slot_taken", detail="Somebody else was faster.")
        self.update(session_id=uuid4(), **self._times(starts_at))
        due = clock.authorize_at(self.policy, starts_at, step.at)
        if booking.payment_status is PaymentStatus.SAVED:
            later = booking.fix_by is not None and due > step.at
            self.update(authorize_at=due, fix_by=None if later else booking.fix_by)
        elif booking.renew_at is not None:
            ends_first = self.booking.completion_due_at > booking.renew_at
            self.update(replan=ends_first and due > step.at)
        return Changed(booking=self.booking)

    def release(self, step: Abandon) -> BookingState | None:
        if self.state is not None and self.booking.status not in TERMINAL_BOOKING:
            self.update(
                status=ends_as(step.reason),
                status_reason=step.reason,
                session_status=SessionStatus.CANCELLED,
            )
        return self.state

    def record_attention(self, note: AttentionNote) -> None:
        if self.state is not None:
            self.update(attention=note.step is not None)

    def _times(self, starts_at: datetime) -> dict[str, Any]:
        ends_at = starts_at + DURATION
        return {
            "starts_at": starts_at,
            "ends_at": ends_at,
            "completion_due_at": ends_at + self.policy.completion_grace,
            "reschedule_cutoff_at": starts_at - self.policy.reschedule_cutoff,
        }
