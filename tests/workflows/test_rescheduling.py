"""Another time for the same booking: taken before the old one is let go, or nothing changes."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, Role
from tests.workflows.leads import failing
from tests.workflows.saga import Sagas, refusal
from tests.workflows.talk import actor, by
from workflows.orders import Reschedule
from workflows.parking import Action, Step
from workflows.search_attributes import SESSION_STARTS_AT

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def test_moved_all_its_deadlines_follow(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    later = saga.world.starts_at + DAY
    assert (await saga.moves_to(later)).status is BookingStatus.CONFIRMED
    assert await saga.attribute(SESSION_STARTS_AT) == later
    await saga.passes_until(saga.world.starts_at + HOUR)
    assert await refusal(saga.complete()) == "invalid_state"
    assert (await saga.ends()).reason == "auto_completed"
    assert timedelta(0) <= saga.world.call("settle").at - (later + 25 * HOUR) < SECOND
    assert saga.world.transferred == [9600]


async def test_a_slot_that_is_taken_keeps_the_old_one(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    later = saga.world.starts_at + DAY
    saga.world.taken.add(later)
    before = saga.world.booking
    assert await refusal(saga.moves_to(later)) == "slot_taken"
    assert saga.world.booking == before
    await saga.passes_until(saga.world.starts_at)
    assert (await saga.complete()).status is BookingStatus.COMPLETED
    await saga.ends()


async def test_a_client_moves_until_the_cut_off_and_everybody_else_until_the_start(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.passes_until(saga.world.starts_at - DAY)
    later = saga.world.starts_at + DAY
    assert await refusal(saga.moves_to(later)) == "too_late"
    await saga.moves_to(later, Role.PROVIDER)
    await saga.passes_until(later)
    assert await refusal(saga.moves_to(later + DAY, Role.OPS)) == "too_late"
    await saga.complete()
    assert await refusal(saga.moves_to(later + DAY, Role.OPS)) == "invalid_state"
    await saga.ends()


async def test_what_is_not_confirmed_cannot_be_moved(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.opened()
    assert await refusal(saga.moves_to(saga.world.starts_at + DAY)) == "invalid_state"
    await saga.cancel()
    await saga.ends()


@pytest.mark.parametrize("asked", [False, True], ids=["at once", "accepted"])
async def test_a_client_who_has_read_of_the_confirmation_before_its_workflow_moves_it(
    sagas: Sagas, *, asked: bool
) -> None:
    saga = await sagas.start(approval="provider" if asked else "auto")
    later = saga.world.starts_at + DAY
    gate = saga.world.stops_in("confirm")
    if asked:
        await saga.before_its_provider()
        await saga.asks("approve", by(Role.PROVIDER))
    else:
        await saga.paid()
    await gate.entered.wait()
    move = await saga.asks("reschedule", Reschedule(actor=actor(Role.CLIENT), starts_at=later))
    gate.opened.set()
    assert (await move.result()).status is BookingStatus.CONFIRMED
    assert saga.world.booking.starts_at == later
    await saga.cancel()
    await saga.ends()


async def test_moved_beyond_its_authorization_the_card_is_kept_and_charged_on_the_new_day(
    sagas: Sagas,
) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    later = saga.world.starts_at + 30 * DAY
    await saga.moves_to(later)
    await saga.world.reached("replan_payment")
    await saga.quiet()
    booking = saga.world.booking
    assert (booking.payment_status, booking.authorize_at) == (PaymentStatus.SAVED, later - 48 * HOUR)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    order = ["reschedule", "replan_payment", "authorize", "settle"]
    assert saga.world.steps(*order) == order
    assert saga.world.transferred == [9600]


async def test_a_refused_card_is_tried_again_on_the_new_day(sagas: Sagas) -> None:
    saga = await sagas.start(starts_in=20 * DAY)
    await saga.confirmed("setup")
    saga.world.card_refused = True
    await saga.passes_until(saga.world.starts_at - 48 * HOUR)
    await saga.world.reached("authorize")
    saga.world.card_refused = False
    await saga.moves_to(saga.world.starts_at + 10 * DAY)
    assert saga.world.booking.fix_by is None
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.steps("authorize", "close_payment") == ["authorize", "authorize"]


async def test_ordered_while_another_step_is_parked_it_is_moved_afterwards(sagas: Sagas) -> None:
    world = await sagas.world()
    saga = await sagas.begin(world)
    await saga.confirmed()
    await saga.quiet()
    world.fails("read_payment")
    await saga.stripe_says("evt_2")
    await world.reached("attention read_payment")
    later = world.starts_at + DAY
    assert (await saga.moves_to(later)).status is BookingStatus.CONFIRMED
    assert world.booking.starts_at == world.starts_at
    await saga.resolve(Step.READ_PAYMENT, Action.RETRY)
    await world.reached("reschedule")
    await saga.quiet()
    assert world.booking.starts_at == later
    await saga.cancel()
    await saga.ends()


@pytest.mark.fault("S5")
async def test_a_move_that_fails_is_tried_until_it_gets_through(sagas: Sagas) -> None:
    saga = await failing(sagas, Step.RESCHEDULE)
    await saga.retry()
    await saga.world.reached("replan_payment")
    await saga.cancel()
    assert (await saga.ends()).status is BookingStatus.CANCELLED
