"""The API's side of the conversation with bookings' workflows.

    Trouble
    ├── Unreachable   Temporal did not take the message: nothing happened, try again
    ├── NoAnswer      Temporal took it and no worker has answered yet
    └── Gone          the workflow is over: Postgres knows how it ended

A workflow that says no raises `Problem` with the code it names.
"""

import asyncio
import hashlib
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.errors import Code, Problem
from models.keys import aftercare_id_for, workflow_id_for
from workflows.booking import BookingWorkflow
from workflows.contracts import BOOKINGS_QUEUE, Answer, Ended, Message, Opened, Wish
from workflows.followups import Aftermath, StartAftercare

log = structlog.get_logger()

ANSWER_WITHIN: Final = timedelta(seconds=8)
"""How long a caller waits before it is told to come back (DESIGN section 3)."""

PROBE_WITHIN: Final = timedelta(seconds=2)

Start = WithStartWorkflowOperation[BookingWorkflow, Ended]


class Trouble(Exception):
    """The workflow did not answer."""


class Unreachable(Trouble):
    """Temporal could not be told."""


class NoAnswer(Trouble):
    """Told, and no worker has answered yet."""


class Gone(Trouble):
    """The workflow is over, or never was."""


class Untimely(Problem):
    """Refused by a session's start: the workflow's, which need not have heard of a move that Postgres has."""

    def __init__(self, code: Code, detail: str, starts_at: datetime, *, booking_id: UUID) -> None:
        super().__init__(code, detail, booking_id=booking_id)
        self.starts_at = starts_at


def update_id(route: str, subject: str, booking_id: UUID, key: str | None) -> str:
    """The id under which Temporal knows a request from its repetition."""
    told = "\x00".join((route, subject, str(booking_id), key or str(uuid4())))
    return hashlib.sha256(told.encode()).hexdigest()


def handle_of(temporal: Client, booking_id: UUID) -> WorkflowHandle[BookingWorkflow, Any]:
    """The workflow of a booking, whichever run is its latest."""
    return temporal.get_workflow_handle_for(BookingWorkflow.run, workflow_id_for(booking_id))


def say(handle: WorkflowHandle[Any, Any], update: str, message: Message, told_as: str) -> Awaitable[Any]:
    """Send an update that answers with the booking's status."""
    return handle.execute_update(update, message, id=told_as, result_type=Answer)


def say_afterwards(
    temporal: Client, booking_id: UUID, update: str, message: Message, told_as: str
) -> Awaitable[Any]:
    """The same to whoever sees to the booking's money after its workflow's end; nobody is started."""
    return say(temporal.get_workflow_handle(aftercare_id_for(booking_id)), update, message, told_as)


async def begin_aftercare(
    temporal: Client, booking_id: UUID, update: str, message: Message, told_as: str
) -> Any:
    """The same, starting it where it is not running."""
    start: WithStartWorkflowOperation[Any, Aftermath] = WithStartWorkflowOperation(
        "Aftercare",
        StartAftercare(booking_id=booking_id),
        id=aftercare_id_for(booking_id),
        task_queue=BOOKINGS_QUEUE,
        result_type=Aftermath,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        static_summary=f"Aftercare of booking {booking_id}",
    )
    try:
        return await temporal.execute_update_with_start_workflow(
            update, message, start_workflow_operation=start, id=told_as, result_type=Answer
        )
    except BaseException as error:
        # Without a connection the SDK never gets as far as keeping anything.
        if not isinstance(error, RuntimeError):
            _collect(start)
        raise


async def open_booking(temporal: Client, booking_id: UUID, start: Start, request_id: str) -> Opened:
    """Start a booking's workflow, or join it, and wait until the booking can be paid.

    Raises:
        Trouble: there is no answer.
    """
    call = temporal.execute_update_with_start_workflow(
        BookingWorkflow.opened, start_workflow_operation=start, id=request_id
    )
    try:
        opened: Opened = await answered(temporal, booking_id, call)
    except Trouble as trouble:
        # Without a connection the SDK never gets as far as keeping anything.
        if not isinstance(trouble.__cause__, RuntimeError):
            _collect(start)
        raise
    return opened


async def answered(temporal: Client, booking_id: UUID, call: Awaitable[Any]) -> Any:
    """The workflow's answer to an update; untyped, as the SDK's types wrap what a described update returns.

    Raises:
        Problem: the workflow refused.
        Trouble: there is no answer.
    """
    try:
        async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
            return await call
    except WorkflowUpdateFailedError as error:
        raise _refusal(error, booking_id) from error
    except WorkflowAlreadyStartedError as error:
        raise Gone from error
    except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError) as error:
        await probe(temporal)
        raise NoAnswer from error
    except RPCError as error:
        raise (Gone() if error.status is RPCStatusCode.NOT_FOUND else _away(error)) from error
    except RuntimeError as error:
        # How a client that was never connected says that it cannot be.
        raise _away(error) from error


async def leave_word(handle: WorkflowHandle[BookingWorkflow, Any], wish: Wish) -> None:
    """Signal a wish: durable as soon as Temporal has it, also when no worker is up.

    Raises:
        Trouble: it could not be left.
    """
    try:
        await handle.signal(BookingWorkflow.wished, wish, rpc_timeout=PROBE_WITHIN)
    except RPCError as error:
        raise (Gone if error.status is RPCStatusCode.NOT_FOUND else Unreachable) from error


async def was_started(temporal: Client, booking_id: UUID) -> bool:
    """Whether Temporal holds the booking's workflow: a start that got no answer may not have arrived.

    Raises:
        Unreachable: nobody can tell.
    """
    try:
        async with asyncio.timeout(PROBE_WITHIN.total_seconds()):
            await handle_of(temporal, booking_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise Unreachable from error
    except (RuntimeError, TimeoutError) as error:
        raise Unreachable from error
    return True


async def probe(temporal: Client) -> None:
    """Tell a Temporal that is slow from one that is away.

    Raises:
        Unreachable: it is away.
    """
    try:
        async with asyncio.timeout(PROBE_WITHIN.total_seconds()):
            await temporal.service_client.check_health(timeout=PROBE_WITHIN)
    except (RPCError, RuntimeError, TimeoutError) as error:
        raise _away(error) from error


def _away(error: Exception) -> Unreachable:
    """The caller is only told to try again: ops read here why."""
    why = error.status.name if isinstance(error, RPCError) else type(error).__name__
    log.warning("Temporal cannot be reached", error=why)
    return Unreachable()


def _refusal(error: WorkflowUpdateFailedError, booking_id: UUID) -> Problem | Gone:
    """A validator's no, with its code; anything else means the workflow ended while it was asked."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type in set(Code):
        if cause.details:
            starts_at = datetime.fromisoformat(cause.details[0])
            return Untimely(Code(cause.type), cause.message, starts_at, booking_id=booking_id)
        return Problem(Code(cause.type), cause.message, booking_id=booking_id)
    return Gone()


def _collect(start: WithStartWorkflowOperation[Any, Any]) -> None:
    """Take what became of the start, which the SDK keeps apart and asyncio would report as lost."""
    asking = asyncio.ensure_future(start.workflow_handle())
    asking.add_done_callback(lambda done: done.cancelled() or done.exception())
