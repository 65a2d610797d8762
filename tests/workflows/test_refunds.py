"""Captured money on its way back: ordered by people, at every time of a booking's life."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, PayoutStatus, Role
from tests.workflows.leads import failing, to_refund_after_transfer
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from tests.workflows.talk import OPS
from workflows.orders import RefundOrder
from workflows.parking import Action, Step
from workflows.search_attributes import NEEDS_ATTENTION


async def held(sagas: Sagas) -> PlayedSaga:
    saga = await sagas.start()
    await saga.held()
    return saga


async def test_a_refund_in_the_hold_shrinks_the_payout(sagas: Sagas) -> None:
    saga = await held(sagas)
    due = saga.world.payout_due_at
    assert (await saga.refund(3000)).status is BookingStatus.COMPLETED
    booking = saga.world.booking
    assert (booking.payment_status, booking.payout_amount) == (PaymentStatus.PARTIALLY_REFUNDED, 7200)
    await saga.ends()
    assert (saga.world.transferred, saga.world.books.held) == ([7200], 0)
    assert timedelta(0) <= saga.world.call("pay_out").at - due < timedelta(seconds=1)


async def test_two_equal_refunds_are_two_and_one_that_is_repeated_is_one(sagas: Sagas) -> None:
    saga = await held(sagas)
    await saga.refund(1000, request_id="a")
    await saga.refund(1000, request_id="a")
    await saga.refund(1000, request_id="b")
    assert saga.world.refunded == 2000
    await saga.ends()
    assert saga.world.transferred == [8000]


async def test_refunded_in_whole_nothing_is_paid_out_and_the_booking_is_over(sagas: Sagas) -> None:
    saga = await held(sagas)
    await saga.refund(role=Role.OPS)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    booking = saga.world.booking
    assert (booking.payment_status, booking.payout_status) == (PaymentStatus.REFUNDED, PayoutStatus.CANCELLED)
    assert (saga.world.transferred, saga.world.books.held) == ([], 0)
    assert saga.world.steps()[-1] == "refund"


async def test_no_more_is_given_back_than_is_left(sagas: Sagas) -> None:
    saga = await held(sagas)
    await saga.refund(10_000)
    assert await refusal(saga.refund(2001, request_id="b")) == "validation_failed"
    await saga.refund(2000, request_id="c")
    await saga.ends()
    assert saga.world.refunded == 12_000


async def test_nothing_is_given_back_that_was_not_taken(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    assert await refusal(saga.refund()) == "invalid_state"
    await saga.cancel()
    await saga.ends()


async def test_while_a_dispute_is_open_nobody_refunds(sagas: Sagas) -> None:
    saga = await held(sagas)
    saga.world.outside.dispute_opens()
    await saga.told()
    assert await refusal(saga.refund(1000)) == "dispute_open"
    saga.world.outside.dispute_ends()
    await saga.told("evt_closed")
    await saga.refund(1000)
    await saga.ends()
    assert saga.world.transferred == [8800]


async def test_a_dispute_that_only_stripe_knows_of_refuses_the_refund_too(sagas: Sagas) -> None:
    saga = await held(sagas)
    gate = saga.world.stops_in("refund")
    asked = await saga.asks("refund", RefundOrder(actor=OPS, request_id="r"))
    await gate.entered.wait()
    saga.world.outside.dispute_opens()
    saga.world.catch_up()
    gate.opened.set()
    assert await refusal(asked.result()) == "dispute_open"
    saga.world.outside.dispute_ends()
    await saga.told()
    await saga.ends()
    assert saga.world.transferred == [9600]


@pytest.mark.fault("S5")
async def test_a_refund_that_fails_is_tried_again(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.REFUND)
    await saga.resolve(Step.REFUND, Action.RETRY)
    await saga.ends()
    assert (saga.world.refunded, saga.world.transferred) == (1000, [8800])


async def test_a_refund_that_ops_give_up_leaves_the_money_where_it_is(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.REFUND)
    await saga.resolve(Step.REFUND, Action.ABORT)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert (saga.world.refunded, saga.world.transferred) == (0, [9600])
    assert await saga.attribute(NEEDS_ATTENTION) is False


async def test_whoever_orders_while_something_is_parked_is_answered_and_the_order_is_kept(
    sagas: Sagas,
) -> None:
    saga = await failing(sagas, Step.MIRROR)
    assert (await saga.refund(1000)).status is BookingStatus.COMPLETED
    assert saga.world.refunded == 0
    await saga.resolve(Step.MIRROR, Action.RETRY)
    await saga.ends()
    assert (saga.world.refunded, saga.world.transferred) == (1000, [8800])


async def test_ordered_while_the_transfer_runs_the_rest_is_taken_back_from_it(sagas: Sagas) -> None:
    saga = await sagas.start()
    await to_refund_after_transfer(saga)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    books = saga.world.books
    assert (books.transferred, books.reversed, books.held, books.due) == (9600, 800, 0, 0)
    assert saga.world.booking.payout_status is PayoutStatus.PARTIALLY_REVERSED
    assert saga.world.steps("pay_out", "refund", "rebalance") == ["pay_out", "refund", "rebalance"]


async def test_money_that_was_taken_at_once_can_be_refunded_before_the_session(sagas: Sagas) -> None:
    saga = await sagas.start(capture="on_payment")
    await saga.confirmed("succeeded")
    assert (await saga.refund(2000)).status is BookingStatus.CONFIRMED
    assert saga.world.booking.payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert (saga.world.refunded, saga.world.transferred) == (2000, [8000])


async def test_a_refund_in_the_dashboard_is_found_by_its_event(sagas: Sagas) -> None:
    saga = await held(sagas)
    saga.world.outside.refunded = 3000
    await saga.told("evt_charge_refunded")
    assert saga.world.booking.payout_amount == 7200
    saga.world.outside.refunded = 0
    await saga.told("evt_refund_failed")
    assert saga.world.booking.payment_status is PaymentStatus.CAPTURED
    await saga.ends()
    assert saga.world.transferred == [9600]
