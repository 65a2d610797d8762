"""A class that is called off, or held: every booking in it is told, until nobody has a seat any more."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow

from models.keys import class_workflow_id_for
from models.states import BookingStatus, ReportedOutcome, Role
from tests.workflows.saga import PlayedSaga, Sagas
from tests.workflows.talk import Talk, actor
from tests.workflows.world import ClassWorld
from workflows.classes import ClassWorkflow
from workflows.contracts import BOOKINGS_QUEUE
from workflows.followups import ClassBookings, ClassOrder


async def seats(sagas: Sagas, number: int) -> list[PlayedSaga]:
    """Confirmed bookings in one class."""
    session_id = uuid4()
    bookings = [await sagas.start() for _ in range(number)]
    for saga in bookings:
        await saga.opened()
        saga.world.update(session_id=session_id)
        await saga.confirmed()
    return bookings


def a_class(bookings: list[PlayedSaga], strangers: int = 0) -> ClassWorld:
    """`strangers` are bookings whose workflow is gone."""
    worlds = [saga.world for saga in bookings]
    return ClassWorld(worlds=worlds, strangers=tuple(uuid4() for _ in range(strangers)))


async def closed(sagas: Sagas, played: ClassWorld, kind: ReportedOutcome) -> Talk:
    """The provider closes the class."""
    session_id = played.worlds[0].booking.session_id if played.worlds else uuid4()
    sagas.steps.worlds[session_id] = played
    handle = await sagas.env.client.start_workflow(
        ClassWorkflow.run,
        ClassOrder(session_id=session_id, kind=kind, actor=actor(Role.PROVIDER)),
        id=class_workflow_id_for(session_id),
        task_queue=BOOKINGS_QUEUE,
    )
    return Talk(sagas.env, handle)


async def test_a_class_that_is_called_off_gives_everybody_their_money_back(sagas: Sagas) -> None:
    bookings = await seats(sagas, 3)
    telling = await closed(sagas, a_class(bookings), ReportedOutcome.CANCELLED)
    told: ClassBookings = await telling.ends()
    assert set(told.booking_ids) == {saga.world.booking_id for saga in bookings}
    for saga in bookings:
        ended = await saga.ends()
        assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_provider")
        assert saga.world.captured == 0


async def test_a_class_that_was_held_completes_everybody(sagas: Sagas) -> None:
    bookings = await seats(sagas, 2)
    await bookings[0].passes_until(max(saga.world.starts_at for saga in bookings))
    telling = await closed(sagas, a_class(bookings), ReportedOutcome.COMPLETED)
    await telling.ends()
    for saga in bookings:
        assert (await saga.ends()).status is BookingStatus.COMPLETED
        assert saga.world.transferred == [9600]


async def test_who_cannot_be_told_yet_is_told_again_and_harms_nobody_else(sagas: Sagas) -> None:
    bookings = await seats(sagas, 1)
    gate = bookings[0].world.stops_in("settle")
    played = a_class(bookings, strangers=1)
    telling = await closed(sagas, played, ReportedOutcome.CANCELLED)
    await gate.entered.wait()
    gate.opened.set()
    await telling.passes(timedelta(minutes=30))
    assert played.steps().count("close_class") > 3
    assert "still hold a seat" in await telling.details()
    played.strangers = ()
    told: ClassBookings = await telling.ends()
    assert len(told.booking_ids) == 2
    assert (await bookings[0].ends()).reason == "cancelled_by_provider"
    assert bookings[0].world.steps("settle") == ["settle"]


async def test_a_class_without_bookings_is_simply_closed(sagas: Sagas) -> None:
    played = a_class([])
    telling = await closed(sagas, played, ReportedOutcome.CANCELLED)
    told: ClassBookings = await telling.ends()
    assert (told.booking_ids, played.steps()) == ((), ["close_class"])


@pytest.mark.fault("R2")
@pytest.mark.parametrize("when", ["closing", "waiting"])
async def test_a_cancellation_in_temporal_keeps_nobody_from_being_told(sagas: Sagas, when: str) -> None:
    bookings = await seats(sagas, 2)
    played = a_class(bookings)
    gate = played.stops_in("close_class") if when == "closing" else bookings[1].world.stops_in("settle")
    telling = await closed(sagas, played, ReportedOutcome.CANCELLED)
    await gate.entered.wait()
    await telling.handle.cancel()
    gate.opened.set()
    told: ClassBookings = await telling.ends()
    assert set(told.booking_ids) == {saga.world.booking_id for saga in bookings}
    for saga in bookings:
        assert (await saga.ends()).reason == "cancelled_by_provider"


async def test_a_long_telling_goes_on_in_another_run(sagas: Sagas, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_run(info: workflow.Info) -> bool:
        return info.workflow_type == "Class" and info.continued_run_id is None

    monkeypatch.setattr(workflow.Info, "is_continue_as_new_suggested", first_run)
    bookings = await seats(sagas, 2)
    played = a_class(bookings, strangers=1)
    telling = await closed(sagas, played, ReportedOutcome.CANCELLED)
    await telling.passes(timedelta(minutes=1))
    late, played.strangers = played.strangers, ()
    told: ClassBookings = await telling.ends()
    assert told.booking_ids == late
    assert (await telling.handle.describe()).run_id != telling.handle.first_execution_run_id
    assert len({call.message for call in played.calls}) == 1, "the order is the same"
    for saga in bookings:
        assert (await saga.ends()).reason == "cancelled_by_provider"


async def test_a_booking_that_has_moved_to_another_class_is_not_cancelled_with_the_old_one(
    sagas: Sagas,
) -> None:
    stays, moves = await seats(sagas, 2)
    played = a_class([stays])
    await moves.moves_to(moves.world.starts_at + timedelta(days=1))
    played.strangers = (moves.world.booking_id,)  # it was named before it moved
    telling = await closed(sagas, played, ReportedOutcome.CANCELLED)
    await telling.passes(timedelta(minutes=1))
    played.strangers = ()
    told: ClassBookings = await telling.ends()
    assert moves.world.booking_id in told.booking_ids
    assert (await stays.ends()).reason == "cancelled_by_provider"
    assert (await moves.ends()).reason == "auto_completed"
