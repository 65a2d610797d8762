"""Whatever ops press in Temporal's UI, and however often: the client pays once, the provider is paid once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateHandle, WorkflowUpdateStage

from activities.stripe_gateway import StripeGateway
from models.database import Database
from models.states import BookingStatus
from tests.support.shop import Shop, open_shop
from tests.workflows.console import Buttons
from tests.workflows.real import Control, Market, RealSaga
from tests.workflows.saga import refusal
from tests.workflows.stage import SOON_SECONDS
from tests.workflows.talk import OPS
from workflows.contracts import Answer, Resolve
from workflows.orders import RefundOrder
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP

pytestmark = pytest.mark.fault("R2")

STARTED: Final = timedelta(seconds=-1)
TWICE: Final = range(2)


@pytest.fixture
async def quick_shop(database: Database, gateway: StripeGateway) -> Shop:
    """Whose money is hardly held."""
    return await open_shop(database, gateway, policy={"payout_hold": "PT1S"})


class Trouble:
    """Stripe takes no transfer of one booking."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._fault = ""

    async def begins(self, saga: RealSaga, status: int = 500) -> None:
        match = {"method": "POST", "path": "/v1/transfers", "key": f"*{saga.booking_id}*"}
        made = await self._control.ask(
            "POST", "/faults", action="fail_before", status=status, match=match, times=-1
        )
        self._fault = made["id"]

    async def ends(self) -> None:
        await self._control.ask("DELETE", f"/faults/{self._fault}")


@pytest.fixture
def trouble(control: Control) -> Trouble:
    return Trouble(control)


async def completed(market: Market, shop: Shop, trouble: Trouble, status: int = 500) -> RealSaga:
    """Its transfer fails for now."""
    saga = await market.start(shop, STARTED)
    await trouble.begins(saga, status)
    await saga.held()
    return saga


async def paid_once(saga: RealSaga) -> None:
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    await saga.settled(captured=12_000, transfers=(9600,))


# --- the step that is being tried -------------------------------------------------------------------


async def test_a_paused_step_is_not_tried_until_it_is_unpaused(
    dev_market: Market, quick_shop: Shop, trouble: Trouble
) -> None:
    saga = await completed(dev_market, quick_shop, trouble)
    buttons = Buttons(saga)
    step = await buttons.trying()
    for _ in TWICE:
        await buttons.pause()
    await trouble.ends()
    await saga.passes_until(buttons.next_attempt(step))
    assert (await saga.money()).transfers == ()
    for _ in TWICE:
        await buttons.unpause()
    await paid_once(saga)


async def test_a_step_that_is_reset_is_tried_at_once_and_counts_from_one(
    dev_market: Market, quick_shop: Shop, trouble: Trouble
) -> None:
    saga = await completed(dev_market, quick_shop, trouble)
    buttons = Buttons(saga)
    await buttons.trying(attempts=2)
    for _ in TWICE:
        await buttons.reset()
    await buttons.trying(attempts=0)
    await trouble.ends()
    await paid_once(saga)


async def test_a_step_with_other_options_does_what_it_did(
    dev_market: Market, quick_shop: Shop, trouble: Trouble
) -> None:
    saga = await completed(dev_market, quick_shop, trouble)
    buttons = Buttons(saga)
    await buttons.trying()
    for _ in TWICE:
        await buttons.hurry()
    await trouble.ends()
    await paid_once(saga)


async def test_a_step_that_is_allowed_no_more_attempts_parks_and_loses_nothing(
    dev_market: Market, quick_shop: Shop, trouble: Trouble
) -> None:
    saga = await completed(dev_market, quick_shop, trouble)
    buttons = Buttons(saga)
    await buttons.trying()
    await buttons.give_it(attempts=3)
    await saga.shows(ATTENTION_STEP, value="pay_out")
    await trouble.ends()
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    await paid_once(saga)


# --- the run ----------------------------------------------------------------------------------------


async def cancel(saga: RealSaga) -> RealSaga:
    await saga.handle.cancel()
    return saga


async def terminate_and_start_again(saga: RealSaga) -> RealSaga:
    await saga.handle.terminate("an operator's mistake")
    starts_at = (await saga.shop.session_of(saga.booking_id)).starts_at
    request = saga.shop.request(booking_id=saga.booking_id).model_copy(update={"starts_at": starts_at})
    return await Market(saga.env, saga.sdk).begin(saga.shop, request)


async def reset(saga: RealSaga) -> RealSaga:
    return await saga.reset()


async def send_every_signal(saga: RealSaga) -> RealSaga:
    await saga.stripe_says()
    await saga.money_moves()
    await saga.account_changes()
    await saga.retry()
    return saga


RUN_BUTTONS: Final = (cancel, terminate_and_start_again, reset, send_every_signal)


@pytest.mark.parametrize("press", RUN_BUTTONS, ids=lambda press: press.__name__)
async def test_pressed_twice_while_the_transfer_fails_the_provider_is_paid_once(
    dev_market: Market,
    quick_shop: Shop,
    trouble: Trouble,
    press: Callable[[RealSaga], Awaitable[RealSaga]],
) -> None:
    saga = await completed(dev_market, quick_shop, trouble)
    for _ in TWICE:
        await Buttons(saga).trying()
        saga = await press(saga)
    await Buttons(saga).trying()
    await trouble.ends()
    await paid_once(saga)


# --- updates ----------------------------------------------------------------------------------------


async def resolving(saga: RealSaga, update_id: str) -> WorkflowUpdateHandle[Answer]:
    decision: Resolve = saga.decision(Step.PAY_OUT, Action.RETRY)
    return await saga.handle.start_update(
        "resolve",
        decision,
        id=update_id,
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
        result_type=Answer,
    )


async def test_a_decision_that_is_sent_twice_under_one_id_is_taken_once(
    dev_market: Market, quick_shop: Shop, trouble: Trouble
) -> None:
    saga = await completed(dev_market, quick_shop, trouble, status=400)
    await saga.shows(ATTENTION_STEP, value="pay_out")
    await trouble.ends()
    async with asyncio.timeout(SOON_SECONDS):
        sent = await asyncio.gather(*(resolving(saga, "decision-1") for _ in range(5)))
        answers = [await each.result() for each in sent]
        assert answers == [Answer(status=BookingStatus.COMPLETED)] * 5
        await paid_once(saga)
        assert await (await resolving(saga, "decision-1")).result() == answers[0]
    events = (await saga.handle.fetch_history()).events
    taken = [
        event
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    ]
    names = [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        for event in taken
    ]
    assert names.count("resolve") == 1


async def test_a_refund_that_is_sent_twice_under_one_id_or_under_two_is_made_once(
    dev_market: Market, shop: Shop
) -> None:
    saga = await dev_market.start(shop, STARTED)
    await saga.held()
    order = RefundOrder(actor=OPS, request_id="by hand", amount=4000)
    for update_id in ("refund-1", "refund-1", "refund-2"):
        await saga.handle.execute_update("refund", order, id=update_id, result_type=Answer)
    assert (await saga.money()).refunded == 4000
    assert await refusal(saga.resolve(Step.REFUND, Action.RETRY)) == "invalid_state"
    await saga.pay_now()
    await saga.ends()
    await saga.settled(captured=12_000, refunded=4000, transfers=(6400,))
