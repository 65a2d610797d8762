"""Taking back: in which order, what if the do was never answered, what if the undo fails."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, SessionStatus
from tests.workflows.saga import Sagas
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP


async def test_money_goes_back_before_the_seat_does(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    await saga.cancel()
    await saga.ends()
    assert saga.world.steps() == ["reserve", "open_payment", "give_back", "release"]


@pytest.mark.fault("S2")
async def test_a_seat_that_was_taken_without_an_answer_is_let_go(sagas: Sagas) -> None:
    world = await sagas.world()
    world.loses_its_answer("reserve")
    saga = await sagas.begin(world)
    await world.reached("attention reserve")
    assert world.state is not None
    await saga.resolve(Step.RESERVE, Action.ABORT)
    assert (await saga.ends()).reason == "cancelled_by_ops"
    assert world.steps("give_back", "release") == ["give_back", "release"]
    assert world.booking.session_status is SessionStatus.CANCELLED


@pytest.mark.fault("S2")
async def test_a_payment_that_was_opened_without_an_answer_is_taken_back(sagas: Sagas) -> None:
    world = await sagas.world()
    world.loses_its_answer("open_payment")
    saga = await sagas.begin(world)
    await world.reached("attention open_payment")
    assert world.intent == "requires_payment_method"
    await saga.cancel()
    await saga.ends()
    assert (world.intent, world.booking.payment_status) == ("canceled", PaymentStatus.VOIDED)


@pytest.mark.fault("S2")
@pytest.mark.parametrize("step", ["open_payment", "close_payment", "confirm"])
async def test_a_step_that_acted_without_an_answer_is_found_done_when_tried_again(
    sagas: Sagas, step: str
) -> None:
    world = await sagas.world()
    world.loses_its_answer(step)
    saga = await sagas.begin(world)
    if step == "close_payment":
        await saga.opened()
        world.intent = "requires_capture"
        await saga.passes_until(world.booking.expires_at)
    elif step == "confirm":
        await saga.paid()
    await world.reached(f"attention {step}")
    await saga.resolve(Step(step), Action.RETRY)
    await world.reached("attention over")
    if step == "open_payment":
        await saga.paid()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.cancel()
    assert (await saga.ends()).status is BookingStatus.CANCELLED


@pytest.mark.fault("S2")
@pytest.mark.parametrize("step", ["settle", "pay_out"])
async def test_money_that_moved_without_an_answer_does_not_move_twice(sagas: Sagas, step: str) -> None:
    saga = await sagas.start()
    saga.world.loses_its_answer(step)
    await saga.confirmed()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.steps().count(step) == 2
    assert (saga.world.captured, saga.world.transferred) == (12_000, [9600])


@pytest.mark.fault("S5")
@pytest.mark.parametrize("undo", ["give_back", "release"])
async def test_an_undo_that_fails_is_tried_until_it_works_and_never_skipped(sagas: Sagas, undo: str) -> None:
    saga = await sagas.start()
    saga.world.fails(undo, times=4)
    await saga.opened()
    await saga.passes_until(saga.world.booking.expires_at)
    await saga.world.reached(f"attention {undo}")
    assert await saga.attribute(ATTENTION_STEP) == undo
    assert saga.world.booking.status is BookingStatus.PENDING
    if undo == "give_back":
        assert "release" not in saga.world.steps()
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "payment_timeout")
    assert saga.world.steps().count(undo) == 5
    assert [step for step in saga.world.steps() if step in ("give_back", "release")][-1] == "release"


async def test_what_was_confirmed_and_aborted_gives_captured_money_back(sagas: Sagas) -> None:
    saga = await sagas.start(capture="on_payment")
    saga.world.fails("settle")
    await saga.paid("succeeded")
    await saga.confirm()
    await saga.passes_until(saga.world.starts_at)
    await saga.asks_to_complete()
    await saga.world.reached("attention settle")
    await saga.resolve(Step.SETTLE, Action.ABORT)
    assert (await saga.ends()).status is BookingStatus.CANCELLED
    assert (saga.world.captured, saga.world.refunded, saga.world.transferred) == (12_000, 12_000, [])


async def test_the_reason_and_the_actor_of_the_end_reach_every_undo(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    await saga.passes(timedelta(minutes=1))
    await saga.cancel()
    await saga.ends()
    for undo in ("give_back", "release"):
        told = saga.world.call(undo).message.model_dump()
        assert told["reason"] == "cancelled_by_client"
        assert told["actor"] == {"role": "client", "id": "some-client"}
