"""One booking as the saga knows it, frozen: its states, its journals, and the instants it waits for."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Self, TypeVar

from models import ledger
from models.books import Books
from models.holds import Hold
from models.ledger import JournalKind, Line, Side
from models.policy import PaymentPlan, Policy, Terms
from models.states import (
    BANK_PAYOUT_MOVES,
    BOOKING_MOVES,
    DISPUTE_MOVES,
    PAYMENT_MOVES,
    PAYOUT_MOVES,
    PAYOUT_OPEN,
    REFUND_MOVES,
    SESSION_MOVES,
    TERMINAL_BOOKING,
    BankPayoutStatus,
    BookingStatus,
    DisputeStatus,
    Moves,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    ReportedOutcome,
    Role,
    SessionStatus,
)

S = TypeVar("S", bound=StrEnum)

MOVES: Mapping[type[StrEnum], Moves[Any]] = {
    SessionStatus: SESSION_MOVES,
    BookingStatus: BOOKING_MOVES,
    PaymentStatus: PAYMENT_MOVES,
    PayoutStatus: PAYOUT_MOVES,
    RefundStatus: REFUND_MOVES,
    DisputeStatus: DISPUTE_MOVES,
    BankPayoutStatus: BANK_PAYOUT_MOVES,
}


class Refused(Exception):
    """The event cannot happen to this booking; nothing changes. `code` is a problem code of the API."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Contradiction(Exception):
    """A decision that no table allows, or a fact posted twice: never an answer, always a mistake of ours."""


def moved(source: S, target: S) -> S:
    """`target`, when the machine has that edge or is there already.

    Raises:
        Contradiction: the state machine has no such edge.
    """
    if source is not target and target not in MOVES[type(source)][source]:
        raise Contradiction(f"{type(source).__name__} cannot move from {source} to {target}")
    return target


@dataclass(frozen=True)
class Journal:
    """What one fact posted; lines of nothing are left out."""

    kind: JournalKind
    reference: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class GivenBack:
    """One refund, in minor units."""

    amount: int
    status: RefundStatus


