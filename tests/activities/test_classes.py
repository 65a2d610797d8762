"""A class is closed once, by its provider, and everybody with a seat in it is named (DESIGN 2)."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from models.bookings import Booking, Session
from models.records import AuditEvent
from models.states import ReportedOutcome, SessionStatus
from models.transitions import IllegalMove
from tests.activities.desk import PROVIDER, Desk
from tests.activities.tampering import change_booking
from workflows.followups import ClassOrder

KINDS = {
    ReportedOutcome.CANCELLED: SessionStatus.CANCELLED,
    ReportedOutcome.COMPLETED: SessionStatus.COMPLETED,
}


async def put_up(desk: Desk, seats: int) -> tuple[UUID, list[UUID]]:
    """A class that is scheduled, with so many bookings."""
    bookings = [await desk.reserved(await desk.shop()) for _ in range(seats)]
    first = await desk.database.run(lambda session: session.get_one(Booking, bookings[0]))
    scheduled = (
        update(Session)
        .where(Session.id == first.session_id)
        .values(capacity=5, status=SessionStatus.SCHEDULED)
    )
    await desk.database.run(lambda session: session.execute(scheduled))
    for booking_id in bookings:
        await change_booking(desk, booking_id, session_id=first.session_id)
    return first.session_id, bookings


def order(session_id: UUID, kind: ReportedOutcome) -> ClassOrder:
    return ClassOrder(session_id=session_id, kind=kind, actor=PROVIDER)


async def audits(desk: Desk, session_id: UUID, target: SessionStatus) -> list[AuditEvent]:
    query = select(AuditEvent).where(AuditEvent.entity_id == session_id, AuditEvent.to_status == target)

    async def work(session: AsyncSession) -> list[AuditEvent]:
        return list(await session.scalars(query))

    return await desk.database.run(work)


@pytest.mark.parametrize(("kind", "target"), KINDS.items())
async def test_closing_a_class_names_who_still_has_a_seat_and_is_written_down_once(
    desk: Desk, kind: ReportedOutcome, target: SessionStatus
) -> None:
    session_id, bookings = await put_up(desk, seats=3)
    await change_booking(desk, bookings[0], status="CANCELLED", status_reason="cancelled_by_client")
    for _ in range(2):
        waiting = await desk.activities().classes.close_class(order(session_id, kind))
        assert set(waiting.booking_ids) == set(bookings[1:])
    closed = await desk.database.run(lambda session: session.get_one(Session, session_id))
    assert closed.status is target
    (audit,) = await audits(desk, session_id, target)
    assert (audit.booking_id, audit.actor_role, audit.actor_id) == (None, PROVIDER.role, PROVIDER.id)


async def test_a_class_that_was_held_cannot_be_called_off(desk: Desk) -> None:
    session_id, _ = await put_up(desk, seats=1)
    classes = desk.activities().classes
    await classes.close_class(order(session_id, ReportedOutcome.COMPLETED))
    with pytest.raises(IllegalMove):
        await classes.close_class(order(session_id, ReportedOutcome.CANCELLED))


async def test_a_class_that_is_not_there_cannot_be_closed(desk: Desk) -> None:
    with pytest.raises(Exception, match="No row was found"):
        await desk.activities().classes.close_class(order(uuid4(), ReportedOutcome.CANCELLED))
