"""What people may ask of a booking, and when each of it is in effect already: pure, from its rows.

Asking for what is in effect answers with the booking as it is, also after its workflow's end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from api.auth import Caller
from api.queries import BookingRecord
from models.states import (
    SEAT_HOLDING,
    TERMINAL_BOOKING,
    BookingStatus,
    PayoutStatus,
    ReportedOutcome,
    Role,
)
from workflows.orders import HoldAction

InEffect = Callable[[BookingRecord, Caller], bool]

STANDS: Final = frozenset(
    {BookingStatus.CONFIRMED, BookingStatus.COMPLETED, BookingStatus.NO_SHOW, BookingStatus.FORFEIT}
)
"""Confirmed, now or once."""

CANCELLED: Final = frozenset({BookingStatus.CANCELLED, BookingStatus.FORFEIT})
IN_HOLD: Final = frozenset({PayoutStatus.HELD, PayoutStatus.FROZEN})


@dataclass(frozen=True)
class Action:
    """One thing that can be asked; `name` is the update's, `done` is how a person would say it.

    `outcome` says that it decides what becomes of the booking: one that is `closed` otherwise refuses it.
    `kind` is what can be left as word for a workflow that no worker runs just now. `once` says that it
    is one wish however often it is made, so that its update has one id. `queued` callers wait their turn.
    `detail` keeps two different requests under one key apart.
    """

    name: str
    done: str
    in_effect: InEffect
    kind: ReportedOutcome | None = None
    outcome: bool = True
    closed: frozenset[BookingStatus] = TERMINAL_BOOKING
    once: bool = True
    queued: bool = True
    detail: str = ""

    @property
    def shows(self) -> bool:
        """Whether its effect can be seen on the booking; a decision of ops shows in what comes of it."""
        return self.in_effect is not _never

    @property
    def route(self) -> str:
        """What a request is known by, besides who makes it about which booking under which key."""
        return f"{self.name}:{self.detail}" if self.detail else self.name


def _never(record: BookingRecord, caller: Caller) -> bool:
    del record, caller
    return False


def _cancelled(record: BookingRecord, _: Caller) -> bool:
    return record.booking.status in CANCELLED


def _completed(record: BookingRecord, caller: Caller) -> bool:
    said = _said(record, caller, ReportedOutcome.COMPLETED)
    return said or record.booking.status is BookingStatus.COMPLETED


def _approved(record: BookingRecord, _: Caller) -> bool:
    return record.booking.status in STANDS and record.booking.approval_due_at is not None


def _rejected(record: BookingRecord, _: Caller) -> bool:
    return record.booking.status is BookingStatus.REJECTED


def _objected(record: BookingRecord, _: Caller) -> bool:
    return record.payout is not None and record.payout.objected_at is not None


def _said(record: BookingRecord, caller: Caller, kind: ReportedOutcome) -> bool:
    """Whether the caller's side has said so already, and the other side or ops still have a say."""
    booking = record.booking
    reports = (
        (booking.claimed_outcome, booking.claimed_by_role),
        (booking.contradicted_outcome, booking.contradicted_by_role),
    )
    underway = booking.status not in TERMINAL_BOOKING and booking.reported_outcome is None
    return underway and (kind, caller.role) in reports


CANCEL: Final = Action("cancel", "cancelled", _cancelled, ReportedOutcome.CANCELLED)
COMPLETE: Final = Action("complete", "completed", _completed, ReportedOutcome.COMPLETED)
ANSWERED: Final = TERMINAL_BOOKING | {BookingStatus.CONFIRMED}
"""The provider's answer is not waited for any more."""

APPROVE: Final = Action("approve", "approved", _approved, closed=ANSWERED)
REJECT: Final = Action("reject", "rejected", _rejected, closed=ANSWERED)
OBJECT: Final = Action("object", "contested", _objected, outcome=False, once=False)
RESOLVE: Final = Action("resolve", "resolved", _never, outcome=False, once=False, queued=False)
"""Ops never queue behind those whose wishes wait for ops."""


def no_show(kind: ReportedOutcome) -> Action:
    """Somebody did not come: in effect once decided, or while the same side's word waits for the other."""

    def reported(record: BookingRecord, caller: Caller) -> bool:
        booking = record.booking
        if booking.status not in TERMINAL_BOOKING:
            return _said(record, caller, kind)
        # Said by the client while the money is on hold, it is an objection.
        contested = kind is ReportedOutcome.PROVIDER_NO_SHOW and caller.role is Role.CLIENT
        return booking.reported_outcome is kind or (contested and _objected(record, caller))

    return Action("no_show", "reported as a no-show", reported, kind, detail=kind)


def reschedule(starts_at: datetime, session_id: UUID | None) -> Action:
    """Another time, or another session of a class."""

    def moved(record: BookingRecord, _: Caller) -> bool:
        there = record.session.starts_at == starts_at and session_id in {None, record.session.id}
        return there and record.booking.status in SEAT_HOLDING | STANDS

    detail = f"{starts_at.isoformat()} {session_id or ''}".strip()
    return Action("reschedule", "moved", moved, once=False, detail=detail)


def hold(action: HoldAction, until: datetime | None) -> Action:
    """Pay out later, or now."""

    def held(record: BookingRecord, _: Caller) -> bool:
        payout = record.payout
        if payout is None or payout.status is PayoutStatus.CANCELLED:
            return False
        if action is HoldAction.RELEASE:
            # Looked at after the order: an end of the hold that has passed is a hold that is over.
            return payout.status not in IN_HOLD or payout.due_at <= datetime.now(UTC)
        return payout.status is PayoutStatus.HELD and payout.due_at == until

    detail = f"{action} {until.isoformat() if until else ''}".strip()
    return Action(
        "hold", "held longer or released", held, outcome=False, once=False, queued=False, detail=detail
    )


def refund(request_id: str) -> Action:
    """Money back after capture; whether it is in effect, the refund's own row says."""
    return Action("refund", "refunded", _never, outcome=False, once=False, detail=request_id)
