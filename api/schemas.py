"""Bookings, as the API takes and shows them (DESIGN section 7). Amounts are integer minor units."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from api.text import Line, Prose
from models.policy import PaymentPlan
from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, SessionStatus
from workflows.parking import ACTIONS, Action, Step

LARGEST_AMOUNT: Final = 99_999_999
"""Stripe takes at most eight digits."""

EXAMPLE_ID: Final = "6c7f2a3e-2f43-5d0c-9a39-5f8f0c0f9d11"


WRITTEN_OUT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
"""RFC 3339; whether there is an offset is asked next, with an answer of its own."""


def _written_out(moment: Any) -> Any:
    """Numbers would be taken for seconds since 1970, which nobody means who writes one here."""
    if not isinstance(moment, datetime) and not WRITTEN_OUT.fullmatch(str(moment)):
        raise ValueError("not an instant such as 2026-12-01T10:00:00+01:00")
    return moment


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the instant lies outside the calendar") from None


Utc = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_to_utc)]
"""An instant with any offset, kept in UTC."""

Amount = Annotated[int, Field(strict=True, gt=0, le=LARGEST_AMOUNT, description="Minor units")]
Currency = Annotated[str, Field(pattern=r"^[A-Za-z]{3}$", description="ISO 4217", examples=["eur"])]


class Shape(BaseModel):
    """What every body has in common: it is frozen, and a field nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewBooking(Shape):
    """A client wants a session. The price is the service's; an amount sent along has to match it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"service_id": EXAMPLE_ID, "starts_at": "2026-12-01T10:00:00+01:00"}]}
    )

    service_id: UUID | None = Field(default=None, description="Needed unless a class is named")
    starts_at: Utc | None = Field(
        default=None, description="With an offset; a time of day alone would be ambiguous"
    )
    session_id: UUID | None = Field(default=None, description="A class, instead of a time of one's own")
    checkout: Literal["payment_intent", "hosted", "embedded"] = "payment_intent"
    notes: Prose | None = Field(default=None, max_length=2000, description="For the provider")
    amount: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _when(self) -> Self:
        if self.session_id is None and (self.service_id is None or self.starts_at is None):
            raise ValueError("give a service_id and starts_at, or the session_id of a class")
        if self.session_id is not None and self.starts_at is not None:
            raise ValueError("a class starts when it starts: give no starts_at with its session_id")
        return self


class CancelBooking(Shape):
    """Why, in the caller's own words."""

    reason: Prose | None = Field(default=None, max_length=500)


class ConfirmPayment(Shape):
    """The payment that the client has just made, or the card that it has just saved."""

    payment_intent_id: Line = Field(
        min_length=1, max_length=255, description="Or a SetupIntent's", examples=["pi_3Q…", "seti_1Q…"]
    )


