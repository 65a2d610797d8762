"""A money step that dies, is lost, or runs beside itself is done exactly once (FAULTS K1, K2, S4)."""

import asyncio
from collections.abc import Callable
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import select

from activities.errors import RETRYABLE, StepError
from models.records import StripeOperation
from models.states import OperationState
from tests.activities.desk import Desk
from tests.activities.later_steps import LATER_STEPS
from tests.activities.money_steps import MONEY_STEPS, MoneyStep
from tests.activities.tripwire import Killed, MortalDatabase, Tripwire

each_step = pytest.mark.parametrize("step", MONEY_STEPS + LATER_STEPS, ids=lambda step: step.name)
A_DAY_AND_AN_HOUR = 25 * 3600


async def killed_at(boundary: int, step: MoneyStep, desk: Desk, booking_id: UUID) -> tuple[bool, list[str]]:
    """Run the step until its n-th boundary; say whether it got that far, and what it crossed."""
    tripwire = Tripwire(boundary)
    mortal = desk.activities(MortalDatabase(desk.database, tripwire))
    with tripwire.on_writes():
        try:
            await step.act(mortal, booking_id)
        except Killed:
            return True, tripwire.crossed
    return False, tripwire.crossed


@pytest.mark.fault("K1")
@pytest.mark.timeout(300)  # a booking of its own for every boundary, of which some steps have a dozen
@each_step
async def test_a_step_killed_at_any_boundary_is_finished_once_by_the_next_run(
    desk: Desk, step: MoneyStep, record_property: Callable[[str, object], None]
) -> None:
    for boundary in count(1):
        booking_id = await step.prepare(desk)
        died, crossed = await killed_at(boundary, step, desk, booking_id)
        await desk.control.ask("POST", "/idempotency/forget")
        await step.act(desk.activities(), booking_id)
        assert await desk.picture(booking_id) == step.ends, f"killed at boundary {boundary}: {crossed}"
        assert await unanswered(desk, booking_id) == [], f"killed at boundary {boundary}: {crossed}"
        if not died:
            break
    assert {"after a commit", "before the write", "after the write"} <= set(crossed)
    record_property("injected", len(crossed))


async def unanswered(desk: Desk, booking_id: UUID) -> list[str]:
    """Writes whose result nobody has written down: ops would be asked about them for ever."""
    open_ones = select(StripeOperation.key).where(
        StripeOperation.booking_id == booking_id,
        StripeOperation.state.in_([OperationState.STARTED, OperationState.UNKNOWN]),
    )
    return list(await desk.database.run(lambda session: session.scalars(open_ones)))


@pytest.mark.fault("S2", "S4")
@each_step
async def test_an_answer_lost_for_longer_than_keys_live_is_looked_up_not_repeated(
    desk: Desk, step: MoneyStep
) -> None:
    booking_id = await step.prepare(desk)
    await desk.control.fault("reset_after", match={"key": f"booking:{booking_id}:{step.kind}:*"})
    with pytest.raises(StepError):
        await step.act(desk.activities(), booking_id)
    await desk.control.ask("POST", "/clock", advance_seconds=A_DAY_AND_AN_HOUR)
    await step.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == step.ends


@pytest.mark.fault("S4")
@each_step
async def test_a_step_that_ran_already_changes_nothing_when_it_runs_again(
    desk: Desk, step: MoneyStep
) -> None:
    booking_id = await step.prepare(desk)
    for _ in range(3):
        await step.act(desk.activities(), booking_id)
        await desk.control.ask("POST", "/idempotency/forget")
    assert await desk.picture(booking_id) == step.ends


@pytest.mark.fault("K2")
@each_step
async def test_a_step_that_runs_five_times_at_once_is_done_once(desk: Desk, step: MoneyStep) -> None:
    booking_id = await step.prepare(desk)
    at_once = (step.act(desk.activities(), booking_id) for _ in range(5))
    results = await asyncio.gather(*at_once, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, StepError) and error.failure in RETRYABLE for error in refused), refused
    await step.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == step.ends
