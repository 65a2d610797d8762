"""The states of every durable thing, and the moves between them, as data.

The database repeats these tables (CHECK constraints, guarded updates), so a move that is not
listed here cannot be made by anybody. Source: DESIGN section 2.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class SessionStatus(StrEnum):
    """One block of a provider's time."""

    DRAFT = "DRAFT"
    SCHEDULED = "SCHEDULED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class BookingStatus(StrEnum):
    """One client's seat in a session."""

    PENDING = "PENDING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    CONFIRMED = "CONFIRMED"
    COMPLETED = "COMPLETED"
    NO_SHOW = "NO_SHOW"
    FORFEIT = "FORFEIT"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


class PaymentStatus(StrEnum):
    """One PaymentIntent (or SetupIntent, then PaymentIntent) and what became of it."""

    PENDING = "PENDING"
    SAVED = "SAVED"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"


class PayoutStatus(StrEnum):
    """The provider's share: a Stripe Transfer, then optionally a Stripe Payout."""

    HELD = "HELD"
    FROZEN = "FROZEN"
    BLOCKED = "BLOCKED"
    PROCESSING = "PROCESSING"
    PAID = "PAID"
    PARTIALLY_REVERSED = "PARTIALLY_REVERSED"
    REVERSED = "REVERSED"
    CANCELLED = "CANCELLED"


class RefundStatus(StrEnum):
    """A refund has a life of its own and may fail days later."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class DisputeStatus(StrEnum):
    """A client's bank contests the charge; an inquiry that is closed without a loss counts as WON."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


class BankPayoutStatus(StrEnum):
    """One attempt at sending a connected account's balance to its bank; PAID may still fail later."""

    PENDING = "PENDING"
    PAID = "PAID"
    FAILED = "FAILED"


class OperationState(StrEnum):
    """What we know of one write to Stripe.

    STARTED and UNKNOWN may have happened; SUCCEEDED has; FAILED definitely has not.
    """

    STARTED = "STARTED"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class ReportedOutcome(StrEnum):
    """What became of the session, as reported; written before the money is settled."""

    COMPLETED = "completed"
    CLIENT_NO_SHOW = "client_no_show"
    PROVIDER_NO_SHOW = "provider_no_show"
    CANCELLED = "cancelled"


class StatusReason(StrEnum):
    """Why a booking ended the way it did; every CANCELLED row carries one."""

    PAYMENT_TIMEOUT = "payment_timeout"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_UNAVAILABLE = "payment_unavailable"
    CANCELLED_BY_CLIENT = "cancelled_by_client"
    CANCELLED_BY_PROVIDER = "cancelled_by_provider"
    CANCELLED_BY_OPS = "cancelled_by_ops"
    AUTHORIZATION_EXPIRED = "authorization_expired"
    AUTHORIZATION_REFUSED = "authorization_refused"
    APPROVAL_TIMEOUT = "approval_timeout"
    REJECTED_BY_PROVIDER = "rejected_by_provider"
    CLIENT_NO_SHOW = "client_no_show"
    PROVIDER_NO_SHOW = "provider_no_show"
    SLOT_LOST = "slot_lost"
    AUTO_COMPLETED = "auto_completed"
    DECIDED_BY_OPS = "decided_by_ops"
    RESCHEDULED = "rescheduled"


class Role(StrEnum):
    """Who acts. `system` is the saga itself."""

    CLIENT = "client"
    PROVIDER = "provider"
    OPS = "ops"
    SYSTEM = "system"


S = TypeVar("S", bound=StrEnum)
Moves = Mapping[S, frozenset[S]]

SESSION_MOVES: Moves[SessionStatus] = {
    SessionStatus.DRAFT: frozenset({SessionStatus.SCHEDULED, SessionStatus.CANCELLED}),
    SessionStatus.SCHEDULED: frozenset({SessionStatus.COMPLETED, SessionStatus.CANCELLED}),
    SessionStatus.COMPLETED: frozenset(),
    SessionStatus.CANCELLED: frozenset(),
}

BOOKING_MOVES: Moves[BookingStatus] = {
    BookingStatus.PENDING: frozenset(
        {BookingStatus.AWAITING_APPROVAL, BookingStatus.CONFIRMED, BookingStatus.CANCELLED}
    ),
    BookingStatus.AWAITING_APPROVAL: frozenset(
        {BookingStatus.CONFIRMED, BookingStatus.REJECTED, BookingStatus.CANCELLED}
    ),
    BookingStatus.CONFIRMED: frozenset(
        {BookingStatus.COMPLETED, BookingStatus.NO_SHOW, BookingStatus.FORFEIT, BookingStatus.CANCELLED}
    ),
    BookingStatus.COMPLETED: frozenset(),
    BookingStatus.NO_SHOW: frozenset(),
    BookingStatus.FORFEIT: frozenset(),
    BookingStatus.CANCELLED: frozenset(),
    BookingStatus.REJECTED: frozenset(),
}

