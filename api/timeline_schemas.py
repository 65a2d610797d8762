"""A booking's timeline, as the API shows it. Amounts are integer minor units."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from api.schemas import EXAMPLE_ID, HeldBecause, Shape
from models.ledger import JournalKind
from models.states import BookingStatus, Role


class What(StrEnum):
    """What a booking waits for."""

    DECISION = "decision"
    """A step is parked, or people contradict each other: ops decide."""
    PAYMENT = "payment"
    PAYMENT_PROCESSING = "payment_processing"
    CONFIRMATION = "confirmation"
    APPROVAL = "approval"
    AUTHORIZATION = "authorization"
    CARD_REPAIR = "card_repair"
    OUTCOME = "outcome"
    CONTRADICTION = "contradiction"
    SETTLEMENT = "settlement"
    HOLD = "hold"
    OBJECTION = "objection"
    DISPUTE = "dispute"
    PROVIDER_ACCOUNT = "provider_account"
    TRANSFER = "transfer"
    BANK = "bank"
    REFUND = "refund"


class Can(Shape):
    """Something that one side can do about it now."""

    role: Role
    method: Literal["GET", "POST"] = "POST"
    path: str = Field(examples=["/api/bookings/6c7f2a3e-2f43-5d0c-9a39-5f8f0c0f9d11/approve"])
    until: datetime | None = Field(default=None, description="When that is no longer possible")


class Awaiting(Shape):
    """What happens next, by when at the latest, and who can make it happen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "what": "approval",
                    "until": "2026-11-30T12:00:00Z",
                    "can_act": [
                        {
                            "role": "provider",
                            "method": "POST",
                            "path": f"/api/bookings/{EXAMPLE_ID}/approve",
                            "until": "2026-11-30T12:00:00Z",
                        }
                    ],
                    "told": "The provider has still to accept; silence lets the payment go.",
                }
            ]
        }
    )

    what: What
    until: datetime | None = Field(description="When it happens by itself, or the wait ends; None: no term")
    can_act: list[Can]
    told: str = Field(description="The same in a sentence")


class Transition(Shape):
    """Something changed its status."""

    kind: Literal["transition"] = "transition"
    at: datetime
    entity: str = Field(examples=["booking", "session", "payment", "payout", "refund", "dispute"])
    entity_id: UUID
    from_status: str | None = Field(description="None: it came to be")
    to_status: str
    actor_role: Role
    actor_id: str | None = Field(description="For ops only")
    reason: str | None
    workflow_run_id: str | None = Field(description="For ops only")


class Said(Shape):
    """What somebody had to say about something they did."""

    kind: Literal["remark"] = "remark"
    at: datetime
    about: str = Field(examples=["reject", "cancel", "object", "refund", "hold", "resolve"])
    actor_role: Role
    actor_id: str | None = Field(description="For ops only")
    words: str


class Movement(Shape):
    """Money moved, or changed hands in the books."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "money",
                    "at": "2026-12-01T10:00:00Z",
                    "journal": "capture",
                    "amount": 12000,
                    "currency": "eur",
                    "told": "120.00 EUR was captured from the client",
                    "stripe_object_id": None,
                }
            ]
        }
    )

    kind: Literal["money"] = "money"
    at: datetime
    journal: JournalKind
    amount: int = Field(description="Minor units; below zero, away from whoever it usually goes to")
    currency: str
    told: str = Field(examples=["120.00 EUR was captured from the client"])
    stripe_object_id: str | None = Field(description="For ops only")


class Timeline(Shape):
    """What happened to a booking, and what it waits for."""

    booking_id: UUID
    status: BookingStatus
    happened: list[Transition | Said | Movement] = Field(description="In order")
    awaiting: Awaiting | None = Field(description="None: nothing, it is over")
    payout_held_because: list[HeldBecause] = Field(
        description="Why the provider does not have its share yet; empty when it has, or gets none"
    )
