"""Money that moves after a capture, as Stripe tells of it: amounts are minor units."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from activities.stripe_objects import Raw, StripeObject, id_of


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
            balance_transaction=id_of(raw["balance_transaction"]),
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
            destination=id_of(raw["destination"]) or "",
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
