"""A class that is called off, or held: every booking in it is told, until nobody has a seat any more."""

from datetime import timedelta
from uuid import uuid4

from models.keys import class_workflow_id_for
from models.states import BookingStatus, ReportedOutcome, Role
from tests.workflows.saga import PlayedSaga, Sagas
from tests.workflows.talk import Talk, actor
from tests.workflows.world import ClassWorld
from workflows.classes import ClassWorkflow
from workflows.contracts import BOOKINGS_QUEUE
from workflows.followups import ClassBookings, ClassOrder


async def seats(sagas: Sagas, number: int) -> list[PlayedSaga]:
    """Confirmed bookings."""
    bookings = [await sagas.start() for _ in range(number)]
    for saga in bookings:
        await saga.confirmed()
    return bookings


async def closed(
    sagas: Sagas, bookings: list[PlayedSaga], kind: ReportedOutcome, strangers: int = 0
) -> tuple[Talk, ClassWorld]:
    """The provider closes the class; `strangers` are bookings whose workflow is gone."""
    session_id = uuid4()
    played = ClassWorld(
        worlds=[saga.world for saga in bookings], strangers=tuple(uuid4() for _ in range(strangers))
    )
    sagas.steps.worlds[session_id] = played
    handle = await sagas.env.client.start_workflow(
        ClassWorkflow.run,
        ClassOrder(session_id=session_id, kind=kind, actor=actor(Role.PROVIDER)),
        id=class_workflow_id_for(session_id),
        task_queue=BOOKINGS_QUEUE,
    )
    return Talk(sagas.env, handle), played


async def test_a_class_that_is_called_off_gives_everybody_their_money_back(sagas: Sagas) -> None:
    bookings = await seats(sagas, 3)
    telling, _ = await closed(sagas, bookings, ReportedOutcome.CANCELLED)
    told: ClassBookings = await telling.ends()
    assert set(told.booking_ids) == {saga.world.booking_id for saga in bookings}
    for saga in bookings:
        ended = await saga.ends()
        assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "cancelled_by_provider")
        assert saga.world.captured == 0


async def test_a_class_that_was_held_completes_everybody(sagas: Sagas) -> None:
    bookings = await seats(sagas, 2)
    await bookings[0].passes_until(max(saga.world.starts_at for saga in bookings))
    telling, _ = await closed(sagas, bookings, ReportedOutcome.COMPLETED)
    await telling.ends()
    for saga in bookings:
        assert (await saga.ends()).status is BookingStatus.COMPLETED
        assert saga.world.transferred == [9600]


async def test_who_cannot_be_told_yet_is_told_again_and_harms_nobody_else(sagas: Sagas) -> None:
    bookings = await seats(sagas, 1)
    gate = bookings[0].world.stops_in("settle")
    telling, played = await closed(sagas, bookings, ReportedOutcome.CANCELLED, strangers=1)
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
    telling, played = await closed(sagas, [], ReportedOutcome.CANCELLED)
    told: ClassBookings = await telling.ends()
    assert (told.booking_ids, played.steps()) == ((), ["close_class"])
