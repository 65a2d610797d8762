"""The payout: blocked until the provider can be paid, and sent to the bank where we do that ourselves."""

from datetime import timedelta
from itertools import pairwise

import pytest

from models.states import BookingStatus, PayoutStatus
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from workflows.contracts import Do
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION, PAYOUT_STATUS

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def blocked(sagas: Sagas, **policy: object) -> PlayedSaga:
    """The hold is over, and the provider cannot be paid."""
    saga = await sagas.start(**policy)
    saga.world.outside.payable = False
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await saga.world.reached("pay_out")
    await saga.quiet()
    return saga


async def at_the_bank(sagas: Sagas) -> PlayedSaga:
    """Transferred, and on its way to the provider's bank."""
    saga = await sagas.start(payout_schedule="manual")
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await saga.world.reached("send_to_bank")
    await saga.quiet()
    return saga


async def paid(saga: PlayedSaga) -> None:
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.booking.payout_status is PayoutStatus.PAID
    assert (saga.world.transferred, saga.world.books.held) == ([9600], 0)
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert not saga.world.booking.attention


# --- blocked --------------------------------------------------------------------------------------


@pytest.mark.fault("S5")
async def test_blocked_it_waits_for_the_account_and_bothers_nobody(sagas: Sagas) -> None:
    saga = await blocked(sagas)
    assert await saga.attribute(PAYOUT_STATUS) == "BLOCKED"
    assert await saga.attribute(NEEDS_ATTENTION) is False
    details = await saga.details()
    assert "waiting for the provider's account to be payable" in details
    assert "signal `retry`" in details
    saga.world.outside.payable = True
    await saga.account_changes()
    await saga.world.reached("pay_out", times=2)
    await paid(saga)
    assert saga.world.steps().count("pay_out") == 2


@pytest.mark.fault("S5")
async def test_news_of_the_account_that_come_during_the_attempt_are_not_lost(sagas: Sagas) -> None:
    saga = await sagas.start()
    saga.world.outside.payable = False
    gate = saga.world.stops_in("pay_out")
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await gate.entered.wait()
    await saga.account_changes()
    second = saga.world.stops_in("pay_out")
    gate.opened.set()
    await second.entered.wait()
    waited = saga.world.call("pay_out").at - saga.world.payout_due_at
    assert waited < timedelta(minutes=1)
    saga.world.outside.payable = True
    second.opened.set()
    await paid(saga)


async def test_a_batch_that_wakes_everything_wakes_it_too(sagas: Sagas) -> None:
    saga = await blocked(sagas)
    saga.world.outside.payable = True
    await saga.retry()
    await saga.world.reached("pay_out", times=2)
    await paid(saga)


async def test_by_itself_it_looks_every_six_hours(sagas: Sagas) -> None:
    saga = await blocked(sagas)
    await saga.passes(31 * HOUR)
    tries = [call.at for call in saga.world.calls if call.step == "pay_out"]
    assert [round((later - earlier) / HOUR) for earlier, later in pairwise(tries)] == [6] * 5
    saga.world.outside.payable = True
    await paid(saga)


@pytest.mark.parametrize("action", [Action.RETRY, Action.ADOPT])
async def test_blocked_for_too_long_it_asks_ops(sagas: Sagas, action: Action) -> None:
    saga = await blocked(sagas, payout_patience=timedelta(hours=20))
    escalates = saga.world.booking.escalate_at
    assert escalates is not None
    await saga.passes_until(escalates - SECOND)
    assert await saga.attribute(NEEDS_ATTENTION) is False
    await saga.passes(2 * SECOND)
    await saga.world.reached("attention pay_out")
    assert await saga.attribute(ATTENTION_STEP) == "pay_out"
    details = await saga.details()
    assert "The provider could not be paid until" in details
    assert "one of adopt, retry" in details
    assert "`amount`" not in details
    assert await refusal(saga.resolve(Step.PAY_OUT, Action.ABORT)) == "invalid_state"
    saga.world.outside.payable = True
    adopted = "tr_made_by_hand" if action is Action.ADOPT else None
    await saga.resolve(Step.PAY_OUT, action, adopted)
    await paid(saga)
    tried = saga.world.call("pay_out").message
    assert isinstance(tried, Do)
    assert tried.adopt == adopted


async def test_a_question_about_a_blocked_payout_is_asked_once_and_settled_by_the_account(
    sagas: Sagas,
) -> None:
    saga = await blocked(sagas, payout_patience=HOUR)
    await saga.passes(40 * HOUR)
    assert saga.world.steps("attention pay_out") == ["attention pay_out"]
    saga.world.outside.payable = True
    await saga.account_changes()
    await paid(saga)


