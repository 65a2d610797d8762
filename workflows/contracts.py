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
from workflows.parking import Action, Step

BOOKINGS_QUEUE: Final = "bookings"
STRIPE_QUEUE: Final = "stripe"
RELAY_WORKFLOW_ID: Final = "relay"
RECONCILIATION_ID: Final = "reconciliation"
AUDIT_ID: Final = "ledger-audit"


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
    CLASS_NOT_FOUND = "class_not_found"
    OUTSIDE_OPENING_HOURS = "outside_opening_hours"
    PROVIDER_NOT_READY = "provider_not_ready"
    VALIDATION_FAILED = "validation_failed"
    CALLED_OFF = "invalid_state"
    """Given up before there was a seat; nothing is made of it later."""


class StartBooking(Message):
    """The workflow's input: what the client asked for.

    `session_id` names the class; without one the booking opens a session of its own. A payment that
    is there already, `payment_intent_id`, is the client's for a booking that had ended.
    """

    booking_id: UUID
    client_id: str
    service_id: UUID
    starts_at: datetime
    session_id: UUID | None = None
    payment_intent_id: str | None = None


class Claim(Message):
    """What one side reported and the other may still contradict."""

    kind: ReportedOutcome
    actor: Actor
    at: datetime


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
    claim: Claim | None = None
    contradiction: Claim | None = None
    """What the other side said to the claim; ops have to decide."""
    wants_approval: bool = False
    """The provider is to be asked before the booking is confirmed."""
    approval_due_at: datetime | None = None
    authorize_at: datetime | None = None
    fix_by: datetime | None = None
    renew_at: datetime | None = None
    replan: bool = False
    reschedule_cutoff_at: datetime | None = None
    """Until when a client may move the booking."""
    refundable: int = 0
    """What could still be given back, in minor units: captured, less refunds and disputes."""
    disputed: bool = False
    """A dispute is open."""
    objected_at: datetime | None = None
    objected: bool = False
    """The client contests; ops have to decide."""
    unbalanced: bool = False
    """The provider was paid more, or less, than is its share now."""
    unread: bool = False
    """A payment that was there before the booking has still to be read."""
    at_bank: bool = False
    """The transfer is made; what is left is the way to the provider's bank."""
    escalate_at: datetime | None = None
    """When ops have to look at a blocked payout."""


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
    waive: Actor | None = None
    """Who decided that the provider does not get what is due; `rebalance` leaves it with the platform."""
    insist: Actor | None = None
    """Who decided that the provider gets again what somebody reversed in Stripe's dashboard."""


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
    keep: int | None = None
    """What ops want kept, in minor units; None leaves it to the policy."""


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


class MoneyFact(Message):
    """Signal: Stripe says something happened to captured money, a transfer or a bank payout."""

    event_id: str
    object_id: str | None = None


class AccountFact(Message):
    """Signal: the provider's account changed; what is blocked may be payable now."""

    account_id: str


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
    """Signal: what a person wanted while no worker could answer (ADR 0010), or what became of a class.

    `session_id` names that class; the wish is then for whoever still has a seat in it.
    """

    kind: ReportedOutcome
    decide: Decide
    session_id: UUID | None = None


class Answer(Message):
    """Answer to an update: the booking's status once the request took effect."""

    status: BookingStatus | None = None


class Resolve(Message):
    """Update by ops: what to do about a parked step. Who and why are required."""

    step: Step
    action: Action
    actor: Actor
    reason: str = Field(min_length=1)
    object_id: str | None = None
    amount: int | None = None
    """What the client gets back, in minor units; with `refund` alone, None is everything."""


class Ended(Message):
    """A workflow's result: the terminal state it ended in."""

    booking_id: UUID
    status: BookingStatus | None = None
    reason: str | None = None
    refusal: Refusal | None = None


class RelayBatch(Message):
    """What one life of the relay delivered."""

    delivered: int = 0
