"""Steps that fail park: they show themselves, wait for a person, and never fail the booking."""

from datetime import timedelta
from itertools import pairwise

import pytest
from temporalio.client import WorkflowUpdateFailedError

from models.states import BookingStatus
from tests.workflows.leads import LEADS, failing
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from tests.workflows.stage import broken
from workflows.contracts import Do
from workflows.parking import ACTIONS, Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION

ABORTABLE = [
    Step.OPEN_PAYMENT,
    Step.READ_PAYMENT,
    Step.CLOSE_PAYMENT,
    Step.ASK_APPROVAL,
    Step.CONFIRM,
    Step.AUTHORIZE,
    Step.RENEW,
    Step.REPLAN,
    Step.SETTLE,
]


async def finished(saga: PlayedSaga) -> None:
    """Whatever had been parked, nothing needs attention at the end, and the money adds up."""
    world = saga.world
    if "contest" in world.steps():
        await world.reached("attention objection")
        await saga.resolve(Step.OBJECTION, Action.RELEASE)
    ended = await saga.ends()
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert await saga.attribute(ATTENTION_STEP) == ""
    if ended.status is BookingStatus.COMPLETED:
        assert (world.captured, world.books.received) == (12_000, 8800 if world.refunded else 9600)
    else:
        assert (world.captured - world.refunded, world.transferred) == (0, [])


@pytest.mark.fault("S5")
@pytest.mark.parametrize("step", LEADS)
async def test_every_step_that_fails_for_good_parks_and_says_what_to_send(sagas: Sagas, step: Step) -> None:
    saga = await failing(sagas, step)
    assert await saga.attribute(NEEDS_ATTENTION) is True
    assert await saga.attribute(ATTENTION_STEP) == step
    details = await saga.details()
    assert f"step `{step}` is parked" in details
    assert "StripeRejected: made to fail" in details
    assert ", ".join(sorted(ACTIONS[step])) in details
    note = saga.world.call(f"attention {step}").message.model_dump()
    assert (note["step"], note["message"]) == (step, "StripeRejected: made to fail")
    await saga.resolve(step, Action.RETRY)
    await saga.world.reached(step, times=2)
    await finished(saga)
    assert "attention over" in saga.world.steps()


