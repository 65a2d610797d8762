"""Putting up a class: the seats are there for anybody to book from then on."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api import queries
from api.admission import check_horizon, invalid
from api.auth import Caller
from api.dependencies import Dependencies
from api.errors import Code, Problem
from api.session_schemas import NewSession
from models.availability import is_open
from models.bookings import Session
from models.database import sqlstate
from models.keys import row_id_for
from models.states import SessionStatus
from models.transitions import ClassChange, created

EXCLUSION_VIOLATION: Final = "23P01"


async def put_up(deps: Dependencies, caller: Caller, new: NewSession, key: str | None) -> tuple[UUID, bool]:
    """The class, and whether this request made it.

    Raises:
        Problem: the service is not the caller's or holds no classes, or the time is not free.
    """
    session_id = row_id_for(caller.subject, f"class:{key}") if key else uuid4()
    async with deps.database.transaction() as session:
        offer = await queries.offer(session, new.service_id)
        known = await session.get(Session, session_id)
        hours = await queries.opening_hours(session, offer.provider.id) if offer else []
    if known is not None:
        return _same(known, new), False
    if offer is None or not offer.service.active:
        raise Problem(Code.NOT_FOUND, "There is no such service.")
    if offer.provider.id != caller.provider_id:
        raise Problem(Code.FORBIDDEN, "This service is another provider's.")
    block = _block(offer, session_id, new)
    check_horizon(block.starts_at, deps.now(), "starts_at")
    if not is_open(hours, ZoneInfo(offer.provider.time_zone), block.starts_at, block.ends_at):
        raise Problem(Code.OUTSIDE_OPENING_HOURS)
    change = ClassChange(deps.now(), caller.role, caller.subject)
    return session_id, await deps.database.run(lambda session: _schedule(session, block, new, change))


def _block(offer: queries.Offer, session_id: UUID, new: NewSession) -> Session:
    service = offer.service
    if service.capacity == 1:
        raise invalid("service_id", "This service has one seat: it is booked at any free time.")
    if new.capacity is not None and new.capacity > service.capacity:
        raise invalid("capacity", f"The service has {service.capacity} seats, not more.")
    return Session(
        id=session_id,
        provider_id=offer.provider.id,
        provider_no=offer.provider.provider_no,
        service_id=service.id,
        status=SessionStatus.SCHEDULED,
        starts_at=new.starts_at,
        ends_at=new.starts_at + timedelta(minutes=service.duration_minutes),
        capacity=new.capacity or service.capacity,
    )


async def _schedule(session: AsyncSession, block: Session, new: NewSession, change: ClassChange) -> bool:
    # The constraint is the promise; this lock keeps rivals from deadlocking on it (DESIGN 6).
    await session.execute(select(func.pg_advisory_xact_lock(block.provider_no)))
    known = await session.get(Session, block.id)
    if known is not None:
        _same(known, new)
        return False
    try:
        async with session.begin_nested():
            created(session, await session.merge(block), change)
    except IntegrityError as error:
        if sqlstate(error) != EXCLUSION_VIOLATION:
            raise
        raise Problem(Code.SLOT_TAKEN) from None
    return True


def _same(known: Session, new: NewSession) -> UUID:
    """The class that an earlier request with this key put up, if it asked for the same."""
    asked: tuple[UUID, datetime] = (new.service_id, new.starts_at)
    if (known.service_id, known.starts_at) != asked or new.capacity not in {None, known.capacity}:
        raise Problem(Code.IDEMPOTENCY_KEY_REUSED)
    return known.id
