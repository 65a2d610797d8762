"""Messages of the workflows around the bookings: aftercare, settlement of stray payments, classes, oversight.

The rules are those of `contracts.py`: frozen, ids and amounts only.
"""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from models.states import PaymentStatus, PayoutStatus, ReportedOutcome
from workflows.contracts import Actor, Message, StartBooking


class StartAftercare(Message):
    """The booking whose money goes on moving after its workflow's end."""

    booking_id: UUID


class Aftermath(Message):
    """What an aftercare run leaves behind."""

    booking_id: UUID
    payment_status: PaymentStatus | None = None
    payout_status: PayoutStatus | None = None


class Stray(Message):
    """A payment of ours that no live booking knows."""

    payment_intent_id: str
    event_id: str | None = None


class SettleStray(Message):
    """Give a stray payment back, or find out that there is nothing to give."""

    payment_intent_id: str
    at: datetime


class StrayVerdict(Message):
    """What a stray payment is good for: a booking to start (at most one of the two), or its money back."""

    retake: StartBooking | None = None
    give_back: bool = False
    why: str


class Settlement(Message):
    """What became of a stray payment."""

    payment_intent_id: str
    booking_id: UUID | None = None
    given_back: bool = False
    why: str


class ClassOrder(Message):
    """A class was called off, or held: every booking in it is told."""

    session_id: UUID
    kind: ReportedOutcome
    actor: Actor


class ClassBookings(Message):
    """The bookings of a class that have still to hear of it."""

    booking_ids: tuple[UUID, ...] = ()


class Found(Message):
    """What a reconciliation or an audit saw; `findings` are open ones."""

    repaired: dict[str, int] = Field(default_factory=dict)
    findings: int = 0
