"""The client's bank contests the charge: the hold freezes with what it had left, and the bank decides."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PayoutStatus, Role
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION, PAYOUT_STATUS

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def disputed(sagas: Sagas) -> PlayedSaga:
    """A day into the hold."""
    saga = await sagas.start()
    await saga.held()
    await saga.passes(DAY)
    saga.world.outside.dispute_opens()
    await saga.told()
    return saga


async def test_frozen_it_waits_for_the_bank_and_bothers_nobody(sagas: Sagas) -> None:
    saga = await disputed(sagas)
    await saga.days_pass(20)
    assert saga.world.steps("pay_out") == []
    assert await saga.attribute(PAYOUT_STATUS) == "FROZEN"
    assert await saga.attribute(NEEDS_ATTENTION) is False
    details = await saga.details()
    assert "waiting for the end of a dispute" in details
    assert "nothing: the bank decides" in details
    assert await refusal(saga.pay_now()) == "dispute_open"
    assert 18 <= saga.world.steps().count("mirror") <= 22
    saga.world.outside.dispute_ends()
    await saga.ends()
    assert saga.world.transferred == [9600]


@pytest.mark.parametrize("told", [True, False])
async def test_won_the_hold_runs_on_with_what_it_had_left(sagas: Sagas, *, told: bool) -> None:
    saga = await disputed(sagas)
    opened = saga.world.call("mirror").at
    left = saga.world.call("settle").at + timedelta(hours=72) - opened
    await saga.passes(timedelta(days=7, hours=3))
    saga.world.outside.dispute_ends()
    if told:
        await saga.told("evt_closed")
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    resumed = saga.world.call("mirror").at
    waited = saga.world.call("pay_out").at - resumed
    assert timedelta(0) <= waited - left <= 2 * SECOND
    assert resumed - opened >= timedelta(days=7, hours=3)
    assert saga.world.transferred == [9600]


@pytest.mark.parametrize("told", [True, False])
async def test_lost_nothing_is_transferred_and_nothing_stays_held(sagas: Sagas, *, told: bool) -> None:
    saga = await disputed(sagas)
    saga.world.outside.dispute_ends(lost=12_000)
    if told:
        await saga.money_moves("evt_closed")
    ended = await saga.ends()
    assert (ended.status, saga.world.booking.payout_status) == (
        BookingStatus.COMPLETED,
        PayoutStatus.CANCELLED,
    )
    assert (saga.world.transferred, saga.world.books.held) == ([], 0)


async def test_lost_in_part_the_provider_gets_its_share_of_the_rest(sagas: Sagas) -> None:
    saga = await disputed(sagas)
    saga.world.outside.dispute_ends(lost=5000)
    await saga.told("evt_closed")
    await saga.ends()
    assert (saga.world.transferred, saga.world.books.held) == ([5600], 0)


async def test_opened_while_the_payout_is_blocked_it_freezes_that(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.outside.payable = False
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await saga.world.reached("pay_out")
    await saga.days_pass(4)
    assert await saga.attribute(ATTENTION_STEP) == "pay_out"
    saga.world.outside.dispute_opens()
    await saga.told()
    assert saga.world.booking.payout_status is PayoutStatus.FROZEN
    assert await saga.attribute(ATTENTION_STEP) == ""
    assert await refusal(saga.resolve(Step.PAY_OUT, Action.RETRY)) == "invalid_state"
    saga.world.outside.payable = True
    saga.world.outside.dispute_ends()
    await saga.money_moves("evt_closed")
    await saga.ends()
    assert saga.world.transferred == [9600]


@pytest.mark.parametrize("told", [True, False])
async def test_money_that_should_go_back_waits_until_the_dispute_is_over(sagas: Sagas, *, told: bool) -> None:
    saga = await sagas.start(capture="on_payment")
    await saga.confirmed("succeeded")
    saga.world.outside.dispute_opens()
    await saga.told()
    assert (await saga.cancel(Role.PROVIDER)).status is BookingStatus.CONFIRMED
    assert await saga.attribute(ATTENTION_STEP) == "settle"
    assert "DisputeOpen" in await saga.details()
    saga.world.outside.dispute_ends(lost=5000)
    if told:
        await saga.money_moves("evt_closed")
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_provider")
    assert (saga.world.books.kept, saga.world.refunded, saga.world.transferred) == (0, 7000, [])


async def test_an_undo_waits_for_the_bank_too(sagas: Sagas) -> None:
    saga = await sagas.start(capture="on_payment", approval="provider")
    await saga.before_its_provider("succeeded")
    saga.world.outside.dispute_opens()
    saga.world.catch_up()
    saga.world.fails("give_back")
    assert (await saga.reject()).status is BookingStatus.AWAITING_APPROVAL
    saga.world.outside.dispute_ends()
    await saga.money_moves("evt_closed")
    assert (await saga.ends()).status is BookingStatus.REJECTED
    assert (saga.world.refunded, saga.world.steps("mirror")) == (12_000, ["mirror"])


async def test_disputed_before_the_outcome_the_payout_begins_frozen(sagas: Sagas) -> None:
    saga = await sagas.start(capture="on_payment")
    await saga.confirmed("succeeded")
    saga.world.outside.dispute_opens()
    await saga.told()
    await saga.passes_until(saga.world.starts_at)
    assert (await saga.complete()).status is BookingStatus.COMPLETED
    assert saga.world.booking.payout_status is PayoutStatus.FROZEN
    saga.world.outside.dispute_ends()
    await saga.told("evt_closed")
    due = saga.world.payout_due_at
    assert timedelta(0) <= due - saga.world.call("mirror").at - timedelta(hours=72) < SECOND
    await saga.ends()
    assert saga.world.transferred == [9600]


@pytest.mark.fault("R1")
async def test_frozen_it_stays_so_in_the_next_run(sagas: Sagas) -> None:
    saga = await disputed(sagas)
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await again.days_pass(10)
    assert "pay_out" not in saga.world.steps()
    saga.world.outside.dispute_ends()
    await again.ends()
    assert saga.world.transferred == [9600]