PAYMENT_MOVES: Moves[PaymentStatus] = {
    PaymentStatus.PENDING: frozenset(
        {
            PaymentStatus.AUTHORIZED,
            PaymentStatus.SAVED,
            PaymentStatus.PROCESSING,
            PaymentStatus.CAPTURED,
            PaymentStatus.FAILED,
            PaymentStatus.VOIDED,
        }
    ),
    PaymentStatus.SAVED: frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.FAILED, PaymentStatus.VOIDED}),
    PaymentStatus.PROCESSING: frozenset(
        {PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED, PaymentStatus.FAILED}
    ),
    PaymentStatus.AUTHORIZED: frozenset(
        {PaymentStatus.CAPTURED, PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.SAVED}
    ),
    PaymentStatus.CAPTURED: frozenset({PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED}),
    PaymentStatus.PARTIALLY_REFUNDED: frozenset({PaymentStatus.REFUNDED, PaymentStatus.CAPTURED}),
    PaymentStatus.REFUNDED: frozenset({PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.CAPTURED}),
    PaymentStatus.VOIDED: frozenset(),
    PaymentStatus.EXPIRED: frozenset(),
    PaymentStatus.FAILED: frozenset(),
}

PAYOUT_MOVES: Moves[PayoutStatus] = {
    PayoutStatus.HELD: frozenset(
        {PayoutStatus.PROCESSING, PayoutStatus.FROZEN, PayoutStatus.BLOCKED, PayoutStatus.CANCELLED}
    ),
    PayoutStatus.FROZEN: frozenset({PayoutStatus.HELD, PayoutStatus.BLOCKED, PayoutStatus.CANCELLED}),
    PayoutStatus.BLOCKED: frozenset({PayoutStatus.PROCESSING, PayoutStatus.FROZEN, PayoutStatus.CANCELLED}),
    PayoutStatus.PROCESSING: frozenset({PayoutStatus.PAID, PayoutStatus.BLOCKED}),
    PayoutStatus.PAID: frozenset(
        {PayoutStatus.PROCESSING, PayoutStatus.PARTIALLY_REVERSED, PayoutStatus.REVERSED}
    ),
    PayoutStatus.PARTIALLY_REVERSED: frozenset({PayoutStatus.REVERSED, PayoutStatus.PROCESSING}),
    PayoutStatus.REVERSED: frozenset({PayoutStatus.PROCESSING}),
    PayoutStatus.CANCELLED: frozenset(),
}

REFUND_MOVES: Moves[RefundStatus] = {
    RefundStatus.PENDING: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    RefundStatus.SUCCEEDED: frozenset({RefundStatus.FAILED}),
    RefundStatus.FAILED: frozenset(),
}

DISPUTE_MOVES: Moves[DisputeStatus] = {
    DisputeStatus.OPEN: frozenset({DisputeStatus.WON, DisputeStatus.LOST}),
    DisputeStatus.WON: frozenset(),
    DisputeStatus.LOST: frozenset(),
}

BANK_PAYOUT_MOVES: Moves[BankPayoutStatus] = {
    BankPayoutStatus.PENDING: frozenset({BankPayoutStatus.PAID, BankPayoutStatus.FAILED}),
    BankPayoutStatus.PAID: frozenset({BankPayoutStatus.FAILED}),
    BankPayoutStatus.FAILED: frozenset(),
}

SEAT_HOLDING = frozenset({BookingStatus.PENDING, BookingStatus.AWAITING_APPROVAL, BookingStatus.CONFIRMED})
LIVE_SESSION = frozenset({SessionStatus.DRAFT, SessionStatus.SCHEDULED})
TERMINAL_BOOKING = frozenset(status for status, targets in BOOKING_MOVES.items() if not targets)
MONEY_TAKEN = frozenset({PaymentStatus.CAPTURED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED})
PAYMENT_OPEN = frozenset(
    {PaymentStatus.PENDING, PaymentStatus.SAVED, PaymentStatus.PROCESSING, PaymentStatus.AUTHORIZED}
)
PAYMENT_STANDS = frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.SAVED}) | MONEY_TAKEN
"""The client has done what the plan asks for; a card that is kept is charged nearer the date."""
PAYOUT_OPEN = frozenset(
    {PayoutStatus.HELD, PayoutStatus.FROZEN, PayoutStatus.PROCESSING, PayoutStatus.BLOCKED}
)
"""The provider is still owed something that the saga has to see to."""


def ends_as(reason: str | None) -> BookingStatus:
    """Where a booking that does not take place ends, by its machine reason."""
    return BookingStatus.REJECTED if reason == StatusReason.REJECTED_BY_PROVIDER else BookingStatus.CANCELLED


def sources(moves: Moves[S], target: S) -> frozenset[S]:
    """The states from which `target` may be reached in one legal move."""
    return frozenset(state for state, targets in moves.items() if target in targets)
