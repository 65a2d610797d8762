"""Payments of ours that no live booking knows: the slot if it is free, else the money back, once.

Its bookings are there already: a child workflow stops the clock of the server that skips time. That
a settlement starts the booking itself is played on the dev server.
"""

from dataclasses import dataclass

import pytest
from temporalio.client import WorkflowHandle

from models.keys import settlement_id_for
from models.states import BookingStatus
from tests.workflows.saga import Sagas
from tests.workflows.talk import Talk
from tests.workflows.world import StrayWorld
from workflows.contracts import BOOKINGS_QUEUE, Refusal
from workflows.followups import Settlement
from workflows.parking import Action, Step
from workflows.settlement import SettlementWorkflow


@dataclass
class Found:
    """A stray payment, and where its workflow is started."""

    sagas: Sagas
    world: StrayWorld

    async def settles(self) -> Talk:
        client = self.sagas.env.client
        handle: WorkflowHandle[SettlementWorkflow, Settlement] = await client.start_workflow(
            SettlementWorkflow.run,
            self.world.stray,
            id=settlement_id_for(self.world.payment_intent_id),
            task_queue=BOOKINGS_QUEUE,
        )
        return Talk(self.sagas.env, handle)


@pytest.fixture
def found(sagas: Sagas, request: pytest.FixtureRequest) -> Found:
    world = StrayWorld(payment_intent_id=f"pi_{request.node.name}")
    sagas.steps.add_stray(world)
    return Found(sagas, world)


@pytest.mark.fault("W2")
async def test_a_payment_that_found_no_slot_goes_back_once(found: Found) -> None:
    found.world.says("the slot is gone", give_back=True)
    settlement: Settlement = await (await found.settles()).ends()
    assert (settlement.given_back, found.world.given_back) == (True, 1)
    assert found.world.steps() == ["judge_stray", "give_back_stray"]


@pytest.mark.fault("R2")
async def test_a_temporal_cancellation_leaves_no_payment_behind(found: Found) -> None:
    found.world.says("not there yet", retake=None, give_back=True)
    care = await found.settles()
    await care.handle.cancel()
    settlement: Settlement = await care.ends()
    assert (settlement.given_back, found.world.given_back) == (True, 1)


async def test_somebody_else_s_payment_is_left_alone(found: Found) -> None:
    found.world.says("it is not ours")
    care = await found.settles()
    settlement: Settlement = await care.ends()
    assert (settlement.given_back, settlement.why) == (False, "it is not ours")
    assert found.world.steps() == ["judge_stray"]
    assert "it is not ours" in await care.details()


@pytest.mark.fault("W2")
async def test_a_slot_that_is_taken_again_by_a_booking_keeps_the_payment(sagas: Sagas, found: Found) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    found.world.says("the slot is free", retake=saga.world.request)
    found.world.says("not there yet", retake=saga.world.request)
    found.world.says("its booking has it")
    settlement: Settlement = await (await found.settles()).ends()
    assert (settlement.given_back, settlement.why) == (False, "its booking has it")
    assert saga.world.steps("reserve") == ["reserve"]
    assert (await saga.ends()).status is BookingStatus.COMPLETED


@pytest.mark.fault("W2")
async def test_a_slot_that_could_not_be_taken_again_gives_the_money_back(sagas: Sagas, found: Found) -> None:
    saga = await sagas.start(refusal=Refusal.SLOT_TAKEN)
    await saga.ends()
    found.world.says("the slot is free", retake=saga.world.request)
    found.world.says("somebody was faster", give_back=True)
    settlement: Settlement = await (await found.settles()).ends()
    assert (settlement.given_back, found.world.given_back) == (True, 1)
    assert saga.world.steps() == ["reserve"]


@pytest.mark.fault("S5")
@pytest.mark.parametrize("step", [Step.JUDGE_STRAY, Step.GIVE_BACK_STRAY])
async def test_a_step_that_fails_parks_and_is_tried_again(found: Found, step: Step) -> None:
    found.world.says("the slot is gone", give_back=True)
    found.world.fails(step, times=2)
    care = await found.settles()
    await found.world.reached(f"attention {step}")
    details = await care.details()
    assert f"step `{step}` is parked" in details
    assert "StripeRejected: made to fail" in details
    assert found.world.payment_intent_id in details
    await care.resolve(step, Action.RETRY)
    await found.world.reached(f"attention {step}", times=2)
    await care.retry()
    assert (await care.ends()).given_back is True
    assert found.world.given_back == 1


async def test_parked_it_tries_again_by_itself(found: Found) -> None:
    found.world.says("the slot is gone", give_back=True)
    found.world.fails("give_back_stray", times=3)
    care = await found.settles()
    assert (await care.ends()).given_back is True
    assert found.world.steps().count("give_back_stray") == 4
