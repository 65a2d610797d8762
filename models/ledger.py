"""The double-entry ledger: append-only, every journal sums to zero per currency.

A journal's id is derived from what it records, so the same fact cannot be posted twice; the
database checks the balance when the transaction commits (migration 0001).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID, uuid5

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, checked

_JOURNALS = UUID("c4d3b58e-3f0b-4a0e-8d6e-0a4ed8a5b7f2")


class Account(StrEnum):
    """Where money can be."""

    STRIPE_BALANCE = "stripe_balance"
    HELD = "held"
    PROVIDER_PAYABLE = "provider_payable"
    PROVIDER_DEBT = "provider_debt"
    PLATFORM_REVENUE = "platform_revenue"
    DISPUTE_LOSSES = "dispute_losses"
    STRIPE_FEES = "stripe_fees"


class Side(StrEnum):
    """The side of an entry."""

    DEBIT = "debit"
    CREDIT = "credit"


class JournalKind(StrEnum):
    """What a journal records."""

    CAPTURE = "capture"
    STRIPE_FEE = "stripe_fee"
    REFUND = "refund"
    ALLOCATION = "allocation"
    TRANSFER = "transfer"


class LedgerEntry(Base):
    """One line of one journal; `amount` is positive minor units."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        Index(None, "booking_id", "account"),
        Index(None, "stripe_object_id"),
    )

    journal_id: Mapped[UUID] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[JournalKind] = mapped_column(checked(JournalKind, "kind"))
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    account: Mapped[Account] = mapped_column(checked(Account, "account"))
    side: Mapped[Side] = mapped_column(checked(Side, "side"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    stripe_object_id: Mapped[str | None] = mapped_column(Text)
    posted_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(frozen=True)
class Line:
    """One side of a journal before it is posted."""

    side: Side
    account: Account
    amount: int

    @classmethod
    def debit(cls, account: Account, amount: int) -> Self:
        """`amount` minor units into `account`."""
        return cls(Side.DEBIT, account, amount)

    @classmethod
    def credit(cls, account: Account, amount: int) -> Self:
        """`amount` minor units out of `account`."""
        return cls(Side.CREDIT, account, amount)


def capture(amount: int) -> tuple[Line, ...]:
    """The client's money arrives at Stripe and is held for the booking."""
    return (Line.debit(Account.STRIPE_BALANCE, amount), Line.credit(Account.HELD, amount))


def stripe_fee(amount: int) -> tuple[Line, ...]:
    """Stripe keeps its processing fee, which the platform bears (TRAPS 24)."""
    return (Line.debit(Account.STRIPE_FEES, amount), Line.credit(Account.STRIPE_BALANCE, amount))


def refund(amount: int) -> tuple[Line, ...]:
    """Held money goes back to the client."""
    return (Line.debit(Account.HELD, amount), Line.credit(Account.STRIPE_BALANCE, amount))


def allocation(platform_fee: int, provider_share: int) -> tuple[Line, ...]:
    """The hold is over: what was kept is divided."""
    return (
        Line.debit(Account.HELD, platform_fee + provider_share),
        Line.credit(Account.PLATFORM_REVENUE, platform_fee),
        Line.credit(Account.PROVIDER_PAYABLE, provider_share),
    )


def transfer(amount: int) -> tuple[Line, ...]:
    """The provider's share leaves for the provider's account."""
    return (Line.debit(Account.PROVIDER_PAYABLE, amount), Line.credit(Account.STRIPE_BALANCE, amount))


def entries(
    kind: JournalKind,
    booking_id: UUID,
    currency: str,
    lines: Sequence[Line],
    stripe_object_id: str | None = None,
) -> list[LedgerEntry]:
    """The rows of one journal; lines of nothing are left out."""
    journal_id = uuid5(_JOURNALS, f"{kind}\x00{stripe_object_id or booking_id}")
    return [
        LedgerEntry(
            journal_id=journal_id,
            line=number,
            kind=kind,
            booking_id=booking_id,
            account=line.account,
            side=line.side,
            amount=line.amount,
            currency=currency,
            stripe_object_id=stripe_object_id,
        )
        for number, line in enumerate((line for line in lines if line.amount), start=1)
    ]
