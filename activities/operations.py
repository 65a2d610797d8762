"""Look up, act, record: the only way this product writes money to Stripe (DESIGN section 4).

One operation row per attempt is committed before the call, its request frozen. Whoever comes next,
after a crash, a timeout or beside a zombie, finds that row, asks Stripe whether it happened, and
only then sends the same request under the same key. A new key is used after a *definite* failure
and never otherwise. What the object means for us is recorded in the transaction that marks the
operation SUCCEEDED, so that a crash leaves either both or neither.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import Failure, StepError, StripeFailure
from activities.stripe_objects import StripeObject
from activities.stripe_requests import Request
from models.database import Database
from models.keys import operation_key
from models.records import StripeOperation
from models.states import OperationState

Q = TypeVar("Q", bound=Request)
O = TypeVar("O", bound=StripeObject)  # noqa: E741 - an object

CLOCK_SKEW: Final = timedelta(hours=1)
STORED_ERROR: Final = "stored server error"
ABSENCE: Final = timedelta(seconds=60)
"""A replayed stored 500 counts as definite after two negative look-ups this far apart."""


@dataclass(frozen=True)
class Write(Generic[Q, O]):
    """A kind of write: how to send it, how to find what it made, how to trust what ops names."""

    kind: str
    request: type[Q]
    send: Callable[[Q, str], Awaitable[O]]
    find: Callable[[Q, str, datetime], Awaitable[O | None]]
    adopt: Callable[[Q, str], Awaitable[O | None]] | None = None
    """Read the object that ops names; None when it is not what the request asked for."""


@dataclass(frozen=True)
class Task(Generic[Q, O]):
    """One write for one of our rows.

    `freeze` computes the request inside the transaction that stores it, None when there is nothing
    to do; `record` writes what the object means, inside the transaction that ends the operation.
    """

    write: Write[Q, O]
    booking_id: UUID
    row_id: UUID
    freeze: Callable[[AsyncSession], Awaitable[Q | None]]
    record: Callable[[AsyncSession, O], Awaitable[None]]


class Operations:
    """Performs tasks, each exactly once however often it is asked."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def perform(self, task: Task[Q, O], adopt: str | None = None) -> None:
        """Make sure that `task` has happened and is recorded.

        Raises:
            StripeFailure: Stripe refused, or it is not known yet whether it happened.
            StepError: of kind ADOPTION_REFUSED, the object that ops named is another one.
        """
        operation = await self._begin(task)
        if operation is None or operation.state is OperationState.SUCCEEDED:
            return None
        request = task.write.request.model_validate(operation.request)
        found = await self._look_up(task, operation, request, adopt)
        if found is None and await self._given_up(operation):
            return await self.perform(task)
        made = found or await self._act(task, operation, request)
        await self._record(task, operation, made)
        return None

    async def recover(self, task: Task[Q, O]) -> None:
        """Record what `task` may have made without sending anything: for an undo of a lost do."""
        operation = await self._database.run(lambda session: session.scalar(_attempts(task).limit(1)))
        if operation is None or operation.state not in (OperationState.STARTED, OperationState.UNKNOWN):
            return
        request = task.write.request.model_validate(operation.request)
        found = await self._look_up(task, operation, request, None)
        if found is not None:
            await self._record(task, operation, found)

    async def _begin(self, task: Task[Q, O]) -> StripeOperation | None:
        """The operation to carry on with, or a new attempt; None when there is nothing to do."""

        async def work(session: AsyncSession) -> StripeOperation | None:
            await _one_at_a_time(session, task)
            latest = await session.scalar(_attempts(task).limit(1))
            if latest is not None and latest.state is not OperationState.FAILED:
                return latest
            request = await task.freeze(session)
            if request is None:
                return None
            attempt = latest.attempt + 1 if latest else 1
            return await _start(session, task, request, attempt)

        return await self._database.run(work)

    async def _look_up(
        self, task: Task[Q, O], operation: StripeOperation, request: Q, adopt: str | None
    ) -> O | None:
        if adopt is None:
            return await task.write.find(request, operation.key, operation.started_at - CLOCK_SKEW)
        adopted = await task.write.adopt(request, adopt) if task.write.adopt else None
        if adopted is None:
            raise StepError(
                Failure.ADOPTION_REFUSED, f"{adopt} is not what {task.write.kind} {operation.key} asked for"
            )
        return adopted

    async def _given_up(self, operation: StripeOperation) -> bool:
        """Whether a stored server error has been proved to hide nothing: then the attempt is over."""
        if operation.error != STORED_ERROR:
            return False

        async def work(session: AsyncSession) -> bool:
            row = await session.get_one(StripeOperation, operation.key, with_for_update=True)
            if row.state in (OperationState.SUCCEEDED, OperationState.FAILED):
                return True
            # Postgres's clock: the two look-ups may have been two workers'.
            now = (await session.execute(select(func.now()))).scalar_one()
            if row.absent_since is None:
                row.absent_since = now
                return False
            if now - row.absent_since < ABSENCE:
                return False
            row.state = OperationState.FAILED
            return True

        return await self._database.run(work)

    async def _act(self, task: Task[Q, O], operation: StripeOperation, request: Q) -> O:
        try:
            return await task.write.send(request, operation.key)
        except StripeFailure as failure:
            state = OperationState.FAILED if failure.definite else OperationState.UNKNOWN
            stored = failure.failure is Failure.STRIPE_INDETERMINATE and failure.replayed
            await self._note(operation.key, state=state, error=STORED_ERROR if stored else failure.failure)
            raise

    async def _record(self, task: Task[Q, O], operation: StripeOperation, made: O) -> None:
        async def work(session: AsyncSession) -> None:
            row = await session.get_one(StripeOperation, operation.key, with_for_update=True)
            if row.state is OperationState.SUCCEEDED:
                return
            row.state = OperationState.SUCCEEDED
            row.object_id = made.id
            row.finished_at = self._now()
            await task.record(session, made)

        await self._database.run(work)

    async def _note(
        self,
        key: str,
        *,
        state: OperationState | None = None,
        error: str | None = None,
    ) -> None:
        """Write down what a call taught us, unless somebody recorded its success meanwhile."""

        async def work(session: AsyncSession) -> None:
            row = await session.get_one(StripeOperation, key, with_for_update=True)
            if row.state in (OperationState.SUCCEEDED, OperationState.FAILED):
                return
            row.state = state or row.state
            row.error = error or row.error

        await self._database.run(work)


async def _one_at_a_time(session: AsyncSession, task: Task[Q, O]) -> None:
    """Two runs of one step agree on one attempt; the lock ends with this short transaction."""
    scope = f"{task.write.kind}:{task.row_id}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(scope, 0))))


def _attempts(task: Task[Q, O]) -> Select[StripeOperation]:
    return (
        select(StripeOperation)
        .where(StripeOperation.kind == task.write.kind, StripeOperation.row_id == task.row_id)
        .order_by(StripeOperation.attempt.desc())
    )


async def _start(session: AsyncSession, task: Task[Q, O], request: Q, attempt: int) -> StripeOperation:
    operation = StripeOperation(
        key=operation_key(task.booking_id, task.write.kind, task.row_id, attempt),
        booking_id=task.booking_id,
        kind=task.write.kind,
        row_id=task.row_id,
        attempt=attempt,
        state=OperationState.STARTED,
        request=request.model_dump(mode="json"),
    )
    session.add(operation)
    await session.flush()
    await session.refresh(operation)
    return operation