class ResolveStep(Shape):
    """What ops decide about a parked step."""

    step: Step
    action: Action
    reason: Prose = Field(min_length=1, max_length=500)
    object_id: Line | None = Field(
        default=None, min_length=1, max_length=255, description="The Stripe object to adopt"
    )
    amount: Amount | None = Field(
        default=None, description="With `refund`: what the client gets back; without it, everything"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.action not in ACTIONS[self.step]:
            raise ValueError(f"{self.step} can only be resolved by {', '.join(sorted(ACTIONS[self.step]))}")
        if (self.action is Action.ADOPT) != (self.object_id is not None):
            raise ValueError("adopt, and only adopt, names an object_id")
        if self.amount is not None and self.action is not Action.REFUND:
            raise ValueError("only refund has an amount")
        return self


class SessionPart(Shape):
    """The block of the provider's time."""

    id: UUID
    status: SessionStatus
    starts_at: datetime
    ends_at: datetime
    capacity: int = Field(description="More than one: a class")


class PaymentPart(Shape):
    """The client's money. Fee and share are what the money kept so far would divide into."""

    status: PaymentStatus
    plan: PaymentPlan
    amount: int
    currency: str
    amount_captured: int
    amount_refunded: int
    platform_fee: int
    provider_share: int
    payment_intent_id: str | None
    setup_intent_id: str | None = Field(description="Keeps a card that is charged nearer the date")
    checkout_session_id: str | None = None
    capture_before: datetime | None = Field(description="When the card network lets the authorization go")
    authorize_at: datetime | None = Field(description="When the card that is kept is charged")
    fix_by: datetime | None = Field(description="Until when a card that was refused then can be repaired")


class HeldBecause(StrEnum):
    """Why the provider does not have its share yet."""

    HOLD = "hold"
    OBJECTION = "objection"
    DISPUTE = "dispute"
    ACCOUNT = "account"
    TRANSFER = "transfer"
    BANK = "bank"


class PayoutPart(Shape):
    """The provider's money."""

    status: PayoutStatus
    amount: int = Field(description="The provider's share of what is kept now")
    debt_netted: int = Field(description="How much of it pays debts of earlier bookings")
    transfer_amount: int = Field(description="What is left to be moved, or was")
    due_at: datetime
    held_because: HeldBecause | None
    transfer_id: str | None
    payout_id: str | None = Field(description="What was last sent on to the bank, on a manual schedule")


class AttentionPart(Shape):
    """A step that people are looking into."""

    step: str
    message: str
    since: datetime


class CheckoutPart(Shape):
    """What the client's browser needs in order to pay."""

    kind: Literal["payment_intent", "setup_intent"] = "payment_intent"
    client_secret: str | None = Field(description="For Stripe.js; read from Stripe now, kept nowhere")
    url: str | None = None
    publishable_key: str


class BookingResource(Shape):
    """One client's seat, and the money for it."""

    id: UUID
    status: BookingStatus
    status_reason: str | None
    service_id: UUID
    provider_id: UUID
    client_id: str
    session: SessionPart
    payment: PaymentPart
    payout: PayoutPart | None
    reported_outcome: ReportedOutcome | None
    notes: str | None = Field(default=None, description="From the client, for the provider")
    attention: AttentionPart | None
    expires_at: datetime = Field(description="When the payment window ends")
    accepted_at: datetime | None
    workflow_id: str
    created_at: datetime
    checkout: CheckoutPart | None = Field(default=None, description="While payment is open, to its client")


class BookingPage(Shape):
    """Some bookings, the newest first."""

    items: list[BookingResource]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page")


class PendingBooking(Shape):
    """Accepted, and not made yet: ask for it at `Location`."""

    id: UUID
    status: Literal[BookingStatus.PENDING] = BookingStatus.PENDING
    workflow_id: str


class CancellationQuote(Shape):
    """What cancelling now would cost, by the code that will charge it."""

    booking_id: UUID
    booking_status: BookingStatus = Field(description="What the booking would become")
    amount: int
    keep: int
    give_back: int
    currency: str


BOOKING_EXAMPLE: Final[dict[str, Any]] = {
    "id": EXAMPLE_ID,
    "status": "PENDING",
    "status_reason": None,
    "service_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "provider_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "client_id": "client-1",
    "session": {
        "id": "9b2d3c54-8f0e-5b2c-8c52-0f8f6d5a1a77",
        "status": "DRAFT",
        "starts_at": "2026-12-01T09:00:00Z",
        "ends_at": "2026-12-01T10:00:00Z",
        "capacity": 1,
    },
    "payment": {
        "status": "PENDING",
        "plan": "authorize_now",
        "amount": 12000,
        "currency": "eur",
        "amount_captured": 0,
        "amount_refunded": 0,
        "platform_fee": 2400,
        "provider_share": 9600,
        "payment_intent_id": "pi_3Q…",
        "setup_intent_id": None,
        "checkout_session_id": None,
        "capture_before": None,
        "authorize_at": None,
        "fix_by": None,
    },
    "payout": None,
    "reported_outcome": None,
    "attention": None,
    "expires_at": "2026-11-30T12:30:00Z",
    "accepted_at": None,
    "workflow_id": f"booking-{EXAMPLE_ID}",
    "created_at": "2026-11-30T12:00:00Z",
    "checkout": {
        "kind": "payment_intent",
        "client_secret": "pi_3Q…_secret_…",
        "url": None,
        "publishable_key": "pk_test_…",
    },
}
