"""What people order of a booking, and the same order as its step gets it: with the booking and an instant.

The rules are those of `contracts.py`: frozen, ids and amounts only.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from models.states import ReportedOutcome
from workflows.contracts import Actor, BookingState, Message


class NoShow(Message):
    """Update by a person: somebody did not come."""

    kind: ReportedOutcome
    actor: Actor


class Reschedule(Message):
    """Update by a person: another time for the same booking; for a class, another of its sessions."""

    actor: Actor
    starts_at: datetime
    session_id: UUID | None = None


class Objection(Message):
    """Update by the client during the hold. The words stay in Postgres, out of history."""

    actor: Actor


class RefundOrder(Message):
    """Update by a person: give money back after capture; everything when there is no `amount`.

    `request_id` tells two refunds of one amount apart, and one that is repeated from both.
    """

    actor: Actor
    request_id: str
    amount: int | None = None


class HoldAction(StrEnum):
    """What ops can do to the payout hold."""

    EXTEND = "extend"
    RELEASE = "release"


class HoldOrder(Message):
    """Update by ops: pay out later, or now."""

    actor: Actor
    action: HoldAction
    reason: str = Field(min_length=1)
    until: datetime | None = None


class Verdict(Message):
    """What ops decided about an objection: `give_back` minor units go to the client."""

    actor: Actor
    reason: str
    give_back: int


class Moving(Message):
    """Move a booking, at an instant of the saga's clock."""

    booking_id: UUID
    at: datetime
    order: Reschedule
    from_session_id: UUID | None = None
    """Where the booking was by then: once it has been moved, the order is out of date."""


class Contest(Message):
    """Freeze the payout because the client objects."""

    booking_id: UUID
    at: datetime
    objection: Objection


class GiveBack(Message):
    """Give captured money back, as a person ordered."""

    booking_id: UUID
    at: datetime
    order: RefundOrder


class ChangeHold(Message):
    """Extend or release the hold."""

    booking_id: UUID
    at: datetime
    order: HoldOrder


class Judge(Message):
    """Carry out what ops decided about an objection."""

    booking_id: UUID
    at: datetime
    verdict: Verdict


class Changed(Message):
    """What became of an order: the booking, or the refusal and the booking as it was."""

    booking: BookingState
    refusal: str | None = None
    """A problem code."""
    detail: str | None = None
