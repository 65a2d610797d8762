"""Which transition is told to whom, as data; when a mail is due, and while it is true.

Pure: what is written down is `models/outbox.py`'s, how it reads is `activities/letters/`'s.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

from models.states import (
    BankPayoutStatus,
    BookingStatus,
    DisputeStatus,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    Role,
)

_NOTIFICATIONS: Final = UUID("0f6c1d5e-93a4-4a57-8b5c-2f1d1f0a7c3e")
REMINDER_LEAD: Final = timedelta(hours=24)
"""How long before the start people are reminded; who books later than that needs no reminder."""


class Kind(StrEnum):
    """What a mail says; each has a template of its name."""

    PAY_SOON = "pay_soon"
    REQUESTED = "requested"
    APPROVAL_ASKED = "approval_asked"
    APPROVED = "approved"
    CONFIRMED = "confirmed"
    BOOKED = "booked"
    REJECTED = "rejected"
    REMINDER = "reminder"
    RESCHEDULED = "rescheduled"
    CARD_REFUSED = "card_refused"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    RECEIPT = "receipt"
    REFUND_MADE = "refund_made"
    REFUND_FAILED = "refund_failed"
    PAYOUT_SENT = "payout_sent"
    PAYOUT_BLOCKED = "payout_blocked"
    PAYOUT_STILL_BLOCKED = "payout_still_blocked"
    BANK_PAID = "bank_paid"
    BANK_FAILED = "bank_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_CLOSED = "dispute_closed"
    OBJECTED = "objected"


INVITES: Final = frozenset({Kind.CONFIRMED, Kind.APPROVED, Kind.BOOKED, Kind.RESCHEDULED})
"""Mails that carry an invitation for the calendar."""
TAKES_BACK: Final = frozenset({Kind.CANCELLED})
"""Mails that take an invitation back, if there was one."""


class Facts(BaseModel):
    """What a mail tells, as it was at the transition: amounts in minor units, instants in UTC.

    Never a name, an address or a person's words: those are read when the mail is sent.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    currency: str | None = None
    amount: int | None = None
    """Of the thing itself: the refund, the provider's share, what is disputed, what is to be paid."""
    price: int | None = None
    captured: int = 0
    refunded: int = 0
    released: int = 0
    """Authorized and let go again without having been charged."""
    platform_fee: int = 0
    debt_netted: int = 0
    transfer_id: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    previous_starts_at: datetime | None = None
    until: datetime | None = None
    """The deadline for whoever is asked to do something."""
    charge_at: datetime | None = None
    """When a card that is kept will be charged."""
    since: datetime | None = None
    """When what this is about began: the block, the objection."""
    reason: str | None = None
    """A machine reason: ours, or Stripe's of a dispute."""
    outcome: str | None = None
    invited: bool = False
    """Whether there is an invitation in somebody's calendar."""
    sequence: int = 0
    """The invitation's revision (RFC 5546): it grows with every change of one booking's."""
    remind_at: datetime | None = None


class Condition(StrEnum):
    """What a transition's name does not say."""

    OBJECTED = "objected"
    """The payout is frozen because the client contests."""
    NO_BANK = "no_bank"
    """The transfer is all we do, or there was none to make: no mail about the bank will follow."""


@dataclass(frozen=True)
class Announcement:
    """One mail to one person, unless the transition came from somewhere else or is of another nature."""

    kind: Kind
    recipient: Role
    coming_from: frozenset[StrEnum] | None = None
    only: Condition | None = None

    def applies(self, source: StrEnum | None, circumstances: frozenset[Condition]) -> bool:
        """Whether this transition is one of those that are told."""
        if self.coming_from is not None and source not in self.coming_from:
            return False
        return self.only is None or self.only in circumstances


def _to(*recipients: Role, **rule: Any) -> Callable[[Kind], tuple[Announcement, ...]]:
    return lambda kind: tuple(Announcement(kind, recipient, **rule) for recipient in recipients)


