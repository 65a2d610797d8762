"""What people had to say about what they did: kept in Postgres, out of every workflow's history (TRAPS 43)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from api.dependencies import Dependencies
from models.bookings import Booking, Remark
from models.outcomes import CANCELLED_BY
from models.states import TERMINAL_BOOKING


async def keep_words(deps: Dependencies, caller: Caller, booking_id: UUID, words: str) -> None:
    """Remember what the one who cancelled, or is about to, had to say: the first words."""
    underway = Booking.status.not_in(TERMINAL_BOOKING)
    their_doing = underway | (Booking.status_reason == CANCELLED_BY[caller.role])

    async def work(session: AsyncSession) -> None:
        await session.execute(
            update(Booking)
            .where(Booking.id == booking_id, their_doing, Booking.cancellation_note.is_(None))
            .values(cancellation_note=words)
        )

    await deps.database.run(work)


async def keep_remark(
    deps: Dependencies, caller: Caller, booking_id: UUID, about: str, words: str | None
) -> None:
    """Remember what somebody said about an action; the same words again are one remark."""
    if not words:
        return

    async def work(session: AsyncSession) -> None:
        # Two equal requests at once would both find nothing: the booking's row makes them take turns.
        await session.get_one(Booking, booking_id, with_for_update=True)
        same = exists().where(
            Remark.booking_id == booking_id,
            Remark.about == about,
            Remark.actor_role == caller.role,
            Remark.actor_id == caller.subject,
            Remark.words == words,
        )
        if not await session.scalar(select(same)):
            session.add(
                Remark(
                    booking_id=booking_id,
                    about=about,
                    actor_role=caller.role,
                    actor_id=caller.subject,
                    words=words,
                )
            )

    await deps.database.run(work)


async def remarks_of(session: AsyncSession, booking_id: UUID) -> Sequence[Remark]:
    """Everything that was said about a booking, in order."""
    found = await session.scalars(select(Remark).where(Remark.booking_id == booking_id).order_by(Remark.id))
    return found.all()
