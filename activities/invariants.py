"""What must hold of the books whatever happens: asked by tests, by `ops.py audit` and by the hourly schedule."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from activities.audit_queries import CHAIN, EDGES, LATE, QUERIES, STUCK, UNATTENDED, UNEXPLAINED
from activities.findings import Observation
from models.keys import aftercare_id_for, workflow_id_for
from models.states import Moves
from models.transitions import MACHINES

SLA: Final = timedelta(hours=1)
"""How long something may be overdue before it counts as stuck."""

SETTLED: Final = timedelta(minutes=10)
"""A booking without a workflow for that long has been overlooked by two reconciliations."""


async def violations(session: AsyncSession, busy: Collection[UUID] = ()) -> list[Observation]:
    """Everything in Postgres that violates I1 to I9 and I11."""
    found = await _wrong_moves(session) + await _ask(session, EDGES, UNEXPLAINED)
    for rule, queries in QUERIES.items():
        for query in queries:
            found += await _ask(session, rule, query, busy=list(busy))
    return found


async def stuck(session: AsyncSession, open_ids: Collection[str], now: datetime) -> list[Observation]:
    """I10: what no workflow looks after, and what is overdue without anybody being asked."""
    found = await _ask(session, STUCK, LATE, overdue=now - SLA)
    rows = await session.execute(text(UNATTENDED), {"settled": now - SETTLED})
    for subject, booking_id, ended in rows:
        wanted = {workflow_id_for(booking_id)} | ({aftercare_id_for(booking_id)} if ended else set())
        if wanted.isdisjoint(open_ids):
            found.append(Observation(STUCK, subject, "no workflow looks after the booking", booking_id))
    return found


async def _ask(session: AsyncSession, rule: str, query: str, **values: object) -> list[Observation]:
    asked = text(query)
    given = {name: value for name, value in values.items() if f":{name}" in query}
    rows = await session.execute(asked, given)
    return [Observation(rule, row.subject, row.detail, row.booking_id) for row in rows]


async def _wrong_moves(session: AsyncSession) -> list[Observation]:
    """I7: every transition on record is legal, and begins where the last one ended."""
    legal: dict[str, Moves[Any]] = dict(MACHINES.values())
    found = []
    for row in await session.execute(text(CHAIN)):
        for step, wrong in _breaks(legal[row.entity], row.sources, row.targets):
            detail = f"{row.entity} moved {step}: {wrong}"
            found.append(Observation(EDGES, str(row.entity_id), detail, row.booking_id))
    return found


def _breaks(moves: object, sources: Sequence[str | None], targets: Sequence[str]) -> list[tuple[str, str]]:
    """Steps of one thing's story that cannot follow from what was before."""
    assert isinstance(moves, dict)  # noqa: S101 - narrowed for the type checker
    wrong = []
    before: str | None = None
    for source, target in zip(sources, targets, strict=True):
        if source != before:
            wrong.append((f"{source} to {target}", f"it was {before}"))
        elif source is not None and target not in moves[source]:
            wrong.append((f"{source} to {target}", "there is no such edge"))
        before = target
    return wrong
