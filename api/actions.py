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
from models.states import TERMINAL_BOOKING, BookingStatus, Role
from workflows.booking import BookingWorkflow
from workflows.contracts import Actor
from workflows.wishes import CANCELLED_BY

Say = Callable[[WorkflowHandle[BookingWorkflow, Any], str], Awaitable[Any]]
"""Sends an update under an update id."""


@dataclass(frozen=True)
class Action:
    """One thing that can be done; `results` are the final states in which it is in effect."""

    route: str
    done: str
    results: frozenset[BookingStatus]


CANCEL: Final = Action("cancel", "cancelled", frozenset({BookingStatus.CANCELLED, BookingStatus.FORFEIT}))
COMPLETE: Final = Action("complete", "completed", frozenset({BookingStatus.COMPLETED}))
RESOLVE: Final = Action("resolve", "resolved", frozenset())


@dataclass(frozen=True)
class Told:
    """The booking after the request; `answered` is False while no worker has taken it up."""

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
    except sagas.NoAnswer:
        return Told(await find(deps, booking_id, caller), answered=False)
    except sagas.Gone:
        return Told(_in_effect(await find(deps, booking_id, caller), action))
    except sagas.Unreachable:
        raise Problem(Code.UNAVAILABLE, booking_id=booking_id) from None
    return Told(await find(deps, booking_id, caller))


async def _say(
    deps: Dependencies, caller: Caller, booking_id: UUID, action: Action, say: Say, *, key: str | None
) -> None:
    async with deps.turns.take(booking_id):
        record = await find(deps, booking_id, caller)
        if record.booking.status not in action.results:
            told_as = sagas.update_id(action.route, caller.subject, booking_id, key)
            call = say(sagas.handle_of(deps.temporal, booking_id), told_as)
            await sagas.answered(deps.temporal, booking_id, call)


async def keep_words(deps: Dependencies, caller: Caller, booking_id: UUID, words: str) -> None:
    """Remember what the one who cancelled had to say: the first words, and of nobody else."""
    their_doing = Booking.status_reason == CANCELLED_BY[caller.role]

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