@pytest.mark.fault("S1")
async def test_a_passing_failure_is_tried_again_in_seconds_and_bothers_nobody(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.fails("pay_out", times=3, error=broken("StripeUnavailable", lasting=False))
    await saga.held()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.steps().count("pay_out") == 4
    assert not any(step.startswith("attention") for step in saga.world.steps())


@pytest.mark.fault("S1")
async def test_a_passing_failure_that_does_not_pass_parks_too(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.fails("pay_out", times=100, error=broken("StripeUnavailable", lasting=False))
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await saga.passes(timedelta(minutes=6))
    await saga.world.reached("attention pay_out")
    assert 5 <= saga.world.steps().count("pay_out") <= 20
    assert "StripeUnavailable" in await saga.details()
    saga.world.troubles.clear()
    await saga.handle.signal("retry")
    await finished(saga)


async def test_a_parked_step_tries_itself_again_slower_and_slower(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.PAY_OUT, times=10)
    await finished(saga)
    tried = [call.at for call in saga.world.calls if call.step == "pay_out"]
    gaps = [round((later - earlier).total_seconds() / 60) for earlier, later in pairwise(tried)]
    assert gaps == [5, 10, 20, 40, 80, 160, 320, 360, 360, 360]


@pytest.mark.fault("R2")
async def test_a_signal_wakes_a_parked_step_at_once(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.SETTLE)
    await saga.handle.signal("retry")
    await saga.world.reached("settle", times=2)
    await finished(saga)


async def test_a_signal_is_not_lost_while_the_parking_is_written_down(sagas: Sagas) -> None:
    world = await sagas.world()
    gate = world.stops_in("attention confirm")
    world.fails("confirm")
    saga = await sagas.begin(world)
    await saga.paid()
    await gate.entered.wait()
    await saga.handle.signal("retry")
    gate.opened.set()
    await world.reached("confirm", times=2)
    await saga.cancel()
    await finished(saga)


@pytest.mark.fault("R2")
async def test_waking_what_is_not_parked_does_nothing_now_or_later(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.fails("settle")
    await saga.confirmed()
    for _ in range(3):
        await saga.handle.signal("retry")
    await saga.passes_until(saga.world.starts_at)
    await saga.asks_to_complete()
    await saga.world.reached("attention settle")
    assert saga.world.steps().count("settle") == 1
    assert await saga.attribute(NEEDS_ATTENTION) is True
    await saga.resolve(Step.SETTLE, Action.RETRY)
    await finished(saga)


@pytest.mark.fault("S5")
@pytest.mark.parametrize("step", ABORTABLE)
async def test_ops_can_abort_into_the_compensation(sagas: Sagas, step: Step) -> None:
    saga = await failing(sagas, step)
    await saga.resolve(step, Action.ABORT)
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_ops")
    assert saga.world.steps("give_back", "release") == ["give_back", "release"]
    assert saga.world.steps().count(step) == 1
    await finished(saga)


async def test_aborting_before_there_is_a_seat_ends_with_nothing(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.RESERVE)
    await saga.resolve(Step.RESERVE, Action.ABORT)
    ended = await saga.ends()
    assert (ended.status, ended.refusal, saga.world.state) == (None, None, None)
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert await saga.details() == "No seat was taken."


@pytest.mark.fault("S5")
@pytest.mark.parametrize("step", [Step.OPEN_PAYMENT, Step.PAY_OUT])
async def test_ops_can_name_the_object_that_did_the_work(sagas: Sagas, step: Step) -> None:
    saga = await failing(sagas, step)
    await saga.resolve(step, Action.ADOPT, "obj_made_by_hand")
    await saga.world.reached(step, times=2)
    again = saga.world.call(step).message
    assert isinstance(again, Do)
    assert again.adopt == "obj_made_by_hand"
    await finished(saga)
    assert saga.world.adopted == "obj_made_by_hand"


async def test_an_adoption_that_is_refused_parks_again_and_is_not_repeated(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.PAY_OUT, times=2)
    await saga.resolve(Step.PAY_OUT, Action.ADOPT, "tr_of_somebody_else")
    await saga.world.reached("attention pay_out", times=2)
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    await finished(saga)
    adopted = [call.message.model_dump()["adopt"] for call in saga.world.calls if call.step == "pay_out"]
    assert adopted == [None, "tr_of_somebody_else", None]


@pytest.mark.parametrize("step", LEADS)
async def test_what_makes_no_sense_for_a_step_is_refused(sagas: Sagas, step: Step) -> None:
    saga = await failing(sagas, step)
    for action in set(Action) - ACTIONS[step]:
        object_id = "obj_1" if action is Action.ADOPT else None
        assert await refusal(saga.resolve(step, action, object_id)) == "invalid_state"
    await saga.resolve(step, Action.RETRY)
    await finished(saga)


async def test_an_adoption_names_its_object_and_nothing_else_does(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.PAY_OUT)
    assert await refusal(saga.resolve(Step.PAY_OUT, Action.ADOPT)) == "validation_failed"
    assert await refusal(saga.resolve(Step.PAY_OUT, Action.RETRY, "tr_1")) == "validation_failed"
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    await finished(saga)


async def test_a_decision_for_a_step_that_is_not_parked_is_refused(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.SETTLE)
    assert await refusal(saga.resolve(Step.PAY_OUT, Action.RETRY)) == "invalid_state"
    await saga.resolve(Step.SETTLE, Action.RETRY)
    await saga.world.reached("attention over")
    assert await refusal(saga.resolve(Step.SETTLE, Action.RETRY)) == "invalid_state"
    await finished(saga)


async def test_a_decision_without_a_reason_is_refused_and_harms_nothing(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.PAY_OUT)
    unexplained = {"step": "pay_out", "action": "retry", "actor": {"role": "ops"}, "reason": ""}
    with pytest.raises(WorkflowUpdateFailedError):
        await saga.handle.execute_update("resolve", unexplained)
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    await finished(saga)


async def test_a_decision_that_comes_while_the_step_runs_again_is_refused(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.SETTLE)
    gate = saga.world.stops_in("settle")
    await saga.resolve(Step.SETTLE, Action.RETRY)
    await gate.entered.wait()
    assert await refusal(saga.resolve(Step.SETTLE, Action.ABORT)) == "invalid_state"
    gate.opened.set()
    await finished(saga)
    assert saga.world.booking.status is BookingStatus.COMPLETED


@pytest.mark.fault("R2")
async def test_the_first_of_two_decisions_stands_and_the_second_is_refused(sagas: Sagas) -> None:
    world = await sagas.world()
    gate = world.stops_in("attention confirm")
    world.fails("confirm")
    saga = await sagas.begin(world)
    await saga.paid()
    await gate.entered.wait()
    first = await saga.asks("resolve", saga.decision(Step.CONFIRM, Action.ABORT))
    assert await refusal(saga.resolve(Step.CONFIRM, Action.RETRY)) == "invalid_state"
    gate.opened.set()
    await first.result()
    assert (await saga.ends()).reason == "cancelled_by_ops"
    assert world.steps("confirm") == ["confirm"]


async def test_a_booking_that_cannot_be_written_to_still_shows_its_parked_step(sagas: Sagas) -> None:
    world = await sagas.world()
    world.fails("confirm")
    world.fails("attention confirm", times=3, error=broken("DatabaseUnavailable"))
    saga = await sagas.begin(world)
    await saga.paid()
    await world.reached("attention confirm")
    assert await saga.attribute(ATTENTION_STEP) == "confirm"
    assert "step `confirm` is parked" in await saga.details()
    await saga.resolve(Step.CONFIRM, Action.RETRY)
    await world.reached("confirm", times=2)
    await saga.cancel()
    await finished(saga)


@pytest.mark.parametrize("step", [Step.SETTLE, Step.RELEASE])
async def test_who_waits_for_a_step_that_parks_is_answered_and_the_wish_is_kept(
    sagas: Sagas, step: Step
) -> None:
    world = await sagas.world()
    world.fails(step)
    saga = await sagas.begin(world)
    if step is Step.SETTLE:
        await saga.confirmed()
        await saga.passes_until(world.starts_at)
        assert (await saga.complete()).status is BookingStatus.CONFIRMED
    else:
        await saga.opened()
        assert (await saga.cancel()).status is BookingStatus.PENDING
    await finished(saga)
    ended = BookingStatus.COMPLETED if step is Step.SETTLE else BookingStatus.CANCELLED
    assert world.booking.status is ended


async def test_who_asks_for_a_confirmation_is_not_kept_waiting_by_a_parked_step(sagas: Sagas) -> None:
    world = await sagas.world()
    world.fails("read_payment", error=broken("PaymentMismatch"))
    saga = await sagas.begin(world)
    await saga.opened()
    assert (await saga.confirm()).status is BookingStatus.PENDING
    assert await saga.attribute(ATTENTION_STEP) == "read_payment"
    await saga.resolve(Step.READ_PAYMENT, Action.ABORT)
    await finished(saga)
