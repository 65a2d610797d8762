"""What an audit or the reconciler saw and will not repair by itself, kept until it is seen no more."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from models.bookings import Booking
from models.database import Database
from models.records import Finding

log = structlog.get_logger()

STEP: Final = "reconciliation"
"""What a booking's attention names when no step of its own is parked."""


@dataclass(frozen=True)
class Observation:
    """Something that is not as it should be; `rule` and `subject` name it, `detail` is for people."""

    rule: str
    subject: str
    detail: str
    booking_id: UUID | None = None


class Findings:
    """Remembers observations and shows them on their bookings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, rules: Collection[str], seen: Iterable[Observation]) -> list[Finding]:
        """Keep what was `seen` under `rules`, all of which were looked at; the rest of theirs is resolved."""
        unique = {(one.rule, one.subject): one for one in seen}
        return await self._database.run(lambda session: _report(session, rules, list(unique.values())))

    async def open_ones(self) -> list[Finding]:
        """Every finding that still stands, the oldest first."""
        return await self._database.run(_open_ones)

    async def oldest(self, rules: Collection[str]) -> datetime | None:
        """Since when something has been standing under `rules`."""
        since = select(func.min(Finding.first_seen_at)).where(
            Finding.rule.in_(list(rules)), Finding.resolved_at.is_(None)
        )
        return await self._database.run(lambda session: session.scalar(since))


async def _report(session: AsyncSession, rules: Collection[str], seen: list[Observation]) -> list[Finding]:
    before = {(one.rule, one.subject): one for one in await _standing(session, rules)}
    for one in seen:
        await session.execute(_upsert(one))
        if (one.rule, one.subject) not in before:
            log.error("finding", rule=one.rule, subject=one.subject, booking_id=str(one.booking_id))
        await _show(session, one)
    now = {(one.rule, one.subject) for one in seen}
    for name, gone in before.items():
        if name not in now:
            gone.resolved_at = func.now()
            await session.flush()
            log.info("finding resolved", rule=gone.rule, subject=gone.subject)
            await _hide(session, gone.booking_id)
    await session.flush()
    return await _standing(session, rules)


def _upsert(one: Observation) -> Insert:
    added = insert(Finding).values(
        rule=one.rule, subject=one.subject, booking_id=one.booking_id, detail=one.detail
    )
    seen_again = {
        "booking_id": added.excluded.booking_id,
        "detail": added.excluded.detail,
        "last_seen_at": func.now(),
        "resolved_at": None,
    }
    return added.on_conflict_do_update(index_elements=[Finding.rule, Finding.subject], set_=seen_again)


async def _show(session: AsyncSession, one: Observation) -> None:
    """Ask for attention on the booking, unless a step of its own does already."""
    shown = (
        update(Booking)
        .where(Booking.id == one.booking_id, Booking.attention_step.is_(None))
        .values(
            attention_step=STEP, attention_message=f"{one.rule}: {one.detail}", attention_since=func.now()
        )
    )
    if one.booking_id is not None:
        await session.execute(shown)


async def _hide(session: AsyncSession, booking_id: UUID | None) -> None:
    """Nothing stands against the booking any more."""
    standing = select(Finding.id).where(Finding.booking_id == booking_id, Finding.resolved_at.is_(None))
    hidden = (
        update(Booking)
        .where(Booking.id == booking_id, Booking.attention_step == STEP, ~standing.exists())
        .values(attention_step=None, attention_message=None, attention_since=None)
    )
    if booking_id is not None:
        await session.execute(hidden)


async def _standing(session: AsyncSession, rules: Collection[str]) -> list[Finding]:
    query = select(Finding).where(Finding.rule.in_(list(rules)), Finding.resolved_at.is_(None))
    return list(await session.scalars(query.order_by(Finding.id).execution_options(populate_existing=True)))


async def _open_ones(session: AsyncSession) -> list[Finding]:
    query = select(Finding).where(Finding.resolved_at.is_(None)).order_by(Finding.id)
    return list(await session.scalars(query))
