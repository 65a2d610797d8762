"""Classes: sessions with more than one seat, as Postgres has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models.availability import Span
from models.bookings import Booking, Session
from models.catalogue import Provider, Service
from models.states import SEAT_HOLDING, SessionStatus


@dataclass(frozen=True)
class ClassRecord:
    """A class with whoever gives it, and how many of its seats are taken."""

    session: Session
    service: Service
    provider: Provider
    taken: int

    @property
    def seats_left(self) -> int:
        """How many more can book."""
        return max(self.session.capacity - self.taken, 0)


async def find_class(session: AsyncSession, session_id: UUID) -> ClassRecord | None:
    """One class, whatever became of it; the session of a one-to-one booking is none."""
    row = (await session.execute(_classes().where(Session.id == session_id))).one_or_none()
    return ClassRecord(*row) if row else None


async def upcoming(session: AsyncSession, service_id: UUID, span: Span) -> Sequence[ClassRecord]:
    """A service's classes that start in [`start`, `end`) and can be booked, in order."""
    found = (
        _classes()
        .where(Session.service_id == service_id, Session.status == SessionStatus.SCHEDULED)
        .where(Session.starts_at >= span.start, Session.starts_at < span.end)
        .order_by(Session.starts_at)
    )
    return [ClassRecord(*row) for row in await session.execute(found)]


async def seat_of(session: AsyncSession, session_id: UUID, client_id: str) -> UUID | None:
    """The booking that holds this client's seat in the session."""
    return await session.scalar(
        select(Booking.id).where(
            Booking.session_id == session_id,
            Booking.client_id == client_id,
            Booking.status.in_(SEAT_HOLDING),
        )
    )


def _classes() -> Select[Session, Service, Provider, int]:
    taken = (
        select(func.count())
        .where(Booking.session_id == Session.id, Booking.status.in_(SEAT_HOLDING))
        .scalar_subquery()
    )
    return (
        select(Session, Service, Provider, taken)
        .join(Service, Service.id == Session.service_id)
        .join(Provider, Provider.id == Session.provider_id)
        .where(Session.capacity > 1)
    )
