"""The one way a status changes: a guarded update, its audit row and its mails, in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from models.bookings import Booking, Session
from models.outbox import Transition, tell, tell_of_new
from models.payments import BankPayout, Dispute, Payment, Payout, Refund
from models.records import AuditEvent
from models.states import (
    BANK_PAYOUT_MOVES,
    BOOKING_MOVES,
    DISPUTE_MOVES,
    PAYMENT_MOVES,
    PAYOUT_MOVES,
    REFUND_MOVES,
    SESSION_MOVES,
    Moves,
    Role,
    sources,
)

Row = Booking | Session | Payment | Payout | Refund | Dispute | BankPayout

MACHINES: dict[type[Row], tuple[str, Moves[Any]]] = {
    Booking: ("booking", BOOKING_MOVES),
    Session: ("session", SESSION_MOVES),
    Payment: ("payment", PAYMENT_MOVES),
    Payout: ("payout", PAYOUT_MOVES),
    Refund: ("refund", REFUND_MOVES),
    Dispute: ("dispute", DISPUTE_MOVES),
    BankPayout: ("bank_payout", BANK_PAYOUT_MOVES),
}


class IllegalMove(Exception):
    """The state machine has no such edge, or somebody else was faster."""


@dataclass(frozen=True)
class Change:
    """Who makes a transition, why and when (UTC, by the saga's clock)."""

    booking_id: UUID
    at: datetime
    actor_role: Role = Role.SYSTEM
    actor_id: str | None = None
    reason: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class ClassChange:
    """The same for a class that is put up or closed: its session is nobody's booking."""

    at: datetime
    actor_role: Role
    actor_id: str | None = None
    reason: str | None = None
    run_id: str | None = None
    booking_id: None = None


async def move(
    session: AsyncSession, row: Row, target: StrEnum, change: Change | ClassChange, **values: Any
) -> bool:
    """Move `row` to `target` and set `values` with it; False when it is there already.

    Whoever has to hear of it is told by a mail that is written here and sent by the relay.

    Raises:
        IllegalMove: the row's state in the database has no edge to `target`.
    """
    source = row.status  # the update below also changes `row`
    if source is target:
        return False
    table = type(row)
    name, moves = MACHINES[table]
    guarded = (
        update(table)
        .where(table.id == row.id, table.status.in_(sources(moves, target)))
        .values(status=target, **values)
        .returning(table.id)
    )
    if (await session.execute(guarded)).first() is None:
        raise IllegalMove(f"{name} {row.id} cannot move from {source} to {target}")
    session.add(_audit(row, source, target, change))
    await session.refresh(row)
    if change.booking_id is not None:
        await tell(session, Transition(name, row, source, change.booking_id, change.at))
    return True


def created(session: AsyncSession, row: Row, change: Change | ClassChange) -> None:
    """Add a new row with the audit event of its first state, and the mails that tell of it."""
    session.add(row)
    session.add(_audit(row, None, row.status, change))
    if change.booking_id is not None:
        name, _ = MACHINES[type(row)]
        tell_of_new(session, Transition(name, row, None, change.booking_id, change.at))


def _audit(row: Row, source: StrEnum | None, target: StrEnum, change: Change | ClassChange) -> AuditEvent:
    return AuditEvent(
        booking_id=change.booking_id,
        entity=MACHINES[type(row)][0],
        entity_id=row.id,
        from_status=source,
        to_status=target,
        actor_role=change.actor_role,
        actor_id=change.actor_id,
        reason=change.reason,
        at=change.at,
        workflow_run_id=change.run_id,
    )
