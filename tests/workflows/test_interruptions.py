"""A parked step makes way for what people say meanwhile; nothing that ops decided is lost by it."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PayoutStatus, Role
from tests.workflows.leads import failing
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from tests.workflows.stage import broken
from tests.workflows.talk import OPS, actor
from workflows.orders import Objection, RefundOrder
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION


async def at_ease(saga: PlayedSaga) -> None:
    """It ended, and nothing needs anybody."""
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert not saga.world.booking.attention
    assert (saga.world.books.held, saga.world.books.due) == (0, 0)


async def rebalancing(sagas: Sagas, times: int = 1) -> PlayedSaga:
    """A refund has overtaken the transfer, and taking back its part is parked."""
    saga = await failing(sagas, Step.REBALANCE, times)
    assert saga.world.books.due == -800
    return saga


async def test_an_objection_stops_a_transfer_that_is_parked(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.PAY_OUT)
    await saga.asks("object", Objection(actor=actor(Role.CLIENT)))
    await saga.world.reached("attention objection")
    assert saga.world.booking.payout_status is PayoutStatus.FROZEN
    assert await saga.attribute(ATTENTION_STEP) == "objection"
    await saga.days_pass(2)
    assert saga.world.steps("pay_out") == ["pay_out"]
    await saga.resolve(Step.OBJECTION, Action.REFUND, amount=4000)
    await at_ease(saga)
    assert saga.world.transferred == [6400]


async def test_a_refund_shrinks_a_transfer_that_is_parked(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.PAY_OUT)
    await saga.asks("refund", RefundOrder(actor=OPS, request_id="r", amount=1000))
    await saga.world.reached("refund")
    await at_ease(saga)
    assert (saga.world.refunded, saga.world.transferred) == (1000, [8800])


async def test_a_refund_comes_before_a_rebalancing_that_is_parked(sagas: Sagas) -> None:
    saga = await rebalancing(sagas)
    await saga.asks("refund", RefundOrder(actor=OPS, request_id="second", amount=500))
    await at_ease(saga)
    assert (saga.world.refunded, saga.world.books.reversed) == (1500, 1200)
    order = ["refund", "rebalance", "refund", "rebalance"]
    assert saga.world.steps("refund", "rebalance") == order


@pytest.mark.fault("R2")
async def test_giving_a_rebalancing_up_twice_is_giving_it_up_once(sagas: Sagas) -> None:
    saga = await rebalancing(sagas, times=2)
    await saga.resolve(Step.REBALANCE, Action.ABORT)
    await saga.world.reached("attention rebalance", times=2)
    await saga.resolve(Step.REBALANCE, Action.ABORT)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    waived = [call.message.model_dump()["waive"] for call in saga.world.calls if call.step == "rebalance"]
    assert waived == [None, OPS.model_dump(), OPS.model_dump()]
    assert await saga.attribute(NEEDS_ATTENTION) is False


@pytest.mark.parametrize("step", [Step.AUTHORIZE, Step.RENEW, Step.REPLAN])
async def test_a_cancellation_does_not_wait_for_what_the_clock_wanted(sagas: Sagas, step: Step) -> None:
    saga = await failing(sagas, step)
    assert (await saga.cancel(Role.PROVIDER)).status is BookingStatus.CANCELLED
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_provider")
    assert (saga.world.captured, saga.world.steps().count(step)) == (0, 1)
    assert await saga.attribute(NEEDS_ATTENTION) is False


async def test_an_object_that_was_named_wrongly_is_named_once(sagas: Sagas) -> None:
    saga = await sagas.start(payout_patience=timedelta(hours=1))
    saga.world.outside.payable = False
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at + timedelta(hours=2))
    await saga.world.reached("attention pay_out")
    saga.world.fails("pay_out", error=broken("AdoptionRefused"))
    await saga.resolve(Step.PAY_OUT, Action.ADOPT, "tr_of_somebody_else")
    await saga.world.reached("attention pay_out", times=2)
    assert "AdoptionRefused" in await saga.details()
    saga.world.outside.payable = True
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    await at_ease(saga)
    adopted = [call.message.model_dump()["adopt"] for call in saga.world.calls if call.step == "pay_out"]
    assert adopted.count("tr_of_somebody_else") == 1
    assert adopted[-1] is None


@pytest.mark.fault("R1")
async def test_an_objection_that_is_decided_again_by_another_run_refunds_once(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.held()
    await saga.objects()
    await saga.world.reached("attention objection")
    saga.world.fails("judge")
    await saga.resolve(Step.OBJECTION, Action.REFUND, amount=3000)
    await saga.world.reached("attention change_hold")
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await saga.world.reached("attention objection", times=2)
    await again.resolve(Step.OBJECTION, Action.REFUND, amount=3000)
    await at_ease(again)
    assert (saga.world.refunded, saga.world.steps().count("refund")) == (3000, 2)
    assert saga.world.transferred == [7200]


@pytest.mark.parametrize("amount", [0, -1, 12_001])
async def test_a_verdict_gives_back_what_can_be_given_back(sagas: Sagas, amount: int) -> None:
    saga = await sagas.start()
    await saga.begun()
    await saga.provider_missed()
    await saga.complete(Role.PROVIDER)
    await saga.world.reached("attention reports")
    wrong = saga.resolve(Step.REPORTS, Action.REFUND, amount=amount)
    assert await refusal(wrong) == "validation_failed"
    await saga.resolve(Step.REPORTS, Action.RELEASE)
    await at_ease(saga)