async def test_refunded_while_it_is_blocked_it_ends(sagas: Sagas) -> None:
    saga = await blocked(sagas, payout_patience=HOUR)
    await saga.passes(2 * HOUR)
    await saga.world.reached("attention pay_out")
    await saga.refund()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.booking.payout_status is PayoutStatus.CANCELLED
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert not saga.world.booking.attention


@pytest.mark.fault("R1")
async def test_blocked_it_is_carried_on_by_the_next_run(sagas: Sagas) -> None:
    saga = await blocked(sagas)
    since = saga.world.booking.escalate_at
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await saga.world.reached("pay_out", times=2)
    assert saga.world.booking.escalate_at == since
    saga.world.outside.payable = True
    await again.account_changes()
    await paid(again)


# --- to the bank ----------------------------------------------------------------------------------


async def test_sent_to_the_bank_it_is_paid_when_it_arrives(sagas: Sagas) -> None:
    saga = await at_the_bank(sagas)
    assert await saga.attribute(PAYOUT_STATUS) == "PROCESSING"
    assert "waiting for the provider's bank" in await saga.details()
    saga.world.outside.bank = "paid"
    await saga.told("evt_payout_paid")
    await paid(saga)
    assert saga.world.bank_attempts == 1
    assert saga.world.steps("pay_out") == ["pay_out"]


@pytest.mark.fault("W1")
async def test_an_arrival_that_nobody_told_us_about_is_found(sagas: Sagas) -> None:
    saga = await at_the_bank(sagas)
    saga.world.outside.bank = "paid"
    await paid(saga)
    assert "mirror" not in saga.world.steps()


async def test_looks_at_the_bank_grow_rare_and_stay_bounded(sagas: Sagas) -> None:
    saga = await at_the_bank(sagas)
    await saga.passes(timedelta(days=3))
    looks = [call.at for call in saga.world.calls if call.step == "send_to_bank"]
    gaps = [later - earlier for earlier, later in pairwise(looks)]
    assert round(gaps[0] / SECOND) == 30
    assert all(later > earlier - SECOND for earlier, later in pairwise(gaps))
    assert max(gaps) < 6 * HOUR + SECOND
    assert len(looks) < 25
    saga.world.outside.bank = "paid"
    await paid(saga)


@pytest.mark.fault("S5")
async def test_what_the_bank_refuses_is_sent_again_once_the_account_has_changed(sagas: Sagas) -> None:
    saga = await at_the_bank(sagas)
    saga.world.outside.payable, saga.world.outside.bank = False, "failed"
    await saga.told("evt_payout_failed")
    assert await saga.attribute(PAYOUT_STATUS) == "BLOCKED"
    assert saga.world.bank_attempts == 1
    saga.world.outside.payable = True
    await saga.account_changes()
    await saga.shows(PAYOUT_STATUS, value="PROCESSING")
    assert saga.world.bank_attempts == 2
    saga.world.outside.bank = "paid"
    await paid(saga)
    assert saga.world.steps("pay_out") == ["pay_out"]


async def test_the_bank_s_refusal_escalates_too(sagas: Sagas) -> None:
    saga = await at_the_bank(sagas)
    saga.world.outside.payable, saga.world.outside.bank = False, "failed"
    await saga.told("evt_payout_failed")
    await saga.passes(timedelta(days=3, seconds=5))
    await saga.world.reached("attention pay_out")
    saga.world.outside.payable, saga.world.outside.arrives = True, "paid"
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    await paid(saga)


@pytest.mark.fault("R1")
async def test_at_the_bank_it_is_carried_on_by_the_next_run_without_another_transfer(sagas: Sagas) -> None:
    saga = await at_the_bank(sagas)
    await saga.terminated()
    again = await sagas.begin(saga.world)
    saga.world.outside.bank = "paid"
    await paid(again)
    assert (saga.world.bank_attempts, saga.world.steps("pay_out")) == (1, ["pay_out"])


async def test_a_dispute_that_opens_when_it_is_at_the_bank_does_not_stop_it(sagas: Sagas) -> None:
    saga = await at_the_bank(sagas)
    saga.world.outside.dispute_opens()
    await saga.told("evt_dispute")
    saga.world.outside.bank = "paid"
    await saga.money_moves("evt_payout_paid")
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert (saga.world.books.due, saga.world.books.reversed) == (0, 9600)
    assert saga.world.booking.payout_status is PayoutStatus.REVERSED
