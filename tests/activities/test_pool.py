"""More steps than connections: they wait in line, or say that Postgres did not answer and are tried again (FAULTS P2)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from activities import stripe_calls
from activities.errors import RETRYABLE, Failure, to_application_error
from models.database import POOL_TIMEOUT_SECONDS, Database
from tests.activities.desk import Desk
from tests.activities.money_steps import CAPTURE, PAY_OUT, REFUND, VOID, MoneyStep
from workflows.policies import ATTEMPT_TIMEOUT

pytestmark = [pytest.mark.fault("P2"), pytest.mark.timeout(180)]

CONNECTIONS: Final = 2
STEPS: Final = 20
IMPATIENT: Final = 0.1

each_step = pytest.mark.parametrize("step", [CAPTURE, VOID, REFUND, PAY_OUT], ids=lambda step: step.name)
NewPool = Callable[[float], Database]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[NewPool]:
    """Makes pools of two connections on everybody's database."""
    async with AsyncExitStack() as opened:

        def new(patience: float) -> Database:
            made = Database.connect(database_url, pool_size=CONNECTIONS // 2, pool_timeout=patience)
            opened.push_async_callback(made.close)
            return made

        yield new


@asynccontextmanager
async def taken(database: Database) -> AsyncIterator[None]:
    """Somebody else has every connection."""
    async with AsyncExitStack() as held:
        for _ in range(CONNECTIONS):
            await held.enter_async_context(database.engine.connect())
        yield


def test_a_step_gives_up_on_a_connection_before_temporal_gives_up_on_the_step() -> None:
    assert timedelta(seconds=2 * POOL_TIMEOUT_SECONDS) < ATTEMPT_TIMEOUT


async def test_twenty_steps_share_two_connections(
    desk: Desk, pool: NewPool, record_property: Callable[[str, object], None]
) -> None:
    bookings = await asyncio.gather(*(CAPTURE.prepare(desk) for _ in range(STEPS)))
    activities = desk.activities(pool(POOL_TIMEOUT_SECONDS))
    await asyncio.gather(*(CAPTURE.act(activities, booking_id) for booking_id in bookings))
    for booking_id in bookings:
        assert await desk.picture(booking_id) == CAPTURE.ends
    record_property("injected", STEPS)


async def refused(run: Coroutine[Any, Any, object]) -> None:
    """For want of a connection, in the closed vocabulary, to be tried again."""
    with pytest.raises(PoolTimeoutError) as exhausted:
        await run
    told = to_application_error(exhausted.value)
    assert told is not None
    assert (told.type, told.non_retryable) == (Failure.DATABASE_UNAVAILABLE, False)
    assert Failure.DATABASE_UNAVAILABLE in RETRYABLE


@each_step
async def test_a_step_without_a_connection_says_so_and_is_done_by_its_next_run(
    desk: Desk, pool: NewPool, step: MoneyStep
) -> None:
    booking_id, small = await step.prepare(desk), pool(IMPATIENT)
    async with taken(small):
        await refused(_acting(step, desk, small, booking_id))
    await step.act(desk.activities(small), booking_id)
    assert await desk.picture(booking_id) == step.ends


@each_step
async def test_what_stripe_did_while_the_pool_ran_dry_is_recorded_once_by_the_next_run(
    desk: Desk, pool: NewPool, step: MoneyStep
) -> None:
    booking_id, small, write = await step.prepare(desk), pool(IMPATIENT), stripe_calls.write
    async with AsyncExitStack() as others:

        async def then_dry(call: Coroutine[Any, Any, Any]) -> Any:
            answer = await write(call)
            await others.enter_async_context(taken(small))
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stripe_calls, "write", then_dry)
            await refused(_acting(step, desk, small, booking_id))
    await desk.control.ask("POST", "/idempotency/forget")
    await step.act(desk.activities(small), booking_id)
    assert await desk.picture(booking_id) == step.ends


async def _acting(step: MoneyStep, desk: Desk, database: Database, booking_id: Any) -> object:
    return await step.act(desk.activities(database), booking_id)
