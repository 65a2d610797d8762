"""What we ask of Stripe, as frozen models of just the fields we use.

Requests are stored with their operation and resent as they were; amounts are minor units.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.keys import APP


class Request(BaseModel):
    """A write to Stripe, frozen before it is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metadata: dict[str, str] = Field(default_factory=dict)

    def tagged(self, key: str) -> dict[str, str]:
        """The metadata by which the object can be found again without its key."""
        return {**self.metadata, "op": key, "app": APP}


class CreateCustomer(Request):
    """A Stripe customer for one of our clients."""

    name: str | None = None
    email: str | None = None


class CreateIntent(Request):
    """A PaymentIntent on the platform (separate charges and transfers, DESIGN section 5)."""

    amount: int
    currency: str
    customer: str
    capture_method: Literal["manual", "automatic"]
    transfer_group: str
    setup_future_usage: Literal["off_session"] | None = None
    """Keep the card, so that it can be authorized again with nobody there."""


class ConfirmIntent(Request):
    """Charge a kept card with nobody there (a merchant-initiated transaction)."""

    payment_intent: str
    payment_method: str


class CreateSetup(Request):
    """A SetupIntent: the card is kept now and authorized nearer the date."""

    customer: str


class CancelSetup(Request):
    """Cancel a SetupIntent that no card was given to."""

    setup_intent: str


class CaptureIntent(Request):
    """Capture `amount` of an authorization; the rest is released (TRAPS 5)."""

    payment_intent: str
    amount: int


class CancelIntent(Request):
    """Cancel an intent: what is authorized is released."""

    payment_intent: str


class CreateRefund(Request):
    """Give `amount` of a captured payment back."""

    payment_intent: str
    amount: int


class CreateTransfer(Request):
    """Move `amount` to a connected account: of a charge, or of what is available on the platform."""

    amount: int
    currency: str
    destination: str
    source_transaction: str | None = None
    transfer_group: str


class CreateReversal(Request):
    """Take `amount` of a transfer back from the connected account."""

    transfer: str
    amount: int


class CreatePayout(Request):
    """Send `amount` of a connected account's balance to its bank."""

    account: str
    amount: int
    currency: str
