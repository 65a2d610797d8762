"""What we ask of Stripe and what we read from it, as frozen models of just the fields we use.

Requests are stored with their operation and resent as they were; amounts are minor units.
"""

from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from models.keys import APP

Raw = dict[str, Any]
"""An object as Stripe sends it."""


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


class StripeObject(BaseModel):
    """Something at Stripe."""

    model_config = ConfigDict(frozen=True)

    id: str
    metadata: dict[str, str] = Field(default_factory=dict)


class Price(StripeObject):
    """What a service costs."""

    product_id: str
    unit_amount: int
    currency: str
    active: bool

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's price; one without a fixed amount reads as 0."""
        return cls(
            id=raw["id"],
            product_id=_id(raw["product"]) or "",
            unit_amount=raw["unit_amount"] or 0,
            currency=raw["currency"],
            active=raw["active"],
        )


class Account(StripeObject):
    """A provider's connected account."""

    transfers_active: bool
    payouts_enabled: bool

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's account."""
        capabilities = raw["capabilities"] or {}
        return cls(
            id=raw["id"],
            transfers_active=capabilities.get("transfers") == "active",
            payouts_enabled=bool(raw["payouts_enabled"]),
        )


class Customer(StripeObject):
    """A client at Stripe."""

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's customer."""
        return cls(id=raw["id"], metadata=raw["metadata"] or {})


class Charge(StripeObject):
    """The money side of an intent."""

    amount_captured: int
    amount_refunded: int
    capture_before: datetime | None
    fee: int
    fee_currency: str | None
    fee_transaction_id: str | None

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's charge, with its balance transaction expanded where there is one."""
        card = _get(_get(raw, "payment_method_details"), "card")
        before = _get(card, "capture_before")
        transaction = _get(raw, "balance_transaction")
        return cls(
            id=raw["id"],
            amount_captured=raw["amount_captured"],
            amount_refunded=raw["amount_refunded"],
            capture_before=datetime.fromtimestamp(before, UTC) if before else None,
            fee=_get(transaction, "fee") or 0,
            fee_currency=_get(transaction, "currency"),
            fee_transaction_id=_id(transaction),
        )


class Intent(StripeObject):
    """A PaymentIntent. The client secret is for the client alone: never stored or logged."""

    status: str
    amount: int
    currency: str
    amount_capturable: int
    amount_received: int
    livemode: bool
    customer: str | None
    client_secret: str | None = Field(default=None, repr=False)
    charge: Charge | None
    refused_code: str | None
    cancellation_reason: str | None
    payment_method: str | None = None
    setup_future_usage: str | None = None

    @property
    def refused(self) -> bool:
        """The last card was refused, and another may be tried (TRAPS 7)."""
        return self.status == "requires_payment_method" and self.refused_code is not None

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's intent with `latest_charge` expanded."""
        charge = raw["latest_charge"]
        return cls(
            id=raw["id"],
            metadata=raw["metadata"] or {},
            status=raw["status"],
            amount=raw["amount"],
            currency=raw["currency"],
            amount_capturable=raw["amount_capturable"] or 0,
            amount_received=raw["amount_received"] or 0,
            livemode=raw["livemode"],
            customer=_id(raw["customer"]),
            client_secret=raw["client_secret"],
            charge=Charge.read(charge) if isinstance(charge, dict) else None,
            refused_code=_get(raw["last_payment_error"], "code"),
            cancellation_reason=raw["cancellation_reason"],
            payment_method=_id(_get(raw, "payment_method")),
            setup_future_usage=_get(raw, "setup_future_usage"),
        )