@dataclass(frozen=True)
class Contested:
    """One dispute, in minor units; `moved` is what its balance transactions took, by their ids."""

    amount: int
    status: DisputeStatus = DisputeStatus.OPEN
    moved: Mapping[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        """Not decided, or decided for us and the money is not back yet."""
        away = self.status is DisputeStatus.WON and sum(self.moved.values()) > 0
        return away or self.status is DisputeStatus.OPEN


@dataclass(frozen=True)
class Report:
    """What one side says became of the session."""

    kind: ReportedOutcome
    role: Role


@dataclass(frozen=True)
class Decision:
    """How the booking ends and what stays, in minor units; made once, before any money moves."""

    status: BookingStatus
    keep: int
    reason: str | None = None


@dataclass(frozen=True)
class Saga:
    """A booking with its money, in minor units of `currency`; instants are UTC."""

    policy: Policy
    amount: int
    currency: str
    starts_at: datetime
    ends_at: datetime
    zone: str
    plan: PaymentPlan
    expires_at: datetime
    session: SessionStatus = SessionStatus.DRAFT
    booking: BookingStatus = BookingStatus.PENDING
    payment: PaymentStatus = PaymentStatus.PENDING
    past_payments: tuple[PaymentStatus, ...] = ()
    """Authorizations that a newer one has replaced."""
    decision: Decision | None = None
    grace_used: bool = False
    claim: Report | None = None
    contradiction: Report | None = None
    refund_cap_bps: int | None = None
    approval_due_at: datetime | None = None
    authorize_at: datetime | None = None
    fix_by: datetime | None = None
    renew_at: datetime | None = None
    capture_before: datetime | None = None
    replan: bool = False
    hold: Hold | None = None
    """The payout's status and clock; None until money is kept."""
    share: int = 0
    """The provider's, as far as it is known, in minor units."""
    objected: bool = False
    journals: tuple[Journal, ...] = ()
    refunds: Mapping[str, GivenBack] = field(default_factory=dict)
    disputes: Mapping[str, Contested] = field(default_factory=dict)
    transfers: tuple[int, ...] = ()
    in_flight: int | None = None
    """A transfer whose request is frozen and whose answer is not known."""
    attempts: int = 0
    """Requests for transfers that were frozen so far."""
    at_bank: bool = False
    """The latest transfer was made: what is left to do is between the provider and its bank."""
    bank: tuple[BankPayoutStatus, ...] = ()
    repaid: Mapping[str, int] = field(default_factory=dict)
    """What later payouts have paid of the debt that this booking raised, by payout."""
    parked: bool = False
    """Somebody reversed a transfer by hand: ops say whether the provider is paid again."""

    # --- what follows from it ---------------------------------------------------------------

    @cached_property
    def books(self) -> Books:
        """The booking's money, read back from its journals."""
        sums: Counter[tuple[JournalKind, ledger.Account]] = Counter()
        for journal in self.journals:
            for line in journal.lines:
                signed = line.amount if line.side is Side.DEBIT else -line.amount
                sums[journal.kind, line.account] += signed
        return ledger.books_from(sums, self.currency, self.policy.platform_fee_bps)

    @property
    def terms(self) -> Terms:
        """What the booking was made under, as far as a quote depends on it."""
        return Terms(
            policy=self.policy,
            amount=self.amount,
            currency=self.currency,
            starts_at=self.starts_at,
            zone=self.zone,
            refund_cap_bps=self.refund_cap_bps,
            chargeable=self.payment is not PaymentStatus.SAVED,
        )

    @property
    def completion_due_at(self) -> datetime:
        """When silence decides."""
        return self.ends_at + self.policy.completion_grace

    @property
    def ended(self) -> bool:
        """Whether the booking's own state can change no more."""
        return self.booking in TERMINAL_BOOKING

    @property
    def payout(self) -> PayoutStatus | None:
        """The payout's status, if there is a payout."""
        return self.hold.status if self.hold else None

    @property
    def disputed(self) -> bool:
        """Whether money may still leave for, or come back from, a client's bank."""
        return any(one.pending for one in self.disputes.values())

    @property
    def waits_to_be_paid(self) -> bool:
        """A payout whose share has not left us, and is not leaving either."""
        open_one = self.payout in PAYOUT_OPEN and self.payout is not PayoutStatus.PROCESSING
        return open_one and not self.at_bank

    @property
    def transferred(self) -> bool:
        """Whether the provider has had its transfer, to its bank if that is asked for."""
        return self.payout in {PayoutStatus.PAID, PayoutStatus.PARTIALLY_REVERSED, PayoutStatus.REVERSED}

    @property
    def unbalanced(self) -> bool:
        """The provider was paid more, or less, than is its share now."""
        return self.transferred and self.books.due != 0

    @property
    def open_debt(self) -> int:
        """What the provider still owes because of this booking."""
        return self.books.raised - sum(self.repaid.values())

    # --- how it changes ---------------------------------------------------------------------

    def but(self, **changes: Any) -> Self:
        """The same, with `changes`; every status moves along its table."""
        for name, value in changes.items():
            if isinstance(value, StrEnum):
                moved(getattr(self, name), value)
        return replace(self, **changes)

    def paid_as(self, status: PayoutStatus, **changes: Any) -> Self:
        """The payout moves to `status`."""
        if self.hold is None:
            raise Contradiction("there is no payout to move")
        return self.but(hold=replace(self.hold, status=moved(self.hold.status, status)), **changes)

    def posted(self, kind: JournalKind, reference: str, lines: tuple[Line, ...]) -> Self:
        """Write a journal.

        Raises:
            Contradiction: the fact is on the books already.
        """
        if any(one.kind is kind and one.reference == reference for one in self.journals):
            raise Contradiction(f"{kind} of {reference} is on the books already")
        journal = Journal(kind, reference, tuple(line for line in lines if line.amount))
        return replace(self, journals=(*self.journals, journal))

    def shifted(self, kind: JournalKind, reference: str, **figures: int) -> Self:
        """Client money leaves or comes back."""
        after = self.books.model_copy(update=figures)
        return self.posted(kind, reference, ledger.shift(self.books, after))


def require(holds: object, code: str, detail: str) -> None:
    """Refuse the event unless `holds`.

    Raises:
        Refused: it does not.
    """
    if not holds:
        raise Refused(code, detail)


def due(instant: datetime | None, at: datetime) -> None:
    """Refuse what happens by itself before its time.

    Raises:
        Refused: nothing of the kind is awaited, or it is not time yet.
    """
    require(instant is not None and at >= instant, "invalid_state", "it is not time yet")