_client = _to(Role.CLIENT)
_provider = _to(Role.PROVIDER)
_both = _to(Role.CLIENT, Role.PROVIDER)
_provider_and_ops = _to(Role.PROVIDER, Role.OPS)
_known_to_provider = _to(
    Role.PROVIDER, coming_from=frozenset({BookingStatus.AWAITING_APPROVAL, BookingStatus.CONFIRMED})
)

TOLD: Final[Mapping[tuple[str, StrEnum], tuple[Announcement, ...]]] = {
    ("booking", BookingStatus.PENDING): _client(Kind.PAY_SOON),
    ("booking", BookingStatus.AWAITING_APPROVAL): _client(Kind.REQUESTED) + _provider(Kind.APPROVAL_ASKED),
    ("booking", BookingStatus.CONFIRMED): (
        *_to(Role.CLIENT, coming_from=frozenset({BookingStatus.PENDING}))(Kind.CONFIRMED),
        *_to(Role.CLIENT, coming_from=frozenset({BookingStatus.AWAITING_APPROVAL}))(Kind.APPROVED),
        *_provider(Kind.BOOKED),
        *_both(Kind.REMINDER),
    ),
    ("booking", BookingStatus.REJECTED): _client(Kind.REJECTED),
    ("booking", BookingStatus.CANCELLED): _client(Kind.CANCELLED) + _known_to_provider(Kind.CANCELLED),
    ("booking", BookingStatus.FORFEIT): _both(Kind.CANCELLED),
    ("booking", BookingStatus.NO_SHOW): _both(Kind.NO_SHOW),
    ("booking", BookingStatus.COMPLETED): _client(Kind.RECEIPT),
    ("refund", RefundStatus.SUCCEEDED): _client(Kind.REFUND_MADE),
    ("refund", RefundStatus.FAILED): _to(Role.CLIENT, Role.OPS)(Kind.REFUND_FAILED),
    ("payout", PayoutStatus.PAID): _to(Role.PROVIDER, only=Condition.NO_BANK)(Kind.PAYOUT_SENT),
    ("payout", PayoutStatus.BLOCKED): _provider(Kind.PAYOUT_BLOCKED) + _provider(Kind.PAYOUT_STILL_BLOCKED),
    ("payout", PayoutStatus.FROZEN): _to(Role.PROVIDER, Role.OPS, only=Condition.OBJECTED)(Kind.OBJECTED),
    ("bank_payout", BankPayoutStatus.PAID): _provider(Kind.BANK_PAID),
    ("bank_payout", BankPayoutStatus.FAILED): _provider(Kind.BANK_FAILED),
    ("dispute", DisputeStatus.OPEN): _provider_and_ops(Kind.DISPUTE_OPENED),
    ("dispute", DisputeStatus.WON): _provider_and_ops(Kind.DISPUTE_CLOSED),
    ("dispute", DisputeStatus.LOST): _provider_and_ops(Kind.DISPUTE_CLOSED),
}
"""A new row counts as a transition from None."""

SAID: Final[Mapping[Kind, tuple[Announcement, ...]]] = {
    Kind.RESCHEDULED: _both(Kind.RESCHEDULED) + _both(Kind.REMINDER),
    Kind.CARD_REFUSED: _client(Kind.CARD_REFUSED),
    Kind.OBJECTED: _provider_and_ops(Kind.OBJECTED),
}
"""What is told although no status changes."""


def told(
    entity: str, source: StrEnum | None, target: StrEnum, circumstances: frozenset[Condition]
) -> tuple[Announcement, ...]:
    """The mails that a transition calls for."""
    return tuple(one for one in TOLD.get((entity, target), ()) if one.applies(source, circumstances))


_MATTER: Final[Mapping[Kind, Callable[[Facts], datetime | None]]] = {
    Kind.REMINDER: lambda facts: facts.starts_at,
    Kind.CARD_REFUSED: lambda facts: facts.until,
    Kind.PAYOUT_BLOCKED: lambda facts: facts.since,
    Kind.PAYOUT_STILL_BLOCKED: lambda facts: facts.since,
    Kind.OBJECTED: lambda facts: facts.since,
}
"""What is one matter although it may be written down several times: a booking that moves away and back
is reminded once, a payout that is tried again while it is blocked says so once."""