class Setup(StripeObject):
    """A SetupIntent. The client secret is for the client alone: never stored or logged."""

    status: str
    livemode: bool
    customer: str | None
    payment_method: str | None
    client_secret: str | None = Field(default=None, repr=False)
    refused_code: str | None

    @property
    def refused(self) -> bool:
        """The last card was refused, and another may be tried (TRAPS 7)."""
        return self.status == "requires_payment_method" and self.refused_code is not None

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's setup intent."""
        return cls(
            id=raw["id"],
            metadata=raw["metadata"] or {},
            status=raw["status"],
            livemode=raw["livemode"],
            customer=_id(raw["customer"]),
            payment_method=_id(raw["payment_method"]),
            client_secret=raw["client_secret"],
            refused_code=_get(raw["last_setup_error"], "code"),
        )


class RefundObject(StripeObject):
    """A refund."""

    amount: int
    status: str
    balance_transaction: str | None = None

    @property
    def moves_money(self) -> bool:
        """Letting go of an authorization may show as a refund too, but moves no balance."""
        return self.status != "succeeded" or self.balance_transaction is not None

    @property
    def failed(self) -> bool:
        """Nothing reaches the client; what had left came back."""
        return self.status in ("failed", "canceled")

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's refund."""
        return cls(
            id=raw["id"],
            metadata=raw["metadata"] or {},
            amount=raw["amount"],
            status=raw["status"] or "pending",
            balance_transaction=_id(raw["balance_transaction"]),
        )


class Movement(StripeObject):
    """A dispute's balance transaction: below zero the money leaves, above it comes back."""

    amount: int
    currency: str
    fee: int

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's balance transaction."""
        return cls(id=raw["id"], amount=raw["amount"], currency=raw["currency"], fee=raw["fee"])


class DisputeObject(StripeObject):
    """A charge that the client's bank contests, or asks about."""

    amount: int
    currency: str
    reason: str | None
    status: str
    movements: tuple[Movement, ...]

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's dispute, which carries its balance transactions whole."""
        return cls(
            id=raw["id"],
            metadata=raw["metadata"] or {},
            amount=raw["amount"],
            currency=raw["currency"],
            reason=raw["reason"],
            status=raw["status"],
            movements=tuple(Movement.read(one) for one in raw["balance_transactions"]),
        )


class Transfer(StripeObject):
    """Money that went to a connected account."""

    amount: int
    currency: str
    destination: str
    transfer_group: str | None
    amount_reversed: int

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's transfer."""
        return cls(
            id=raw["id"],
            metadata=raw["metadata"] or {},
            amount=raw["amount"],
            currency=raw["currency"],
            destination=_id(raw["destination"]) or "",
            transfer_group=raw["transfer_group"],
            amount_reversed=raw["amount_reversed"],
        )


class Reversal(StripeObject):
    """What came back of a transfer."""

    amount: int

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's transfer reversal."""
        return cls(id=raw["id"], metadata=raw["metadata"] or {}, amount=raw["amount"])


class Funds(BaseModel):
    """An account's balance in one currency, in minor units; may be below zero (TRAPS 31)."""

    model_config = ConfigDict(frozen=True)

    available: int
    pending: int

    @classmethod
    def read(cls, raw: Raw, currency: str) -> Self:
        """From Stripe's balance."""

        def of(part: str) -> int:
            return sum(one["amount"] for one in raw[part] if one["currency"] == currency)

        return cls(available=of("available"), pending=of("pending"))


class PayoutObject(StripeObject):
    """Money on its way from a connected account to its bank."""

    amount: int
    status: str
    failure_code: str | None

    @classmethod
    def read(cls, raw: Raw) -> Self:
        """From Stripe's payout."""
        return cls(
            id=raw["id"],
            metadata=raw["metadata"] or {},
            amount=raw["amount"],
            status=raw["status"],
            failure_code=raw["failure_code"],
        )


def _id(value: Raw | str | None) -> str | None:
    """The id of something that Stripe gives as an id or expanded."""
    return value["id"] if isinstance(value, dict) else value


def _get(value: Raw | str | None, name: str) -> Any:
    """A field that may be absent, of something that may be absent or unexpanded."""
    return value.get(name) if isinstance(value, dict) else None
