"""The hold between outcome and payout: moved by ops, frozen by the client's objection, decided by ops."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, PayoutStatus, Role
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from tests.workflows.talk import actor
from workflows.orders import Objection
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION, PAYOUT_DUE_AT, PAYOUT_STATUS

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def held(sagas: Sagas) -> PlayedSaga:
    saga = await sagas.start()
    await saga.held()
    return saga


async def contested(sagas: Sagas) -> PlayedSaga:
    """The client objects a day into the hold."""
    saga = await held(sagas)
    await saga.passes(DAY)
    assert (await saga.objects()).status is BookingStatus.COMPLETED
    await saga.world.reached("attention objection")
    return saga


async def paid_at_the_new_end(saga: PlayedSaga, *transfers: int) -> None:
    due = saga.world.payout_due_at
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.transferred == list(transfers)
    assert timedelta(0) <= saga.world.call("pay_out").at - due < SECOND
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert not saga.world.booking.attention


# --- moved by ops -------------------------------------------------------------------------------


async def test_an_extended_hold_pays_later_and_shows_it(sagas: Sagas) -> None:
    saga = await held(sagas)
    until = saga.world.payout_due_at + 4 * DAY
    await saga.hold_until(until)
    assert await saga.attribute(PAYOUT_DUE_AT) == until
    await saga.passes_until(until - SECOND)
    assert "pay_out" not in saga.world.steps()
    await paid_at_the_new_end(saga, 9600)


async def test_a_released_hold_pays_now(sagas: Sagas) -> None:
    saga = await held(sagas)
    await saga.pay_now()
    await paid_at_the_new_end(saga, 9600)
    assert saga.world.call("pay_out").at - saga.world.call("settle").at < SECOND


async def test_an_extension_has_to_be_one(sagas: Sagas) -> None:
    saga = await held(sagas)
    assert await refusal(saga.hold_until(saga.world.payout_due_at)) == "validation_failed"
    await saga.ends()


async def test_nothing_is_held_before_the_outcome(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    assert await refusal(saga.pay_now()) == "invalid_state"
    assert await refusal(saga.objects()) == "invalid_state"
    await saga.cancel()
    await saga.ends()


# --- contested by the client --------------------------------------------------------------------


async def test_an_objection_freezes_the_payout_for_as_long_as_ops_need(sagas: Sagas) -> None:
    saga = await contested(sagas)
    assert await saga.attribute(PAYOUT_STATUS) == "FROZEN"
    assert await saga.attribute(ATTENTION_STEP) == "objection"
    await saga.days_pass(10)
    assert "pay_out" not in saga.world.steps()
    details = await saga.details()
    assert "The client contests the session" in details
    assert "refund, release" in details
    assert "waiting for a decision about the objection" in details
    assert await refusal(saga.pay_now()) == "invalid_state"
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await saga.quiet()
    left = saga.world.payout_due_at - saga.world.call("judge").at
    assert timedelta(0) <= left - 2 * DAY <= 2 * SECOND
    await paid_at_the_new_end(saga, 9600)


async def test_a_client_who_has_read_of_the_hold_before_its_workflow_objects(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.begun()
    gate = saga.world.stops_in("settle")
    await saga.asks_to_complete()
    await gate.entered.wait()
    objection = await saga.asks("object", Objection(actor=actor(Role.CLIENT)))
    gate.opened.set()
    await objection.result()
    assert saga.world.booking.payout_status is PayoutStatus.FROZEN
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await paid_at_the_new_end(saga, 9600)


async def test_what_comes_too_early_is_refused_when_its_turn_comes(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    gate = saga.world.stops_in("read_payment")
    await saga.stripe_says("evt_2")
    await gate.entered.wait()
    objection = await saga.asks("object", Objection(actor=actor(Role.CLIENT)))
    gate.opened.set()
    assert await refusal(objection.result()) == "invalid_state"
    await saga.cancel()
    await saga.ends()


async def test_ops_give_back_a_part_and_the_provider_gets_its_share_of_the_rest(sagas: Sagas) -> None:
    saga = await contested(sagas)
    await saga.resolve(Step.OBJECTION, Action.REFUND, amount=4000)
    await saga.quiet()
    assert saga.world.booking.payment_status is PaymentStatus.PARTIALLY_REFUNDED
    await paid_at_the_new_end(saga, 6400)


async def test_ops_give_everything_back_and_nothing_is_paid_out(sagas: Sagas) -> None:
    saga = await contested(sagas)
    await saga.resolve(Step.OBJECTION, Action.REFUND)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    booking = saga.world.booking
    assert (booking.payment_status, booking.payout_status) == (PaymentStatus.REFUNDED, PayoutStatus.CANCELLED)
    assert (saga.world.transferred, saga.world.books.held) == ([], 0)
    assert await saga.attribute(NEEDS_ATTENTION) is False


async def test_more_than_there_is_cannot_be_given_back(sagas: Sagas) -> None:
    saga = await contested(sagas)
    too_much = saga.resolve(Step.OBJECTION, Action.REFUND, amount=12_001)
    assert await refusal(too_much) == "validation_failed"
    assert await refusal(saga.resolve(Step.OBJECTION, Action.RETRY)) == "invalid_state"
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await paid_at_the_new_end(saga, 9600)


async def test_a_dispute_during_an_objection_comes_first(sagas: Sagas) -> None:
    saga = await contested(sagas)
    saga.world.outside.dispute_opens()
    await saga.told()
    assert await refusal(saga.resolve(Step.OBJECTION, Action.REFUND)) == "dispute_open"
    saga.world.outside.dispute_ends()
    await saga.told("evt_closed")
    assert saga.world.booking.payout_status is PayoutStatus.FROZEN
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await saga.quiet()
    await paid_at_the_new_end(saga, 9600)


async def test_a_dispute_that_is_lost_settles_the_objection_too(sagas: Sagas) -> None:
    saga = await contested(sagas)
    saga.world.outside.dispute_opens()
    await saga.told()
    saga.world.outside.dispute_ends(lost=12_000)
    await saga.money_moves("evt_lost")
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.booking.payout_status is PayoutStatus.CANCELLED
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert not saga.world.booking.attention


async def test_a_client_may_object_again_and_repeating_it_changes_nothing(sagas: Sagas) -> None:
    saga = await contested(sagas)
    await saga.objects()
    assert saga.world.steps("attention objection") == ["attention objection"]
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await saga.quiet()
    assert saga.world.booking.payout_status is PayoutStatus.HELD
    await saga.objects()
    await saga.world.reached("attention objection", times=2)
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await saga.quiet()
    await paid_at_the_new_end(saga, 9600)


@pytest.mark.fault("R1")
async def test_frozen_it_is_still_asked_about_by_the_next_run(sagas: Sagas) -> None:
    saga = await contested(sagas)
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await saga.world.reached("attention objection", times=2)
    await again.resolve(Step.OBJECTION, Action.REFUND, amount=2000)
    await again.quiet()
    await paid_at_the_new_end(again, 8000)


async def test_a_refund_that_fails_while_an_objection_is_decided_leaves_it_open(sagas: Sagas) -> None:
    saga = await contested(sagas)
    saga.world.fails("refund")
    await saga.resolve(Step.OBJECTION, Action.REFUND, amount=2000)
    await saga.world.reached("attention refund")
    await saga.resolve(Step.REFUND, Action.ABORT)
    await saga.world.reached("attention objection", times=2)
    assert saga.world.booking.payout_status is PayoutStatus.FROZEN
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await saga.quiet()
    await paid_at_the_new_end(saga, 9600)
