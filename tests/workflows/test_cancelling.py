"""Cancelling at every wait and during every step; who may, until when, and what it costs."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, Role, SessionStatus
from tests.workflows.saga import PlayedSaga, Sagas, refusal

ROLES = [Role.CLIENT, Role.PROVIDER, Role.OPS]
BEFORE_CONFIRMATION = ["open_payment", "read_payment", "close_payment", "confirm"]


async def until_step(saga: PlayedSaga, step: str) -> None:
    """Make the story reach `step` of its payment phase."""
    if step in ("reserve", "open_payment"):
        return
    await saga.opened()
    if step == "close_payment":
        await saga.passes(timedelta(minutes=30))
    else:
        saga.world.intent = "requires_capture"
        await saga.stripe_says()


async def undone(saga: PlayedSaga, role: Role) -> None:
    """The end of a cancelled booking that costs nothing."""
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, f"cancelled_by_{role}")
    booking = saga.world.booking
    assert booking.session_status is not SessionStatus.COMPLETED
    assert booking.payment_status in (PaymentStatus.VOIDED, PaymentStatus.REFUNDED)
    assert saga.world.captured == saga.world.refunded
    assert saga.world.transferred == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("step", ["reserve", "open_payment", "read_payment"])
async def test_cancelling_during_a_step_before_the_confirmation_undoes_everything(
    sagas: Sagas, step: str, role: Role
) -> None:
    world = await sagas.world()
    gate = world.stops_in(step)
    saga = await sagas.begin(world)
    await until_step(saga, step)
    await gate.entered.wait()
    cancelling = await saga.asks_to_cancel(role)
    gate.opened.set()
    assert (await cancelling.result()).status is BookingStatus.CANCELLED
    await undone(saga, role)
    assert world.steps("confirm", "settle") == []


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_while_the_window_closes_comes_second(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("close_payment")
    await until_step(saga, "close_payment")
    await gate.entered.wait()
    cancelling = await saga.asks_to_cancel(role)
    gate.opened.set()
    assert (await cancelling.result()).status is BookingStatus.CANCELLED
    assert (await saga.ends()).reason == "payment_timeout"
    assert saga.world.steps("give_back", "release") == ["give_back", "release"]


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_while_the_window_closes_on_a_payment_undoes_it(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("close_payment")
    await until_step(saga, "close_payment")
    await gate.entered.wait()
    saga.world.intent = "requires_capture"
    cancelling = await saga.asks_to_cancel(role)
    gate.opened.set()
    assert (await cancelling.result()).status is BookingStatus.CANCELLED
    await undone(saga, role)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("step", BEFORE_CONFIRMATION)
async def test_cancelling_while_a_step_is_parked_undoes_everything(
    sagas: Sagas, step: str, role: Role
) -> None:
    world = await sagas.world()
    world.fails(step)
    saga = await sagas.begin(world)
    await until_step(saga, step)
    await world.reached(f"attention {step}")
    assert (await saga.cancel(role, unconfirmed=True)).status is BookingStatus.CANCELLED
    await undone(saga, role)


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_while_the_reservation_is_parked_is_kept_until_it_gets_through(
    sagas: Sagas, role: Role
) -> None:
    world = await sagas.world()
    world.fails("reserve")
    saga = await sagas.begin(world)
    await world.reached("attention reserve")
    assert (await saga.cancel(role)).status is None
    await undone(saga, role)
    assert world.steps("open_payment", "give_back", "release") == ["give_back", "release"]


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_what_was_shown_as_unconfirmed_is_free_of_charge(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start(starts_in=timedelta(hours=2))
    gate = saga.world.stops_in("confirm")
    await saga.paid()
    await gate.entered.wait()
    cancelling = await saga.asks_to_cancel(role, unconfirmed=True)
    gate.opened.set()
    assert (await cancelling.result()).status is BookingStatus.CANCELLED
    await undone(saga, role)
    assert saga.world.steps("settle", "give_back", "release") == ["give_back", "release"]


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_what_was_shown_as_confirmed_costs_what_the_policy_says(
    sagas: Sagas, role: Role
) -> None:
    saga = await sagas.start(starts_in=timedelta(hours=2))
    gate = saga.world.stops_in("confirm")
    await saga.paid()
    await gate.entered.wait()
    cancelling = await saga.asks_to_cancel(role)
    gate.opened.set()
    forfeits = role is Role.CLIENT
    status = BookingStatus.FORFEIT if forfeits else BookingStatus.CANCELLED
    assert (await cancelling.result()).status is status
    await saga.ends()
    assert saga.world.steps("settle", "give_back", "release") == ["settle"]
    assert (saga.world.captured, saga.world.transferred) == ((6000, [4800]) if forfeits else (0, []))


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_while_the_payment_is_awaited_undoes_everything(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    await saga.opened()
    assert (await saga.cancel(role)).status is BookingStatus.CANCELLED
    await undone(saga, role)


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_in_the_extension_of_the_window_undoes_everything(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    await saga.opened()
    saga.world.intent = "requires_action"
    await saga.passes(timedelta(minutes=31))
    await saga.world.reached("close_payment")
    assert (await saga.cancel(role)).status is BookingStatus.CANCELLED
    await undone(saga, role)


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_a_confirmed_booking_in_time_gives_all_back(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    assert (await saga.cancel(role)).status is BookingStatus.CANCELLED
    await undone(saga, role)
    assert saga.world.booking.payment_status is PaymentStatus.VOIDED


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_a_charged_booking_in_time_refunds_all(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start(capture="on_payment")
    await saga.paid("succeeded")
    await saga.confirm()
    assert (await saga.cancel(role)).status is BookingStatus.CANCELLED
    await undone(saga, role)
    assert saga.world.booking.payment_status is PaymentStatus.REFUNDED


async def test_a_client_who_cancels_late_forfeits_half_and_the_provider_is_paid_after_the_hold(
    sagas: Sagas,
) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at - timedelta(hours=5))
    assert (await saga.cancel()).status is BookingStatus.FORFEIT
    assert (saga.world.captured, saga.world.booking.payout_status) == (6000, PayoutStatus.HELD)
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.FORFEIT, "cancelled_by_client")
    assert saga.world.transferred == [4800]
    held = saga.world.call("pay_out").at - saga.world.call("settle").at
    assert timedelta(hours=72) <= held < timedelta(hours=72, seconds=5)


@pytest.mark.parametrize("role", [Role.PROVIDER, Role.OPS])
async def test_whoever_else_cancels_late_costs_the_client_nothing(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at + timedelta(minutes=5))
    assert (await saga.cancel(role)).status is BookingStatus.CANCELLED
    await undone(saga, role)


async def test_once_the_session_has_started_its_client_is_too_late(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at)
    assert await refusal(saga.cancel()) == "too_late"
    assert (await saga.complete()).status is BookingStatus.COMPLETED
    await saga.ends()


@pytest.mark.parametrize("role", ROLES)
async def test_cancelling_twice_is_one_cancellation_by_whoever_came_first(sagas: Sagas, role: Role) -> None:
    saga = await sagas.start()
    await saga.opened()
    gate = saga.world.stops_in("give_back")
    first = await saga.asks_to_cancel(role)
    second = await saga.asks_to_cancel(Role.OPS)
    gate.opened.set()
    assert [(await one.result()).status for one in (first, second)] == [BookingStatus.CANCELLED] * 2
    await undone(saga, role)
    assert saga.world.steps("give_back") == ["give_back"]


async def test_cancelling_what_is_being_let_go_anyway_keeps_its_reason(sagas: Sagas) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("release")
    await saga.opened()
    await saga.passes(timedelta(minutes=30))
    await gate.entered.wait()
    cancelling = await saga.asks_to_cancel()
    gate.opened.set()
    assert (await cancelling.result()).status is BookingStatus.CANCELLED
    assert (await saga.ends()).reason == "payment_timeout"


# --- wishes that were left while no worker could answer -----------------------------------------


async def test_a_cancellation_that_was_left_behind_is_carried_out(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.leaves_a_wish(ReportedOutcome.CANCELLED)
    await undone(saga, Role.CLIENT)


async def test_a_completion_that_was_left_behind_is_carried_out(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at)
    await saga.leaves_a_wish(ReportedOutcome.COMPLETED, Role.PROVIDER)
    await saga.world.reached("settle")
    assert (await saga.ends()).reason is None
    assert saga.world.transferred == [9600]


async def test_a_wish_that_the_booking_does_not_allow_is_forgotten(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.leaves_a_wish(ReportedOutcome.COMPLETED)
    await saga.passes_until(saga.world.starts_at)
    await saga.leaves_a_wish(ReportedOutcome.CANCELLED)
    assert (await saga.ends()).reason == "auto_completed"
    assert saga.world.transferred == [9600]


# --- what is refused before it reaches the history ----------------------------------------------

Arrive = Callable[[PlayedSaga], Awaitable[None]]


async def during_settlement(saga: PlayedSaga) -> None:
    gate = saga.world.stops_in("settle")
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at)
    await saga.asks_to_complete()
    await gate.entered.wait()


async def in_the_hold(saga: PlayedSaga) -> None:
    await saga.held()


async def during_the_payout(saga: PlayedSaga) -> None:
    gate = saga.world.stops_in("pay_out")
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await gate.entered.wait()


async def with_the_payout_parked(saga: PlayedSaga) -> None:
    saga.world.fails("pay_out")
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)
    await saga.world.reached("attention pay_out")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "arrive", [during_settlement, in_the_hold, during_the_payout, with_the_payout_parked]
)
async def test_what_was_completed_can_no_longer_be_cancelled(
    sagas: Sagas, arrive: Arrive, role: Role
) -> None:
    saga = await sagas.start()
    await arrive(saga)
    assert await refusal(saga.cancel(role)) == "invalid_state"
    saga.world.opens_every_gate()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.transferred == [9600]


async def test_nothing_completes_before_its_session_starts(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at - timedelta(minutes=1))
    for role in ROLES:
        assert await refusal(saga.complete(role)) == "invalid_state"
    await saga.passes(timedelta(minutes=1))
    assert (await saga.complete()).status is BookingStatus.COMPLETED
    await saga.ends()


@pytest.mark.parametrize("role", ROLES)
async def test_nothing_completes_that_is_not_confirmed(sagas: Sagas, role: Role) -> None:
    world = await sagas.world(starts_in=timedelta(0))
    gate = world.stops_in("reserve")
    saga = await sagas.begin(world)
    early = await saga.asks_to_complete(role)
    gate.opened.set()
    assert await refusal(early.result()) == "invalid_state"
    await saga.opened()
    assert await refusal(saga.complete(role)) == "invalid_state"
    await saga.cancel(role)
    await undone(saga, role)


async def test_a_completion_waits_for_the_confirmation_that_is_on_its_way(sagas: Sagas) -> None:
    saga = await sagas.start(starts_in=timedelta(0))
    gate = saga.world.stops_in("confirm")
    await saga.paid()
    await gate.entered.wait()
    completing = await saga.asks_to_complete()
    gate.opened.set()
    assert (await completing.result()).status is BookingStatus.COMPLETED
    await saga.ends()
    assert saga.world.transferred == [9600]


async def test_what_is_being_cancelled_cannot_be_completed(sagas: Sagas) -> None:
    saga = await sagas.start()
    gate = saga.world.stops_in("settle")
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at)
    cancelling = await saga.asks_to_cancel(Role.PROVIDER)
    await gate.entered.wait()
    assert await refusal(saga.complete()) == "invalid_state"
    gate.opened.set()
    assert (await cancelling.result()).status is BookingStatus.CANCELLED
    await undone(saga, Role.PROVIDER)


async def test_completing_twice_answers_alike_and_captures_once(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.held()
    assert (await saga.complete(Role.PROVIDER)).status is BookingStatus.COMPLETED
    await saga.ends()
    assert saga.world.steps("settle") == ["settle"]


async def test_a_refused_update_leaves_nothing_in_the_history(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    assert await refusal(saga.complete()) == "invalid_state"
    await saga.cancel(Role.OPS)
    await saga.ends()
    history = await saga.handle.fetch_history()
    updates = [
        event
        for event in history.events
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    names = [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        for event in updates
    ]
    assert "complete" not in names
    assert names[-1] == "cancel"
