"""Waiting for the client's money, and everything that Stripe may say about it."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, SessionStatus
from tests.workflows.saga import PlayedSaga, Sagas
from workflows.contracts import BookingState

WINDOW = timedelta(minutes=30)


async def released(saga: PlayedSaga, reason: str) -> BookingState:
    """The end of a booking that never came about."""
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, reason)
    booking = saga.world.booking
    assert booking.session_status is SessionStatus.CANCELLED
    assert saga.world.captured == saga.world.refunded
    assert saga.world.transferred == []
    return booking


async def test_an_unpaid_seat_is_let_go_when_the_window_ends_and_not_before(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    expires_at = saga.world.booking.expires_at
    await saga.passes_until(expires_at - timedelta(seconds=30))
    assert "close_payment" not in saga.world.steps()
    booking = await released(saga, "payment_timeout")
    assert booking.payment_status is PaymentStatus.VOIDED
    assert timedelta() <= saga.world.call("close_payment").at - expires_at < timedelta(seconds=5)


async def test_the_policy_sets_the_window(sagas: Sagas) -> None:
    saga = await sagas.start(payment_window=timedelta(minutes=3))
    await saga.opened()
    await saga.passes(timedelta(minutes=2))
    assert "close_payment" not in saga.world.steps()
    await released(saga, "payment_timeout")


@pytest.mark.fault("W2")
async def test_a_payment_that_lands_while_the_window_closes_wins(sagas: Sagas) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("close_payment")
    await saga.opened()
    await saga.passes(WINDOW)
    await saga.world.reached("close_payment")
    saga.world.intent = "requires_capture"
    await saga.stripe_says()
    gate.opened.set()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.cancel()
    await saga.ends()


@pytest.mark.fault("W1")
async def test_a_payment_that_nobody_told_us_about_is_found_when_the_window_ends(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    saga.world.intent = "requires_capture"
    await saga.passes(WINDOW)
    await saga.world.reached("confirm")
    assert "read_payment" not in saga.world.steps()
    await saga.cancel()
    await saga.ends()


@pytest.mark.fault("W2")
@pytest.mark.parametrize("status", ["requires_action", "processing"])
async def test_a_payment_on_its_way_gets_one_extension_and_wins_in_it(sagas: Sagas, status: str) -> None:
    saga = await sagas.start()
    await saga.opened()
    saga.world.intent = status
    await saga.passes(WINDOW)
    await saga.world.reached("close_payment")
    await saga.passes(timedelta(minutes=9))
    assert saga.world.steps().count("close_payment") == 1
    saga.world.intent = "requires_capture"
    await saga.stripe_says()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.cancel()
    await saga.ends()


@pytest.mark.parametrize("status", ["requires_action", "processing"])
async def test_there_is_one_extension_and_no_second(sagas: Sagas, status: str) -> None:
    saga = await sagas.start()
    await saga.opened()
    saga.world.intent = status
    await released(saga, "payment_timeout")
    assert saga.world.steps("close_payment") == ["close_payment"] * 2


async def test_a_declined_card_keeps_the_seat_and_the_next_card_pays(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    saga.world.card_refused = True
    assert (await saga.confirm()).status is BookingStatus.PENDING
    saga.world.card_refused = False
    saga.world.intent = "requires_capture"
    await saga.stripe_says("evt_2")
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.cancel()
    await saga.ends()


async def test_a_strict_policy_takes_the_first_refusal_for_an_answer(sagas: Sagas) -> None:
    saga = await sagas.start(strict_payment_failure=True)
    await saga.opened()
    saga.world.card_refused = True
    assert (await saga.confirm()).status is BookingStatus.CANCELLED
    await released(saga, "payment_failed")
    assert saga.world.steps("give_back", "release") == ["give_back", "release"]


@pytest.mark.fault("S5")
async def test_an_intent_that_was_cancelled_elsewhere_ends_the_booking(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.paid("canceled")
    assert (await saga.confirm()).status is BookingStatus.CANCELLED
    await released(saga, "payment_failed")


@pytest.mark.fault("S5")
async def test_an_authorization_that_is_gone_before_the_session_ends_the_booking(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    saga.world.intent = "canceled"
    await saga.stripe_says("evt_canceled")
    await released(saga, "authorization_expired")
    assert saga.world.steps("settle", "give_back", "release") == ["give_back", "release"]


async def test_a_payment_that_cannot_be_opened_frees_its_seat_with_the_window(sagas: Sagas) -> None:
    world = await sagas.world()
    world.fails("open_payment", times=100)
    saga = await sagas.begin(world)
    booking = await released(saga, "payment_unavailable")
    let_go = world.call("release").at
    assert timedelta() <= let_go - booking.expires_at < timedelta(seconds=5)
    assert 2 <= world.steps().count("open_payment") <= 6


async def test_asking_for_a_confirmation_asks_stripe_without_any_webhook(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    saga.world.intent = "requires_capture"
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    assert saga.world.steps("read_payment") == ["read_payment"]
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    assert saga.world.steps("confirm") == ["confirm"]
    await saga.cancel()
    await saga.ends()


async def test_asking_while_the_client_has_not_paid_answers_that_it_is_pending(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    assert (await saga.confirm()).status is BookingStatus.PENDING
    assert (await saga.confirm()).status is BookingStatus.PENDING
    assert saga.world.steps("read_payment") == ["read_payment"] * 2
    await released(saga, "payment_timeout")


# --- signals: duplicate, reordered, early -----------------------------------------------------


@pytest.mark.fault("W1")
async def test_a_signal_sent_before_the_first_step_is_not_lost(sagas: Sagas) -> None:
    world = await sagas.world()
    gate = world.stops_in("reserve")
    saga = await sagas.begin(world)
    await saga.stripe_says()
    gate.opened.set()
    await world.reached("read_payment")
    world.intent = "requires_capture"
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.cancel()
    await saga.ends()


async def test_a_payment_that_was_made_while_it_was_being_opened_is_read_at_once(sagas: Sagas) -> None:
    world = await sagas.world()
    gate = world.stops_in("open_payment")
    saga = await sagas.begin(world)
    await gate.entered.wait()
    await saga.stripe_says()
    world.intent = "requires_capture"
    gate.opened.set()
    await world.reached("confirm")
    await saga.cancel()
    await saga.ends()


async def test_news_that_come_while_the_payment_is_read_are_read_too(sagas: Sagas) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("read_payment")
    await saga.opened()
    await saga.stripe_says("evt_requires_action")
    await gate.entered.wait()
    await saga.stripe_says("evt_capturable")
    gate.opened.set()
    await saga.world.reached("read_payment", times=2)
    await released(saga, "payment_timeout")


@pytest.mark.fault("W1")
async def test_fifty_copies_of_one_event_confirm_once(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    saga.world.intent = "requires_capture"
    for _ in range(50):
        await saga.stripe_says("evt_same")
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    assert saga.world.steps("confirm") == ["confirm"]
    assert len(saga.world.steps("read_payment")) < 50
    await saga.cancel()
    await saga.ends()


@pytest.mark.fault("W1")
async def test_events_from_the_past_change_nothing_after_the_confirmation(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    before = saga.world.booking
    for event in ("evt_payment_failed", "evt_requires_action", "evt_capturable"):
        await saga.stripe_says(event)
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    assert saga.world.booking == before
    assert saga.world.steps("confirm") == ["confirm"]
    await saga.cancel()
    await saga.ends()


@pytest.mark.fault("W1")
async def test_events_after_the_capture_change_nothing(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.held()
    before = saga.world.steps()
    await saga.stripe_says("evt_succeeded")
    await saga.stripe_says("evt_capturable")
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.steps() == [*before, "pay_out"]
