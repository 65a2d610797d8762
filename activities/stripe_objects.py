"""What we read from Stripe, as frozen models of just the fields we use; amounts are minor units."""

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

Raw = dict[str, Any]
"""An object as Stripe sends it."""


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
            product_id=id_of(raw["product"]) or "",
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
            fee_transaction_id=id_of(transaction),
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
            customer=id_of(raw["customer"]),
            client_secret=raw["client_secret"],
            charge=Charge.read(charge) if isinstance(charge, dict) else None,
            refused_code=_get(raw["last_payment_error"], "code"),
            cancellation_reason=raw["cancellation_reason"],
            payment_method=id_of(_get(raw, "payment_method")),
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
            customer=id_of(raw["customer"]),
            payment_method=id_of(raw["payment_method"]),
            client_secret=raw["client_secret"],
            refused_code=_get(raw["last_setup_error"], "code"),
        )


def id_of(value: Raw | str | None) -> str | None:
    """The id of something that Stripe gives as an id or expanded."""
    return value["id"] if isinstance(value, dict) else value


def _get(value: Raw | str | None, name: str) -> Any:
    """A field that may be absent, of something that may be absent or unexpanded."""
    return value.get(name) if isinstance(value, dict) else None
