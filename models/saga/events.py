"""What can happen to a booking: people's words, Stripe's facts and deadlines. Instants are UTC, amounts minor units.

A fact carries the id that Stripe gave it, so that hearing it again is known for what it is.
"""

from dataclasses import dataclass
from datetime import datetime

from models.states import BankPayoutStatus, DisputeStatus, PaymentStatus, RefundStatus, ReportedOutcome, Role


@dataclass(frozen=True)
class Event:
    """Something that happens at an instant of the saga's clock."""

    at: datetime


# --- until it is confirmed --------------------------------------------------------------------------


@dataclass(frozen=True)
class PaymentSays(Event):
    """Stripe's word about the intent: authorized, kept, with the bank, captured, or refused by it."""

    status: PaymentStatus
    capture_before: datetime | None = None


@dataclass(frozen=True)
class CardRefused(Event):
    """A card was refused; the client may try another, unless the policy is strict."""


@dataclass(frozen=True)
class WindowEnds(Event):
    """The payment window is over."""


@dataclass(frozen=True)
class Proceed(Event):
    """The payment stands: ask the provider, or confirm."""


@dataclass(frozen=True)
class Answered(Event):
    """The provider accepts or rejects."""

    accepts: bool


@dataclass(frozen=True)
class Silence(Event):
    """The provider did not answer in time."""


# --- until its outcome ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cancelled(Event):
    """Somebody cancels."""

    role: Role


@dataclass(frozen=True)
class Reported(Event):
    """Somebody says what became of the session."""

    kind: ReportedOutcome
    role: Role


@dataclass(frozen=True)
class GraceEnds(Event):
    """Nobody said anything, or nobody contradicted what was claimed."""


@dataclass(frozen=True)
class ReportsJudged(Event):
    """Ops decide between two who contradict each other; `keep` overrides what the policy keeps."""

    kind: ReportedOutcome
    keep: int | None = None


@dataclass(frozen=True)
class Rescheduled(Event):
    """The booking moves."""

    role: Role
    starts_at: datetime


@dataclass(frozen=True)
class AuthorizeDue(Event):
    """The day to charge a kept card; without `capture_before` the card was refused."""

    capture_before: datetime | None = None


@dataclass(frozen=True)
class FixEnds(Event):
    """The client did not repair its card in time."""


@dataclass(frozen=True)
class RenewDue(Event):
    """The authorization ends before the outcome; without `capture_before` no new one was to be had."""

    capture_before: datetime | None = None


@dataclass(frozen=True)
class Expired(Event):
    """The network let the authorization go."""


@dataclass(frozen=True)
class Settle(Event):
    """Move the money that the decision wants moved, and end the booking."""


# --- captured money ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class RefundOrdered(Event):
    """A person gives money back."""

    id: str
    amount: int


@dataclass(frozen=True)
class RefundSays(Event):
    """Stripe's word about a refund, made by us or in its dashboard."""

    id: str
    amount: int
    status: RefundStatus


@dataclass(frozen=True)
class DisputeSays(Event):
    """Stripe's word about a dispute; `moves` are its balance transactions: id, and what it took."""

    id: str
    amount: int
    status: DisputeStatus
    moves: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Objected(Event):
    """The client contests during the hold."""


@dataclass(frozen=True)
class Judged(Event):
    """Ops decide about an objection; what goes back was refunded before."""


@dataclass(frozen=True)
class HoldChanged(Event):
    """Ops extend the hold, or release it when there is no `until`."""

    until: datetime | None = None


# --- the provider's share ---------------------------------------------------------------------------


@dataclass(frozen=True)
class TransferDue(Event):
    """Freeze the transfer. `debts` is what the provider owes because of earlier bookings."""

    debts: int
    payable: bool = True


@dataclass(frozen=True)
class TransferSays(Event):
    """Stripe made the transfer of an attempt, or definitely did not."""

    attempt: int
    made: bool


@dataclass(frozen=True)
class BankSays(Event):
    """One attempt at sending a share to the provider's bank."""

    number: int
    status: BankPayoutStatus


@dataclass(frozen=True)
class Rebalance(Event):
    """Bring what the provider had in line with its share; `available` is what its account can bear."""

    available: int
    by_ops: bool = False


@dataclass(frozen=True)
class Waived(Event):
    """Ops leave what is due with the platform."""


@dataclass(frozen=True)
class ReversalSays(Event):
    """Somebody reversed a transfer in Stripe's dashboard."""

    id: str
    amount: int


@dataclass(frozen=True)
class DebtRepaid(Event):
    """A later payout, `by`, paid a part of the debt that this booking raised."""

    by: str
    amount: int
