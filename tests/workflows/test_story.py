"""The booking's story when nobody changes their mind."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, Role, SessionStatus
from tests.workflows.saga import Sagas
from workflows.contracts import Refusal, Settle
from workflows.search_attributes import BOOKING_STATUS, PAYMENT_STATUS, PAYOUT_STATUS

STORY = ["reserve", "open_payment", "read_payment", "confirm", "settle", "pay_out"]


async def test_a_booking_is_paid_held_and_paid_out(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.paid()
    await saga.world.reached("confirm")
    await saga.passes_until(saga.world.starts_at)
    assert (await saga.complete()).status is BookingStatus.COMPLETED
    ended = await saga.ends()
    assert (ended.status, ended.reason, ended.refusal) == (BookingStatus.COMPLETED, None, None)
    booking = saga.world.booking
    assert (booking.payment_status, booking.payout_status) == (PaymentStatus.CAPTURED, PayoutStatus.PAID)
    assert (saga.world.captured, saga.world.refunded, saga.world.transferred) == (12_000, 0, [9600])
    assert saga.world.steps() == STORY


async def test_money_taken_at_once_is_held_the_same_way(sagas: Sagas) -> None:
    saga = await sagas.start(capture="on_payment")
    await saga.paid("succeeded")
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.passes_until(saga.world.starts_at)
    await saga.complete()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert (saga.world.captured, saga.world.refunded, saga.world.transferred) == (12_000, 0, [9600])


async def test_the_payout_waits_72_hours_from_the_outcome_and_not_a_moment_less(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.held()
    outcome = saga.world.call("settle").at
    await saga.passes_until(outcome + timedelta(hours=72) - timedelta(seconds=30))
    assert "pay_out" not in saga.world.steps()
    assert "end of the payout hold" in await saga.details()
    await saga.ends()
    waited = saga.world.call("pay_out").at - outcome
    assert timedelta(hours=72) <= waited < timedelta(hours=72, seconds=5)


@pytest.mark.parametrize("role", [Role.CLIENT, Role.PROVIDER, Role.OPS])
async def test_everybody_may_complete_and_is_named(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at)
    assert (await saga.complete(role)).status is BookingStatus.COMPLETED
    settled = saga.world.call("settle").message
    assert isinstance(settled, Settle)
    assert (settled.outcome.kind, settled.outcome.actor.role) == (ReportedOutcome.COMPLETED, role)
    await saga.ends()


async def test_silence_until_the_end_and_its_grace_means_completed(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    due = saga.world.booking.completion_due_at
    assert due == saga.world.starts_at + timedelta(hours=25)
    await saga.passes_until(due - timedelta(seconds=30))
    assert "settle" not in saga.world.steps()
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.COMPLETED, "auto_completed")
    assert timedelta() <= saga.world.call("settle").at - due < timedelta(seconds=5)
    assert saga.world.transferred == [9600]


async def test_without_a_seat_the_run_ends_refused_and_its_caller_knows_why(sagas: Sagas) -> None:
    saga = await sagas.start(refusal=Refusal.SLOT_TAKEN)
    ended = await saga.ends()
    assert (ended.status, ended.refusal) == (None, Refusal.SLOT_TAKEN)
    assert saga.world.steps() == ["reserve"]


async def test_who_waits_for_the_checkout_hears_of_a_refusal(sagas: Sagas) -> None:
    world = await sagas.world(refusal=Refusal.CAPACITY_FULL)
    gate = world.stops_in("reserve")
    saga = await sagas.begin(world)
    waiting = await saga.asks("opened")
    gate.opened.set()
    opened = await waiting.result()
    assert (opened.refusal, opened.status) == (Refusal.CAPACITY_FULL, None)
    await saga.ends()


async def test_the_checkout_is_answered_once_it_can_be_paid(sagas: Sagas) -> None:
    world = await sagas.world()
    gate = world.stops_in("open_payment")
    saga = await sagas.begin(world)
    waiting = await saga.asks("opened")
    assert world.intent is None
    gate.opened.set()
    opened = await waiting.result()
    assert (opened.refusal, opened.status) == (None, BookingStatus.PENDING)
    assert world.intent == "requires_payment_method"
    await saga.cancel()
    await saga.ends()


async def test_the_console_says_what_is_waited_for_until_when_and_what_ops_can_do(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    details = await saga.details()
    assert "waiting for the client's payment" in details
    assert f"{saga.world.booking.expires_at:%Y-%m-%d %H:%M:%S}" in details
    assert "Ops can: cancel the booking" in details
    await saga.confirmed()
    await saga.quiet()
    assert "waiting for the session's outcome" in await saga.details()
    await saga.cancel()
    await saga.ends()
    assert "**CANCELLED** (cancelled_by_client)" in await saga.details()


async def test_the_search_attributes_follow_the_booking(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    assert await saga.attribute(BOOKING_STATUS) == "PENDING"
    await saga.confirmed()
    shown = [await saga.attribute(key) for key in (BOOKING_STATUS, PAYMENT_STATUS, PAYOUT_STATUS)]
    assert shown == ["CONFIRMED", "AUTHORIZED", None]
    await saga.passes_until(saga.world.starts_at)
    await saga.complete()
    shown = [await saga.attribute(key) for key in (BOOKING_STATUS, PAYMENT_STATUS, PAYOUT_STATUS)]
    assert shown == ["COMPLETED", "CAPTURED", "HELD"]
    await saga.ends()
    assert await saga.attribute(PAYOUT_STATUS) == "PAID"


async def test_a_finished_session_is_neither_live_nor_forgotten(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    assert saga.world.booking.session_status is SessionStatus.SCHEDULED
    await saga.cancel(Role.PROVIDER)
    assert (await saga.ends()).reason == "cancelled_by_provider"
    assert saga.world.transferred == []
