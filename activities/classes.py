"""Classes: sessions with more than one seat, put up and closed by their provider."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from models.bookings import Booking, Session
from models.database import Database
from models.states import SEAT_HOLDING, ReportedOutcome, SessionStatus
from models.transitions import ClassChange, move
from workflows.followups import ClassBookings, ClassOrder
from workflows.steps import ClassSteps

CLOSED_AS: Final[dict[ReportedOutcome, SessionStatus]] = {
    ReportedOutcome.CANCELLED: SessionStatus.CANCELLED,
    ReportedOutcome.PROVIDER_NO_SHOW: SessionStatus.CANCELLED,
    ReportedOutcome.COMPLETED: SessionStatus.COMPLETED,
    ReportedOutcome.CLIENT_NO_SHOW: SessionStatus.COMPLETED,
}


class ClassActivities(ClassSteps):
    """Implements `ClassSteps`."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    @activity.defn
    async def close_class(self, step: ClassOrder) -> ClassBookings:
        """End the session, once, and name every booking that still holds a seat in it.

        Raises:
            IllegalMove: the class was closed the other way before.
        """

        async def work(session: AsyncSession) -> ClassBookings:
            block = await session.get_one(Session, step.session_id, with_for_update=True)
            run_id = activity.info().workflow_run_id if activity.in_activity() else None
            context = ClassChange(
                at=self._now(),
                actor_role=step.actor.role,
                actor_id=step.actor.id,
                reason=f"class {step.kind}",
                run_id=run_id,
            )
            await move(session, block, CLOSED_AS[step.kind], context)
            seats = select(Booking.id).where(
                Booking.session_id == block.id, Booking.status.in_(list(SEAT_HOLDING))
            )
            return ClassBookings(booking_ids=tuple(await session.scalars(seats.order_by(Booking.created_at))))

        return await self._database.run(work)
