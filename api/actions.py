"""What people may do to a booking: said to its workflow, answered from Postgres.

Repeating what is already in effect answers with the booking as it is, also after the workflow's end.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import WorkflowHandle

from api import queries, sagas
from api.auth import Caller
from api.dependencies import Dependencies
from api.errors import Code, Problem
from models.bookings import Booking
from models.states import TERMINAL_BOOKING, BookingStatus, ReportedOutcome, Role
from workflows.booking import BookingWorkflow
from workflows.contracts import Actor, Decide, Wish
from workflows.wishes import CANCELLED_BY

ONCE: Final = "once"

Say = Callable[[WorkflowHandle[BookingWorkflow, Any], Decide, str], Awaitable[Any]]
"""Sends an update, with who decides on what they were shown, under an update id."""


@dataclass(frozen=True)
class Action:
    """One thing that can be done; `results` are the final states in which it is in effect.

    `kind` is what can be left as word for a workflow that no worker runs just now. Such a wish is one
    however often it is made, so its update has one id.
    """

    route: str
    done: str
    results: frozenset[BookingStatus]
    kind: ReportedOutcome | None = None


CANCEL: Final = Action(
    "cancel",
    "cancelled",
    frozenset({BookingStatus.CANCELLED, BookingStatus.FORFEIT}),
    ReportedOutcome.CANCELLED,
)
COMPLETE: Final = Action(
    "complete", "completed", frozenset({BookingStatus.COMPLETED}), ReportedOutcome.COMPLETED
)
RESOLVE: Final = Action("resolve", "resolved", frozenset())


@dataclass(frozen=True)
class Told:
    """The booking after the request; `answered` is False while the request is not in effect yet."""

    record: queries.BookingRecord
    answered: bool = True


async def find(deps: Dependencies, booking_id: UUID, caller: Caller) -> queries.BookingRecord:
    """The booking.

    Raises:
        Problem: it is not made yet, was refused, or is not there for this caller.
    """
    async with deps.database.transaction() as session:
        record = await queries.booking(session, booking_id, caller)
        request = None if record else await queries.request_for(session, booking_id)
    if record is not None:
        return record
    if request is None or (caller.role is not Role.OPS and request.client_id != caller.subject):
        raise Problem(Code.NOT_FOUND)
    raise Problem(Code(request.refusal or Code.BOOKING_NOT_READY), booking_id=booking_id)


def actor_of(caller: Caller) -> Actor:
    """The caller, as histories and the audit trail name it."""
    return Actor(role=caller.role, id=caller.subject)


async def tell(
    deps: Dependencies, caller: Caller, booking_id: UUID, action: Action, say: Say, *, key: str | None
) -> Told:
    """Say something to a booking and wait for its answer.

    Raises:
        Problem: the booking refuses, is not the caller's, or cannot be told now.
    """
    record = await find(deps, booking_id, caller)
    if record.booking.status in action.results:
        return Told(record)
    try:
        await _say(deps, caller, booking_id, action, say, key=key)
    except (sagas.Unreachable, sagas.NoAnswer):
        raise Problem(Code.UNAVAILABLE, booking_id=booking_id) from None
    except sagas.Gone:
        return Told(_in_effect(await find(deps, booking_id, caller), action))
    record = await find(deps, booking_id, caller)
    if action.kind is None:
        return Told(record)
    if record.booking.status in TERMINAL_BOOKING:
        return Told(_in_effect(record, action))
    return Told(record, answered=False)


async def _say(
    deps: Dependencies, caller: Caller, booking_id: UUID, action: Action, say: Say, *, key: str | None
) -> None:
    handle = sagas.handle_of(deps.temporal, booking_id)
    if action.kind is None:
        # Ops never queue behind those whose wishes wait for ops.
        told_as = sagas.update_id(action.route, caller.subject, booking_id, key)
        await sagas.answered(deps.temporal, booking_id, say(handle, Decide(actor=actor_of(caller)), told_as))
        return
    told_as = sagas.update_id(action.route, caller.subject, booking_id, key or ONCE)
    async with deps.turns.take(booking_id):
        record = await find(deps, booking_id, caller)
        if record.booking.status in action.results:
            return
        unconfirmed = record.booking.status is BookingStatus.PENDING
        decide = Decide(actor=actor_of(caller), unconfirmed=unconfirmed)
        try:
            await sagas.answered(deps.temporal, booking_id, say(handle, decide, told_as))
        except sagas.NoAnswer:
            # Without a worker nobody has accepted the update: the word is left, durably (ADR 0010).
            await sagas.leave_word(handle, Wish(kind=action.kind, decide=decide))


async def keep_words(deps: Dependencies, caller: Caller, booking_id: UUID, words: str) -> None:
    """Remember what the one who cancelled, or is about to, had to say: the first words."""
    underway = Booking.status.not_in(TERMINAL_BOOKING)
    their_doing = underway | (Booking.status_reason == CANCELLED_BY[caller.role])

    async def work(session: AsyncSession) -> None:
        await session.execute(
            update(Booking)
            .where(Booking.id == booking_id, their_doing, Booking.cancellation_note.is_(None))
            .values(cancellation_note=words)
        )

    await deps.database.run(work)


def _in_effect(record: queries.BookingRecord, action: Action) -> queries.BookingRecord:
    status = record.booking.status
    if status in action.results:
        return record
    if status not in TERMINAL_BOOKING:
        # Its workflow ended before it did: the reconciler starts it again.
        raise Problem(Code.UNAVAILABLE, booking_id=record.booking.id)
    detail = f"A booking that is {status} cannot be {action.done}."
    raise Problem(Code.INVALID_STATE, detail, booking_id=record.booking.id)