def notification_id(booking_id: UUID, announcement: Announcement, transition: str, facts: Facts) -> UUID:
    """The one row of this mail, however often its transition is tried, replayed or announced."""
    kind = announcement.kind
    matter = _MATTER[kind](facts) if kind in _MATTER else None
    told_apart = matter.isoformat() if matter else transition
    return uuid5(_NOTIFICATIONS, "\x00".join((str(booking_id), kind, announcement.recipient, told_apart)))


def due_at(kind: Kind, at: datetime, facts: Facts) -> datetime | None:
    """When the mail goes out; None when it never should.

    A person who is just paying is not hurried: half of the window passes first (TRAPS 50).
    """
    if kind is Kind.PAY_SOON:
        return at + (facts.until - at) / 2 if facts.until else None
    if kind is Kind.REMINDER:
        return _reminder(at, facts)
    return facts.remind_at if kind is Kind.PAYOUT_STILL_BLOCKED else at


def _reminder(at: datetime, facts: Facts) -> datetime | None:
    if facts.starts_at is None or facts.starts_at - REMINDER_LEAD <= at:
        return None
    return facts.starts_at - REMINDER_LEAD


class Standing(BaseModel):
    """A booking at the moment of sending, as far as a mail's truth depends on it."""

    model_config = ConfigDict(frozen=True)

    booking: BookingStatus
    decided: bool = False
    starts_at: datetime
    expires_at: datetime
    payment: PaymentStatus
    fix_by: datetime | None = None
    payout: PayoutStatus | None = None


_CALLED_OFF: Final = frozenset({BookingStatus.CANCELLED, BookingStatus.FORFEIT, BookingStatus.REJECTED})
_STUCK: Final = frozenset({PayoutStatus.BLOCKED, PayoutStatus.PROCESSING})
"""A blocked payout that is just being tried again."""

Truth = Callable[[Facts, Standing, datetime], bool]


def _unpaid(_: Facts, standing: Standing, now: datetime) -> bool:
    waiting = standing.booking is BookingStatus.PENDING and standing.payment is PaymentStatus.PENDING
    return waiting and now < standing.expires_at


def _undecided(_: Facts, standing: Standing, __: datetime) -> bool:
    return standing.booking is BookingStatus.AWAITING_APPROVAL


def _on(facts: Facts, standing: Standing, _: datetime) -> bool:
    return standing.booking not in _CALLED_OFF and standing.starts_at == facts.starts_at


def _ahead(facts: Facts, standing: Standing, now: datetime) -> bool:
    on = standing.booking is BookingStatus.CONFIRMED and not standing.decided
    return on and standing.starts_at == facts.starts_at and now < standing.starts_at


def _fixable(facts: Facts, standing: Standing, _: datetime) -> bool:
    return standing.payment is PaymentStatus.SAVED and standing.fix_by == facts.until


def _stuck(_: Facts, standing: Standing, __: datetime) -> bool:
    return standing.payout in _STUCK


TRUE_WHILE: Final[Mapping[Kind, Truth]] = {
    Kind.PAY_SOON: _unpaid,
    Kind.REQUESTED: _undecided,
    Kind.APPROVAL_ASKED: _undecided,
    Kind.CONFIRMED: _on,
    Kind.APPROVED: _on,
    Kind.BOOKED: _on,
    Kind.RESCHEDULED: _on,
    Kind.REMINDER: _ahead,
    Kind.CARD_REFUSED: _fixable,
    Kind.PAYOUT_BLOCKED: _stuck,
    Kind.PAYOUT_STILL_BLOCKED: _stuck,
}
"""A mail that is not true any more when its time comes is dropped; all others tell what has happened."""


def still_true(kind: Kind, facts: Facts, standing: Standing, now: datetime) -> bool:
    """Whether the mail may still be sent."""
    holds = TRUE_WHILE.get(kind)
    return holds is None or holds(facts, standing, now)
