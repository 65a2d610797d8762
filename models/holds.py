"""The hold between an outcome and its payout, as pure functions: instants are UTC, by the saga's clock."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from models.books import Books
from models.states import PaymentStatus, PayoutStatus

FREEZABLE: Final = frozenset({PayoutStatus.HELD, PayoutStatus.BLOCKED})
WAITING: Final = FREEZABLE | {PayoutStatus.FROZEN}
"""States in which a share may still be with us."""
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Hold:
    """Until when a share is kept back; `frozen_seconds` is what remains of a hold that is frozen.

    `blocked` says that the hold was over and the provider could not be paid: frozen or not, it still is.
    """

    status: PayoutStatus
    due_at: datetime
    frozen_seconds: int | None = None
    blocked: bool = False


def seconds_left(due_at: datetime, at: datetime) -> int:
    """What is left of a hold at `at`, in whole seconds, rounded up: a hold is never cut short."""
    return max(-((at - due_at) // SECOND), 0)


def freeze(hold: Hold, at: datetime) -> Hold:
    """Stop the clock and keep what is left of it, of a blocked payout nothing; else change nothing."""
    if hold.status not in FREEZABLE:
        return hold
    blocked = hold.status is PayoutStatus.BLOCKED
    left = 0 if blocked else seconds_left(hold.due_at, at)
    return replace(hold, status=PayoutStatus.FROZEN, frozen_seconds=left, blocked=blocked)


def thaw(hold: Hold, at: datetime) -> Hold:
    """Let a frozen hold run on with what was left of it: it is elapsed time (TRAPS 46)."""
    if hold.status is not PayoutStatus.FROZEN:
        return hold
    if hold.blocked:
        return replace(hold, status=PayoutStatus.BLOCKED, frozen_seconds=None)
    return Hold(PayoutStatus.HELD, at + SECOND * (hold.frozen_seconds or 0))


def follow(hold: Hold, books: Books, at: datetime, *, disputed: bool, objected: bool) -> Hold:
    """What a payout that is still to come becomes once the client's money has moved.

    It freezes while somebody contests, is cancelled when there is nothing left for the provider, and
    runs on otherwise. A dispute keeps even an empty share: its money may come back.
    """
    if hold.status not in WAITING:
        return hold
    if disputed:
        return freeze(hold, at)
    if books.division.provider_share == 0:
        return replace(hold, status=PayoutStatus.CANCELLED, frozen_seconds=None)
    return freeze(hold, at) if objected else thaw(hold, at)


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
