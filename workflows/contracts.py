"""Every message that enters or leaves a workflow: frozen, ids and amounts only.

Nothing here may carry a name, an e-mail address, card data or a client secret: it all ends up in
a history that people can read (TRAPS 43). Instants are UTC; amounts are minor units.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from models.policy import PaymentPlan
from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, Role, SessionStatus

BOOKINGS_QUEUE: Final = "bookings"
STRIPE_QUEUE: Final = "stripe"
RELAY_WORKFLOW_ID: Final = "relay"


class Message(BaseModel):
    """Frozen; unknown fields are ignored so that older workers can read newer messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Actor(Message):
    """Who decided something: `id` is the token's subject."""

    role: Role
    id: str | None = None


SYSTEM: Final = Actor(role=Role.SYSTEM)


class Refusal(StrEnum):
    """Why a seat could not be given; the API answers with the code of the same name."""

    SLOT_TAKEN = "slot_taken"
    CAPACITY_FULL = "capacity_full"
    ALREADY_BOOKED = "already_booked"
    NOT_FOUND = "not_found"
    OUTSIDE_OPENING_HOURS = "outside_opening_hours"
    PROVIDER_NOT_READY = "provider_not_ready"
    VALIDATION_FAILED = "validation_failed"
    CALLED_OFF = "invalid_state"
    """Given up before there was a seat; nothing is made of it later."""


class StartBooking(Message):
    """The workflow's input: what the client asked for."""

    booking_id: UUID
    client_id: str
    service_id: UUID
    starts_at: datetime


class BookingState(Message):
    """A booking as it stands in Postgres; every step answers with it."""

    booking_id: UUID
    provider_id: UUID
    service_id: UUID
    session_id: UUID
    status: BookingStatus
    status_reason: str | None = None
    session_status: SessionStatus
    amount: int
    currency: str
    plan: PaymentPlan
    starts_at: datetime
    ends_at: datetime
    expires_at: datetime
    completion_due_at: datetime
    reported_outcome: ReportedOutcome | None = None
    outcome_reason: str | None = None
    payment_status: PaymentStatus
    payment_opened: bool = False
    payment_refused: bool = False
    """The last card was refused and the policy takes that for an answer."""
    payout_status: PayoutStatus | None = None
    payout_amount: int | None = None
    payout_due_at: datetime | None = None
    attention: bool = False


class Reserve(Message):
    """Take the seat, or load the booking when it is already there."""

    request: StartBooking
    at: datetime


class Reserved(Message):
    """Exactly one of the two is set."""

    booking: BookingState | None = None
    refusal: Refusal | None = None


class Do(Message):
    """Do a step for a booking, at an instant of the saga's clock.

    `adopt` names an existing Stripe object that ops wants used instead of a new one; the step
    verifies it before it is believed.
    """

    booking_id: UUID
    at: datetime
    adopt: str | None = None


class Abandon(Message):
    """Undo a step of a booking that ends CANCELLED for `reason`, by whose word."""

    booking_id: UUID
    at: datetime
    reason: str
    actor: Actor


class Outcome(Message):
    """What became of a confirmed booking, by whose word and when."""

    kind: ReportedOutcome
    actor: Actor
    at: datetime
    reason: str | None = None


class Settle(Message):
    """Settle the money that the outcome keeps, and end the booking."""

    booking_id: UUID
    outcome: Outcome


class AttentionNote(Message):
    """A parked step, for people to see; `step` is None when it is parked no more."""

    booking_id: UUID
    at: datetime
    step: str | None = None
    message: str | None = None


class PaymentFact(Message):
    """Signal: Stripe says something happened to the booking's payment. Read it again."""

    event_id: str
    payment_intent_id: str | None = None


class Opened(Message):
    """Answer to the client who started the booking: it can be paid now, or it was refused."""

    refusal: Refusal | None = None
    status: BookingStatus | None = None


class Decide(Message):
    """Update by a person: cancel, or complete. Their words stay in Postgres, out of history.

    `unconfirmed` says that whoever asked was shown a booking that is not confirmed: the saga may have
    gone on, but what is cancelled then costs what was shown.
    """

    actor: Actor
    unconfirmed: bool = False


class Wish(Message):
    """Signal: what a person wanted while no worker could answer (ADR 0010)."""

    kind: ReportedOutcome
    decide: Decide


class Answer(Message):
    """Answer to an update: the booking's status once the request took effect."""

    status: BookingStatus | None = None


class Step(StrEnum):
    """The steps that can park."""

    RESERVE = "reserve"
    OPEN_PAYMENT = "open_payment"
    READ_PAYMENT = "read_payment"
    CLOSE_PAYMENT = "close_payment"
    CONFIRM = "confirm"
    SETTLE = "settle"
    PAY_OUT = "pay_out"
    GIVE_BACK = "give_back"
    RELEASE = "release"


class Action(StrEnum):
    """What ops can decide about a parked step."""

    RETRY = "retry"
    ADOPT = "adopt"
    ABORT = "abort"


ACTIONS: Final[dict[Step, frozenset[Action]]] = {
    Step.RESERVE: frozenset({Action.RETRY, Action.ABORT}),
    Step.OPEN_PAYMENT: frozenset({Action.RETRY, Action.ADOPT, Action.ABORT}),
    Step.READ_PAYMENT: frozenset({Action.RETRY, Action.ABORT}),
    Step.CLOSE_PAYMENT: frozenset({Action.RETRY, Action.ABORT}),
    Step.CONFIRM: frozenset({Action.RETRY, Action.ABORT}),
    Step.SETTLE: frozenset({Action.RETRY, Action.ABORT}),
    Step.PAY_OUT: frozenset({Action.RETRY, Action.ADOPT}),
    Step.GIVE_BACK: frozenset({Action.RETRY}),
    Step.RELEASE: frozenset({Action.RETRY}),
}
"""An undo can only be tried again, and a payout is never called paid without its transfer."""


class Resolve(Message):
    """Update by ops: what to do about a parked step. Who and why are required."""

    step: Step
    action: Action
    actor: Actor
    reason: str = Field(min_length=1)
    object_id: str | None = None


class Ended(Message):
    """A workflow's result: the terminal state it ended in."""

    booking_id: UUID
    status: BookingStatus | None = None
    reason: str | None = None
    refusal: Refusal | None = None


class RelayBatch(Message):
    """What one life of the relay delivered."""

    delivered: int = 0
