"""Where a booking is to be moved: what can be told to be impossible by looking."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api import classes, queries
from api.actions import find
from api.admission import check_horizon, invalid
from api.auth import Caller
from api.dependencies import Dependencies
from api.errors import Code, Problem
from api.order_schemas import MoveBooking
from models.states import SessionStatus


@dataclass(frozen=True)
class Destination:
    """When, and for a class in which of its sessions."""

    starts_at: datetime
    session_id: UUID | None = None


async def destination(
    deps: Dependencies, caller: Caller, booking_id: UUID, wanted: MoveBooking
) -> Destination:
    """What a booking's owner wants it moved to.

    Raises:
        Problem: there is no such booking or class, or its time can be nobody's.
    """
    record = await find(deps, booking_id, caller)
    in_class = record.session.capacity > 1
    if in_class and wanted.session_id is None:
        raise invalid("session_id", "This is a seat in a class: name another of its sessions.")
    if not in_class and wanted.session_id is not None:
        raise invalid("starts_at", "This booking has a session of its own: say when it is to be.")
    to = await _destination(deps, record, wanted)
    if to.starts_at != record.session.starts_at:
        check_horizon(to.starts_at, deps.now(), "session_id" if in_class else "starts_at")
    return to


async def _destination(deps: Dependencies, record: queries.BookingRecord, wanted: MoveBooking) -> Destination:
    if wanted.starts_at is not None:
        return Destination(wanted.starts_at)
    async with deps.database.transaction() as session:
        found = await classes.find_class(session, wanted.session_id) if wanted.session_id else None
    if found is None or found.session.service_id != record.booking.service_id:
        raise Problem(Code.CLASS_NOT_FOUND, booking_id=record.booking.id)
    same = found.session.id == record.session.id
    if found.session.status is not SessionStatus.SCHEDULED and not same:
        raise Problem(Code.CLASS_NOT_FOUND, booking_id=record.booking.id)
    return Destination(found.session.starts_at, found.session.id)
