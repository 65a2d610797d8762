"""An operator cancels the workflow itself: a wish of ops before the outcome, a false alarm after it."""

import pytest

from models.states import BookingStatus, PaymentStatus
from tests.workflows.saga import PlayedSaga, Sagas
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION

pytestmark = pytest.mark.fault("R2")


async def cancelled_by_ops(saga: PlayedSaga) -> None:
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_ops")
    assert saga.world.booking.payment_status is PaymentStatus.VOIDED
    assert saga.world.transferred == []


@pytest.mark.parametrize("step", ["reserve", "open_payment", "read_payment", "confirm"])
async def test_during_a_step_the_step_finishes_and_everything_is_undone(sagas: Sagas, step: str) -> None:
    world = await sagas.world()
    gate = world.stops_in(step)
    saga = await sagas.begin(world)
    if step in ("read_payment", "confirm"):
        await saga.paid()
    await gate.entered.wait()
    await saga.handle.cancel()
    gate.opened.set()
    await cancelled_by_ops(saga)


async def test_while_the_payment_is_awaited_everything_is_undone(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    await saga.handle.cancel()
    await cancelled_by_ops(saga)


async def test_while_a_step_is_parked_everything_is_undone(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.fails("confirm")
    await saga.paid()
    await saga.world.reached("attention confirm")
    await saga.handle.cancel()
    await cancelled_by_ops(saga)


async def test_a_confirmed_booking_is_cancelled_by_ops_at_no_cost(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at)
    await saga.handle.cancel()
    await cancelled_by_ops(saga)


async def test_the_undoing_is_not_interrupted(sagas: Sagas) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("give_back")
    await saga.opened()
    await saga.passes_until(saga.world.booking.expires_at)
    await gate.entered.wait()
    await saga.handle.cancel()
    gate.opened.set()
    assert (await saga.ends()).reason == "payment_timeout"
    assert saga.world.steps("give_back", "release") == ["give_back", "release"]


@pytest.mark.parametrize("when", ["settling", "holding", "paying out"])
async def test_after_the_outcome_the_saga_carries_on_and_says_so(sagas: Sagas, when: str) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("pay_out" if when == "paying out" else "settle")
    if when == "settling":
        await saga.confirmed()
        await saga.passes_until(saga.world.starts_at)
        await saga.asks_to_complete()
    else:
        saga.world.troubles.pop("settle", None)
        await saga.held()
    if when == "paying out":
        await saga.passes_until(saga.world.payout_due_at)
        await gate.entered.wait()
    await saga.handle.cancel()
    await saga.shows(NEEDS_ATTENTION, value=True)
    assert await saga.attribute(ATTENTION_STEP) == "cancellation"
    gate.opened.set()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert (saga.world.captured, saga.world.transferred) == (12_000, [9600])


async def test_a_parked_step_is_not_hidden_by_a_cancellation(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.fails("pay_out")
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await saga.world.reached("attention pay_out")
    await saga.handle.cancel()
    await saga.stripe_says()
    assert (await saga.confirm()).status is BookingStatus.COMPLETED
    assert await saga.attribute(ATTENTION_STEP) == "pay_out"
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
