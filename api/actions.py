"""What people ask of a booking: said to its workflow, answered from Postgres."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from api import queries, sagas
from api.auth import Caller
from api.dependencies import Dependencies
from api.effects import Action
from api.errors import Code, Problem
from models.states import Role
from workflows.contracts import Actor, Decide, Wish
from workflows.wishes import UNCONFIRMED

ONCE: Final = "once"

Say = Callable[[Decide, str], Awaitable[Any]]
"""Sends an update, with who decides on what they were shown, under an update id."""


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
    deps: Dependencies, caller: Caller, booking_id: UUID, action: Action, *says: Say, key: str | None
) -> Told:
    """Say something to a booking and wait for its answer; the second `says` is for when its workflow is over.

    Raises:
        Problem: the booking refuses, is not the caller's, or cannot be told now.
    """
    record = await find(deps, booking_id, caller)
    if action.in_effect(record, caller):
        return Told(record)
    try:
        await _say(deps, caller, booking_id, action, says, key=key)
    except (sagas.Unreachable, sagas.NoAnswer):
        raise Problem(Code.UNAVAILABLE, booking_id=booking_id) from None
    except sagas.Untimely as refused:
        if (await find(deps, booking_id, caller)).session.starts_at == refused.starts_at:
            raise
        # It is just being moved: its workflow judges by the new time once that step has reported.
        raise Problem(Code.UNAVAILABLE, booking_id=booking_id) from refused
    except sagas.Gone:
        return Told(_ended(await find(deps, booking_id, caller), action, caller))
    return _told(await find(deps, booking_id, caller), action, caller)


def _told(record: queries.BookingRecord, action: Action, caller: Caller) -> Told:
    if not action.outcome:
        # While another step is parked, an order waits behind it: that is not an answer yet.
        return Told(record, answered=not action.shows or action.in_effect(record, caller))
    if record.booking.status in action.closed:
        return Told(_ended(record, action, caller))
    return Told(record, answered=action.in_effect(record, caller))


async def _say(
    deps: Dependencies,
    caller: Caller,
    booking_id: UUID,
    action: Action,
    says: Sequence[Say],
    *,
    key: str | None,
) -> None:
    told_as = sagas.update_id(
        action.route, caller.subject, booking_id, key or (ONCE if action.once else None)
    )
    if not action.queued:
        await _ask(deps, booking_id, says, Decide(actor=actor_of(caller)), told_as)
        return
    async with deps.turns.take(booking_id):
        record = await find(deps, booking_id, caller)
        if action.in_effect(record, caller):
            return
        unconfirmed = record.booking.status in UNCONFIRMED
        decide = Decide(actor=actor_of(caller), unconfirmed=unconfirmed)
        try:
            await _ask(deps, booking_id, says, decide, told_as)
        except sagas.NoAnswer:
            if action.kind is None:
                raise
            # Without a worker nobody has accepted the update: the word is left, durably (ADR 0010).
            handle = sagas.handle_of(deps.temporal, booking_id)
            await sagas.leave_word(handle, Wish(kind=action.kind, decide=decide))


async def _ask(
    deps: Dependencies, booking_id: UUID, says: Sequence[Say], decide: Decide, told_as: str
) -> None:
    """Ask whoever is still there to be asked: the booking's own workflow, then what comes after it."""
    *earlier, last = says
    for say in earlier:
        try:
            await sagas.answered(deps.temporal, booking_id, say(decide, told_as))
        except sagas.Gone:
            continue
        return
    await sagas.answered(deps.temporal, booking_id, last(decide, told_as))


def _ended(record: queries.BookingRecord, action: Action, caller: Caller) -> queries.BookingRecord:
    """The booking whose workflow is over, if what was asked came to be.

    Raises:
        Problem: it did not.
    """
    if action.in_effect(record, caller):
        return record
    status, payout = record.booking.status, record.payout
    if status not in action.closed:
        # Its workflow ended before it did: the reconciler starts it again.
        raise Problem(Code.UNAVAILABLE, booking_id=record.booking.id)
    paid_out = "" if action.outcome or payout is None else f" and whose payout is {payout.status}"
    detail = f"A booking that is {status}{paid_out} cannot be {action.done}."
    raise Problem(Code.INVALID_STATE, detail, booking_id=record.booking.id)
