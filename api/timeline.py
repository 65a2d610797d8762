"""`GET /api/bookings/{id}/timeline`: what happened, what is next, and why the provider is not paid yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from api import queries
from api.actions import find
from api.answering import OWNED
from api.auth import Caller
from api.awaiting import Standing, awaiting, why_held
from api.dependencies import Anyone, Deps
from api.errors import documented
from api.journals import movements
from api.remarks import remarks_of
from api.timeline_schemas import Movement, Said, Timeline, Transition
from models.bookings import Booking, Remark
from models.ledger import LedgerEntry
from models.outcomes import CANCELLED_BY
from models.payments import Refund
from models.records import AuditEvent
from models.states import RefundStatus, Role, StatusReason

router = APIRouter(prefix="/api/bookings", tags=["bookings"])

READ_BY: Final[dict[str, frozenset[Role]]] = {
    "reject": frozenset({Role.CLIENT, Role.PROVIDER, Role.OPS}),
    "cancel": frozenset({Role.CLIENT, Role.PROVIDER, Role.OPS}),
    "refund": frozenset({Role.CLIENT, Role.PROVIDER, Role.OPS}),
    "object": frozenset({Role.CLIENT, Role.OPS}),
}
"""Whose words whom concern; whatever is not here, and what ops say to each other, is for ops alone."""

OPS_ALONE: Final = frozenset({Role.OPS})
KNOWN_REASONS: Final = frozenset(StatusReason)


@dataclass(frozen=True)
class Past:
    """Everything that was written down about a booking."""

    events: Sequence[AuditEvent]
    remarks: Sequence[Remark]
    entries: Sequence[LedgerEntry]


@router.get("/{booking_id}/timeline", summary="What happened, and what is next", responses=documented(*OWNED))
async def get_timeline(booking_id: UUID, caller: Anyone, deps: Deps) -> Timeline:
    """Every transition, what people said, every movement of the money; and what the booking waits for."""
    record = await find(deps, booking_id, caller)
    async with deps.database.transaction() as session:
        past = await _past(session, booking_id)
        disputed = await queries.open_dispute(session, booking_id) is not None
        # One that Stripe does not know was ordered and given up, or is just being made.
        pending = exists().where(
            Refund.booking_id == booking_id,
            Refund.status == RefundStatus.PENDING,
            Refund.refund_id.is_not(None),
        )
        refunding = bool(await session.scalar(select(pending)))
    standing = Standing(record, deps.now(), disputed, refunding)
    return Timeline(
        booking_id=booking_id,
        status=record.booking.status,
        happened=happened(past, record.booking, caller),
        awaiting=awaiting(standing),
        payout_held_because=why_held(standing),
    )


def happened(past: Past, booking: Booking, caller: Caller) -> list[Transition | Said | Movement]:
    """The past as `caller` may read it, in the order of writing."""
    ops = caller.role is Role.OPS
    lines: list[tuple[datetime, Transition | Said | Movement]] = [
        (event.recorded_at, _transition(event, ops=ops)) for event in past.events
    ]
    lines += [
        (remark.at, _said(remark, ops=ops))
        for remark in past.remarks
        if caller.role in READ_BY.get(remark.about, OPS_ALONE)
    ]
    lines += [(movement.at, movement) for movement in movements(past.entries, caller.role)]
    if (note := _cancellation(booking)) is not None:
        lines.append((note.at, note))
    return [line for _, line in sorted(lines, key=lambda each: each[0])]


async def _past(session: AsyncSession, booking_id: UUID) -> Past:
    events = select(AuditEvent).where(AuditEvent.booking_id == booking_id).order_by(AuditEvent.id)
    entries = select(LedgerEntry).where(LedgerEntry.booking_id == booking_id)
    return Past(
        events=(await session.scalars(events)).all(),
        remarks=await remarks_of(session, booking_id),
        entries=(await session.scalars(entries)).all(),
    )


def _transition(event: AuditEvent, *, ops: bool) -> Transition:
    return Transition(
        at=event.at,
        entity=event.entity,
        entity_id=event.entity_id,
        from_status=event.from_status,
        to_status=event.to_status,
        actor_role=event.actor_role,
        actor_id=event.actor_id if ops else None,
        # A reason of our own vocabulary is for everybody; in their own words, ops wrote it for ops.
        reason=event.reason if ops or event.reason in KNOWN_REASONS else None,
        workflow_run_id=event.workflow_run_id if ops else None,
    )


def _said(remark: Remark, *, ops: bool) -> Said:
    return Said(
        at=remark.at,
        about=remark.about,
        actor_role=remark.actor_role,
        actor_id=remark.actor_id if ops else None,
        words=remark.words,
    )


def _cancellation(booking: Booking) -> Said | None:
    """What whoever cancelled had to say, which the booking itself keeps."""
    said_by = {reason: role for role, reason in CANCELLED_BY.items() if role is not Role.SYSTEM}
    role = (
        said_by.get(StatusReason(booking.status_reason)) if booking.status_reason in KNOWN_REASONS else None
    )
    if role is None or booking.cancellation_note is None or booking.outcome_at is None:
        return None
    return Said(
        at=booking.outcome_at, about="cancel", actor_role=role, actor_id=None, words=booking.cancellation_note
    )
