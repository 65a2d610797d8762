"""Ending a class: its workflow closes the session and tells every booking in it, however long that takes."""

import asyncio
from typing import Final
from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError

from activities.telling import Telling
from api import classes, sagas
from api.actions import actor_of
from api.auth import Caller
from api.classes import ClassRecord
from api.dependencies import Dependencies
from api.errors import Code, Problem
from models.states import ReportedOutcome, SessionStatus
from workflows.followups import ClassOrder

LOOK_AGAIN: Final = 0.1
"""Seconds."""

ENDS_AS: Final = {
    ReportedOutcome.CANCELLED: SessionStatus.CANCELLED,
    ReportedOutcome.COMPLETED: SessionStatus.COMPLETED,
}


async def close_class(deps: Dependencies, caller: Caller, session_id: UUID, kind: ReportedOutcome) -> bool:
    """Call a class off, or say that it was held; False while that is accepted and not in effect yet.

    Said again, it is told again to whoever still has a seat: a run that does so already is left to it.

    Raises:
        Problem: the class is not the caller's, ended otherwise, has not started, or cannot be told now.
    """
    found = await _own(deps, caller, session_id)
    order = ClassOrder(session_id=session_id, kind=kind, actor=actor_of(caller))
    if found.session.status is ENDS_AS[kind]:
        if found.taken:
            await _start(deps.temporal, order)
        return True
    _check(found, kind, started=deps.now() >= found.session.starts_at)
    await _start(deps.temporal, order)
    return await _wait(deps, caller, session_id, kind)


async def _own(deps: Dependencies, caller: Caller, session_id: UUID) -> ClassRecord:
    async with deps.database.transaction() as session:
        found = await classes.find_class(session, session_id)
    if found is None:
        raise Problem(Code.CLASS_NOT_FOUND)
    if found.provider.id != caller.provider_id:
        raise Problem(Code.FORBIDDEN, "This class is another provider's.")
    return found


def _check(found: ClassRecord, kind: ReportedOutcome, *, started: bool) -> None:
    status = found.session.status
    if status is not SessionStatus.SCHEDULED:
        raise Problem(Code.INVALID_STATE, f"A class that is {status} cannot be {kind}.")
    if kind is ReportedOutcome.COMPLETED and not started:
        detail = f"The class starts at {found.session.starts_at:%Y-%m-%d %H:%M} UTC; it cannot be completed before."
        raise Problem(Code.INVALID_STATE, detail)


async def _start(temporal: Client, order: ClassOrder) -> None:
    """Durable as soon as Temporal has it."""
    try:
        async with asyncio.timeout(sagas.PROBE_WITHIN.total_seconds()):
            await Telling(temporal).close_class(order)
    except (RPCError, RuntimeError, TimeoutError):
        raise Problem(Code.UNAVAILABLE) from None


async def _wait(deps: Dependencies, caller: Caller, session_id: UUID, kind: ReportedOutcome) -> bool:
    """Whether the class has ended as wanted by now; its bookings follow, whoever waits for them."""
    deadline = asyncio.get_running_loop().time() + sagas.ANSWER_WITHIN.total_seconds()
    while asyncio.get_running_loop().time() < deadline:
        found = await _own(deps, caller, session_id)
        if found.session.status is ENDS_AS[kind]:
            return True
        # Somebody else may have ended it otherwise, a moment before.
        _check(found, kind, started=True)
        await asyncio.sleep(LOOK_AGAIN)
    return False
