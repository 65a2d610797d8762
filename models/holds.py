"""The hold between an outcome and its payout, as pure functions: instants are UTC, by the saga's clock."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.books import Books
from models.states import PaymentStatus, PayoutStatus

FREEZABLE = frozenset({PayoutStatus.HELD, PayoutStatus.BLOCKED})


@dataclass(frozen=True)
class Hold:
    """Until when a share is kept back; `left` is what remains of a hold that is frozen."""

    status: PayoutStatus
    due_at: datetime
    left: timedelta | None = None


def freeze(hold: Hold, at: datetime) -> Hold:
    """Stop the hold and keep what is left of it; one that is frozen, or past, stays as it is."""
    if hold.status not in FREEZABLE:
        return hold
    left = max(hold.due_at - at, timedelta(0))
    return replace(hold, status=PayoutStatus.FROZEN, left=left)


def thaw(hold: Hold, at: datetime) -> Hold:
    """Let a frozen hold run on with what was left of it: it is elapsed time (TRAPS 46)."""
    if hold.status is not PayoutStatus.FROZEN:
        return hold
    return Hold(PayoutStatus.HELD, at + (hold.left or timedelta(0)))


def payment_after(books: Books) -> PaymentStatus:
    """How far a captured payment has been refunded: also backwards, when a refund fails late."""
    if books.refunded <= 0:
        return PaymentStatus.CAPTURED
    whole = books.refunded >= books.captured
    return PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED


def payout_after(books: Books) -> PayoutStatus:
    """How much of what was transferred has been taken back again."""
    if books.reversed <= 0:
        return PayoutStatus.PAID
    whole = books.reversed >= books.transferred
    return PayoutStatus.REVERSED if whole else PayoutStatus.PARTIALLY_REVERSED
