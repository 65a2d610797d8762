"""Bookings and classes whose workflow is gone while they are not over: terminated, or never started (DESIGN 9).

Terminating a workflow runs no compensation; Postgres knows where to carry on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.telling import Telling
from models.bookings import Booking, BookingRequest, Session
from models.database import Database
from models.keys import aftercare_id_for, class_workflow_id_for, stray_id_for, workflow_id_for
from models.ledger import Account, LedgerEntry, Side
from models.payments import Payment, Payout
from models.records import AuditEvent
from models.states import PAYOUT_OPEN, SEAT_HOLDING, TERMINAL_BOOKING, ReportedOutcome, SessionStatus
from workflows.contracts import Actor, Refusal, StartBooking
from workflows.followups import ClassOrder

log = structlog.get_logger()

YOUNG: Final = timedelta(minutes=1)
"""A booking may be there a moment before its workflow can be seen."""
FORGOTTEN: Final = timedelta(minutes=10)
"""A request that nobody has taken up by then will not be taken up any more."""
BATCH: Final = 500

CLOSED: Final = {
    SessionStatus.CANCELLED: ReportedOutcome.CANCELLED,
    SessionStatus.COMPLETED: ReportedOutcome.COMPLETED,
}
"""What the bookings of a class are told, by how it ended."""


def _carers(booking_id: UUID) -> tuple[str, ...]:
    return workflow_id_for(booking_id), aftercare_id_for(booking_id)


def _tellers(session_id: UUID) -> tuple[str, ...]:
    return (class_workflow_id_for(session_id),)


@dataclass(frozen=True)
class Restarted:
    """How many of each were made good."""

    runs: int = 0
    aftercare: int = 0
    requests: int = 0


class LostRuns:
    """Finds them and runs them again."""

    def __init__(
        self,
        database: Database,
        telling: Telling,
        *,
        young: timedelta = YOUNG,
        forgotten: timedelta = FORGOTTEN,
    ) -> None:
        self._database = database
        self._telling = telling
        self._young = young
        self._forgotten = forgotten

    async def make_good(self) -> Restarted:
        """Restart bookings and classes, give aftercare to books that do not balance, end forgotten requests.

        Classes come after bookings: what is told to a booking without a run is lost.
        """
        open_ids = await self._telling.open_ids()
        return Restarted(
            runs=await self._restart(open_ids) + await self._tell_classes(open_ids),
            aftercare=await self._care(open_ids),
            requests=await self._call_off(open_ids),
        )

    async def _restart(self, open_ids: set[str]) -> int:
        restarted = 0
        for booking_id in await self._suspects(self._unfinished(), open_ids):
            # Looked at again: it may have ended while the others were asked after.
            request = await self._database.run(partial(_request, booking_id=booking_id))
            if request is not None:
                await self._telling.restart(request)
                log.warning("a booking that had lost its run has another", booking_id=str(booking_id))
                restarted += 1
        return restarted

    async def _tell_classes(self, open_ids: set[str]) -> int:
        told = 0
        for session_id in await self._suspects(_untold(), open_ids, _tellers):
            # Looked at again: the last of its bookings may have ended meanwhile.
            order = await self._database.run(partial(_order, session_id=session_id))
            if order is not None:
                await self._telling.close_class(order)
                log.warning("a class that had lost its run has another", session_id=str(session_id))
                told += 1
        return told

    async def _care(self, open_ids: set[str]) -> int:
        suspects = await self._suspects(_unbalanced(), open_ids)
        for booking_id in suspects:
            await self._telling.start_aftercare(booking_id)
            log.warning("books that do not balance get aftercare", booking_id=str(booking_id))
        return len(suspects)

    async def _call_off(self, open_ids: set[str]) -> int:
        called_off = 0
        for booking_id in await self._suspects(self._unanswered(), open_ids):
            called_off += await self._database.run(partial(_refuse, booking_id=booking_id))
        return called_off

    async def _suspects(
        self,
        query: Select[UUID],
        open_ids: set[str],
        carers: Callable[[UUID], tuple[str, ...]] = _carers,
    ) -> list[UUID]:
        """Those of `query` without an open workflow: by visibility first, then asked one by one."""
        suspects: list[UUID] = []
        after: UUID | None = None
        while batch := await self._database.run(partial(_page, query=query, after=after)):
            after = batch[-1]
            suspects += [one for one in batch if not await self._is_any_open(carers(one), open_ids)]
        return suspects

    async def _is_any_open(self, ids: tuple[str, ...], open_ids: set[str]) -> bool:
        if open_ids.intersection(ids):
            return True
        return any([await self._telling.is_open(one) for one in ids])

    def _unfinished(self) -> Select[UUID]:
        return (
            select(Booking.id)
            .outerjoin(Payout, Payout.booking_id == Booking.id)
            .where(_UNFINISHED, Booking.created_at < func.now() - self._young)
        )

    def _unanswered(self) -> Select[UUID]:
        return (
            select(BookingRequest.booking_id)
            .outerjoin(Booking, Booking.id == BookingRequest.booking_id)
            .where(
                Booking.id.is_(None),
                BookingRequest.refusal.is_(None),
                BookingRequest.created_at < func.now() - self._forgotten,
            )
        )


_UNFINISHED: Final = or_(Booking.status.not_in(list(TERMINAL_BOOKING)), Payout.status.in_(list(PAYOUT_OPEN)))


def _unbalanced() -> Select[UUID]:
    """Finished bookings whose provider was paid more, or less, than is its share now."""
    owed = func.sum(case((LedgerEntry.side == Side.CREDIT, LedgerEntry.amount), else_=-LedgerEntry.amount))
    return (
        select(Booking.id)
        .join(LedgerEntry, LedgerEntry.booking_id == Booking.id)
        .join(Payout, Payout.booking_id == Booking.id)
        .where(
            and_(
                LedgerEntry.account == Account.PROVIDER_PAYABLE,
                Booking.status.in_(list(TERMINAL_BOOKING)),
                Payout.status.not_in(list(PAYOUT_OPEN)),
            )
        )
        .group_by(Booking.id)
        .having(owed != 0)
    )


def _untold() -> Select[UUID]:
    """Classes that were called off, or held, and in which somebody still has a seat."""
    seats = select(Booking.id).where(Booking.session_id == Session.id, Booking.status.in_(list(SEAT_HOLDING)))
    return select(Session.id).where(Session.capacity > 1, Session.status.in_(list(CLOSED)), seats.exists())


async def _page(session: AsyncSession, query: Select[UUID], after: UUID | None) -> Sequence[UUID]:
    (key,) = query.selected_columns
    paged = query.order_by(key).limit(BATCH)
    return (await session.scalars(paged.where(key > after) if after else paged)).all()


async def _request(session: AsyncSession, booking_id: UUID) -> StartBooking | None:
    """What the booking was made of; None when it is over after all."""
    unfinished = (
        select(Booking, Session, Payment.payment_intent_id)
        .join(Session, Session.id == Booking.session_id)
        .join(Payment, Payment.booking_id == Booking.id)
        .outerjoin(Payout, Payout.booking_id == Booking.id)
        .where(Booking.id == booking_id, _UNFINISHED)
        .order_by(Payment.number)
    )
    found = (await session.execute(unfinished)).first()
    if found is None:
        return None
    booking, block, intent_id = found
    paid_late = intent_id is not None and stray_id_for(intent_id) == booking.id
    return StartBooking(
        booking_id=booking.id,
        client_id=booking.client_id,
        service_id=booking.service_id,
        starts_at=block.starts_at,
        session_id=block.id if block.capacity > 1 else None,
        payment_intent_id=intent_id if paid_late else None,
    )


async def _order(session: AsyncSession, session_id: UUID) -> ClassOrder | None:
    """By whose word the class ended, and how; None when nobody has a seat in it any more."""
    untold = (
        select(Session, AuditEvent)
        .join(AuditEvent, and_(AuditEvent.entity == "session", AuditEvent.entity_id == Session.id))
        .where(Session.id == session_id, Session.id.in_(_untold()))
        .order_by(AuditEvent.id.desc())
    )
    found = (await session.execute(untold.limit(1))).first()
    if found is None:
        return None
    block, ending = found
    actor = Actor(role=ending.actor_role, id=ending.actor_id)
    return ClassOrder(session_id=session_id, kind=CLOSED[block.status], actor=actor)


async def _refuse(session: AsyncSession, booking_id: UUID) -> bool:
    """Nothing is made of the request any more; a slow attempt to make it takes turns with this."""
    request = await session.get_one(BookingRequest, booking_id, with_for_update=True)
    if await session.get(Booking, booking_id) is not None or request.refusal is not None:
        return False
    request.refusal = Refusal.CALLED_OFF
    log.warning("a request that nobody took up is called off", booking_id=str(booking_id))
    return True
