"""The double-entry ledger: append-only, every journal sums to zero per currency.

A journal's id is derived from what it records, so the same fact cannot be posted twice; the
database checks the balance when the transaction commits (migration 0001).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID, uuid5

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, checked
from models.books import Books, Division

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
    REFUND_FAILURE = "refund_failure"
    DISPUTE = "dispute"
    DISPUTE_FEE = "dispute_fee"
    ALLOCATION = "allocation"
    TRANSFER = "transfer"
    REVERSAL = "reversal"
    NETTING = "netting"
    DEBT = "debt"
    DEBT_RELIEF = "debt_relief"
    WAIVER = "waiver"


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
    booking_id: Mapped[UUID | None] = mapped_column(ForeignKey("bookings.id"))
    """None for money that belongs to no booking: it came and went back (DESIGN section 9)."""
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


def shift(before: Books, after: Books) -> tuple[Line, ...]:
    """Client money leaves or comes back: a refund, a failed refund, a dispute, a dispute won.

    Until it is divided it is held; afterwards platform and provider each bear their part of it. What
    leaves beyond what there was is the platform's loss, divided or not.
    """
    was, is_ = before.division, after.division
    fee, provider = is_.platform_fee - was.platform_fee, is_.provider_share - was.provider_share
    divided = [_owed(Account.PLATFORM_REVENUE, fee), _owed(Account.PROVIDER_PAYABLE, provider)]
    return (
        _balance(after.kept - before.kept),
        *(divided if before.allocated else [_owed(Account.HELD, fee + provider)]),
        _owed(Account.DISPUTE_LOSSES, was.loss - is_.loss),
    )


def dispute_fee(amount: int) -> tuple[Line, ...]:
    """Stripe charges for a dispute, which the platform bears; negative when it gives it back."""
    return (_balance(-amount), _owed(Account.DISPUTE_LOSSES, -amount))


def allocation(division: Division) -> tuple[Line, ...]:
    """The hold is over: what was kept is divided. A loss was posted when it was made."""
    return (
        _owed(Account.HELD, -(division.platform_fee + division.provider_share)),
        _owed(Account.PLATFORM_REVENUE, division.platform_fee),
        _owed(Account.PROVIDER_PAYABLE, division.provider_share),
    )


def transfer(amount: int) -> tuple[Line, ...]:
    """The provider's share leaves for the provider's account."""
    return (Line.debit(Account.PROVIDER_PAYABLE, amount), Line.credit(Account.STRIPE_BALANCE, amount))


def reversal(amount: int) -> tuple[Line, ...]:
    """What was transferred comes back from the provider's account."""
    return (Line.debit(Account.STRIPE_BALANCE, amount), Line.credit(Account.PROVIDER_PAYABLE, amount))


def netting(amount: int) -> tuple[Line, ...]:
    """A part of this booking's share pays what the provider owes from earlier ones."""
    return (Line.debit(Account.PROVIDER_PAYABLE, amount), Line.credit(Account.PROVIDER_DEBT, amount))


def debt(amount: int) -> tuple[Line, ...]:
    """What cannot be reversed, the provider owes."""
    return (Line.debit(Account.PROVIDER_DEBT, amount), Line.credit(Account.PROVIDER_PAYABLE, amount))


def debt_relief(amount: int) -> tuple[Line, ...]:
    """The provider owes less after all: the dispute was won, or the refund failed."""
    return (Line.debit(Account.PROVIDER_PAYABLE, amount), Line.credit(Account.PROVIDER_DEBT, amount))


def waiver(amount: int) -> tuple[Line, ...]:
    """Ops leave with the platform what would have been the provider's; below zero, it bears a part after all."""
    return (_owed(Account.PROVIDER_PAYABLE, -amount), _owed(Account.PLATFORM_REVENUE, amount))


def _balance(amount: int) -> Line:
    """`amount` arrives at Stripe; below zero, it leaves."""
    side = Side.DEBIT if amount > 0 else Side.CREDIT
    return Line(side, Account.STRIPE_BALANCE, abs(amount))


def _owed(account: Account, amount: int) -> Line:
    """`amount` more is somebody's; below zero, less."""
    side = Side.CREDIT if amount > 0 else Side.DEBIT
    return Line(side, account, abs(amount))


def entries(
    kind: JournalKind,
    booking_id: UUID | None,
    currency: str,
    lines: Sequence[Line],
    stripe_object_id: str | None = None,
    *,
    reference: str | None = None,
) -> list[LedgerEntry]:
    """The rows of one journal; lines of nothing are left out.

    The journal is named for the Stripe object that it records, else for `reference` (one of our rows),
    else for the booking, of which there can be one journal of the kind.
    """
    journal_id = uuid5(_JOURNALS, f"{kind}\x00{stripe_object_id or reference or booking_id}")
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


Sums = Mapping[tuple[JournalKind, Account], int]
"""Debits less credits of one booking in its own currency, by kind of journal and account."""


def books_from(sums: Sums, currency: str, fee_bps: int) -> Books:
    """What a booking's journals, summed up, say of its money."""

    def at_stripe(*kinds: JournalKind) -> int:
        return sum(sums.get((kind, Account.STRIPE_BALANCE), 0) for kind in kinds)

    def owed(*kinds: JournalKind) -> int:
        return sum(sums.get((kind, Account.PROVIDER_DEBT), 0) for kind in kinds)

    return Books(
        currency=currency,
        fee_bps=fee_bps,
        captured=at_stripe(JournalKind.CAPTURE),
        refunded=-at_stripe(JournalKind.REFUND, JournalKind.REFUND_FAILURE),
        disputed=-at_stripe(JournalKind.DISPUTE),
        transferred=-at_stripe(JournalKind.TRANSFER),
        reversed=at_stripe(JournalKind.REVERSAL),
        netted=-owed(JournalKind.NETTING),
        raised=owed(JournalKind.DEBT, JournalKind.DEBT_RELIEF),
        waived=sums.get((JournalKind.WAIVER, Account.PROVIDER_PAYABLE), 0),
        allocated=any(kind is JournalKind.ALLOCATION for kind, _ in sums),
    )
