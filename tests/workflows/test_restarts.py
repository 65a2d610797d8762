"""Workers and runs that end in the middle: the next one carries on from what is stored."""

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from models.states import BookingStatus
from tests.workflows.conftest import TEST_SERVER
from tests.workflows.leads import LEADS, failing
from tests.workflows.saga import Sagas
from tests.workflows.theatre import Workers, played_worker, skipping_time
from tests.workflows.world import Steps
from workflows.parking import Step

UNDONE = dict.fromkeys(
    [Step.CLOSE_PAYMENT, Step.ASK_APPROVAL, Step.GIVE_BACK, Step.RELEASE], BookingStatus.CANCELLED
)
"""Where a booking does not end completed; a claim that was never noted is lost with its run."""


@pytest.fixture
async def server() -> AsyncIterator[WorkflowEnvironment]:
    """One whose workers come and go."""
    async with skipping_time(TEST_SERVER) as env:
        yield env


def uncached(server: WorkflowEnvironment, sagas: Sagas) -> Workers:
    """Without a cache there is no queue of its own, whose tasks would wait for the worker that is gone."""
    return played_worker(server.client, sagas.steps, cached_workflows=0)


@pytest.mark.fault("K3")
async def test_what_was_said_while_no_worker_ran_is_heard_by_the_next_one(
    server: WorkflowEnvironment,
) -> None:
    sagas = Sagas(server, Steps())
    async with uncached(server, sagas):
        saga = await sagas.start()
        await saga.opened()
        await saga.quiet()
    saga.world.intent = "requires_capture"
    await saga.stripe_says()
    async with uncached(server, sagas):
        assert (await saga.confirm()).status is BookingStatus.CONFIRMED
        await saga.quiet()  # a task that a worker takes along keeps the time from passing
    await saga.passes_until(saga.world.starts_at)
    async with uncached(server, sagas):
        await saga.complete()
        await saga.quiet()
    async with uncached(server, sagas):
        assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.transferred == [9600]


@pytest.mark.fault("R2")
async def test_cancelled_in_temporal_before_its_first_task_a_booking_takes_no_money(
    server: WorkflowEnvironment,
) -> None:
    sagas = Sagas(server, Steps())
    saga = await sagas.start()
    await saga.handle.cancel()
    async with uncached(server, sagas):
        ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_ops")
    assert saga.world.steps() == ["reserve", "give_back", "release"]


@pytest.mark.fault("W2")
async def test_a_payment_and_the_end_of_its_window_in_one_task_mean_paid(server: WorkflowEnvironment) -> None:
    sagas = Sagas(server, Steps())
    async with uncached(server, sagas):
        saga = await sagas.start()
        await saga.opened()
        await saga.quiet()
    saga.world.intent = "requires_capture"
    await saga.passes_until(saga.world.booking.expires_at)
    await saga.stripe_says()
    async with uncached(server, sagas):
        assert (await saga.confirm()).status is BookingStatus.CONFIRMED
        assert "give_back" not in saga.world.steps()


@pytest.mark.fault("R1")
@pytest.mark.parametrize("step", LEADS)
async def test_terminated_at_any_step_a_booking_is_finished_by_its_next_run(sagas: Sagas, step: Step) -> None:
    stopped = await failing(sagas, step)
    await stopped.terminated()
    world = stopped.world
    again = await sagas.begin(world)
    if step in (Step.RESERVE, Step.OPEN_PAYMENT):
        await again.confirmed()
    ended = await again.ends()
    assert not world.booking.attention
    if step is Step.REBALANCE:
        assert (ended.status, world.refunded, world.books.reversed) == (BookingStatus.COMPLETED, 1000, 800)
    elif ended.status is BookingStatus.COMPLETED:
        assert (world.captured, world.transferred) == (12_000, [9600])
    else:
        assert (world.captured - world.refunded, world.transferred) == (0, [])
    assert ended.status is UNDONE.get(step, BookingStatus.COMPLETED)


@pytest.mark.fault("R1")
async def test_a_decision_that_was_stored_is_not_replaced_by_the_next_run(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    saga.world.loses_its_answer("settle")
    await saga.asks_to_cancel()
    await saga.world.reached("attention settle")
    await saga.terminated()
    again = await sagas.begin(saga.world)
    ended = await again.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_client")
    assert saga.world.transferred == []


@pytest.mark.fault("R1")
async def test_a_cancellation_can_be_repeated_to_the_run_that_carries_it_on(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.fails("release", times=2)
    await saga.opened()
    await saga.asks_to_cancel()
    await saga.world.reached("attention release")
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await saga.world.reached("attention release", times=2)
    assert (await again.cancel()).status is BookingStatus.PENDING
    await again.handle.signal("retry")
    assert (await again.ends()).reason == "cancelled_by_client"


@pytest.mark.fault("R1")
async def test_a_completion_told_to_a_run_that_takes_over_is_heard(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at)
    await saga.terminated()
    gate = saga.world.stops_in("reserve")
    again = await sagas.begin(saga.world)
    completing = await again.asks_to_complete()
    gate.opened.set()
    assert (await completing.result()).status is BookingStatus.COMPLETED
    await again.ends()
    assert saga.world.transferred == [9600]
