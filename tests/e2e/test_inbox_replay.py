"""After everything has ended, the whole inbox comes twice more, and nothing at all changes (FAULTS R3).

Each time Stripe sends every event again, which the inbox knows; then the inbox itself forgets that it
has handled them, and the relay takes each of them to whom it concerns once more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from activities.inbox import CHANNEL
from models.base import Base
from models.database import Database
from models.notifications import Notification
from models.records import Cursor, StripeEvent
from sandbox.control import Control
from sandbox.demo.play import play_all
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stage import Pace
from tests.e2e.stacks import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.fault("R3"), pytest.mark.timeout(300)]

TIMES: Final = 2
KINDS: Final = (
    "happy path",
    "nobody pays",
    "charged, cancelled",
    "cancelled late",
    "refund in dashboard",
    "refund fails late",
    "dispute won in hold",
    "blocked, then paid",
    "sent to the bank",
    "refund, reversed",
    "refund, owed",
    "dispute lost later",
    "dispute won later",
)
"""Stories whose money moved in every way that Stripe can tell of."""

OWN: Final = frozenset({StripeEvent.__tablename__, Cursor.__tablename__})
"""Tables in which the inbox and the sweep keep their own books."""

PROGRESS: Final = {Notification.__tablename__: "{sent_at,dropped_at,attempts,next_attempt_at,last_error}"}
"""Columns that change by themselves: a mail that is written leaves when its time has come."""

Rows = Mapping[str, list[str]]


async def rows(database: Database) -> Rows:
    """Every row of every table but the inbox's own."""

    async def work(session: AsyncSession) -> dict[str, list[str]]:
        return {name: await _rows(session, name) for name in sorted(Base.metadata.tables.keys() - OWN)}

    return await database.run(work)


async def _rows(session: AsyncSession, table: str) -> list[str]:
    but = PROGRESS.get(table, "{}")
    every = text(f"SELECT (to_jsonb(t) - '{but}'::text[])::text AS row FROM {table} t ORDER BY 1")  # noqa: S608 - our own tables
    return [row.row for row in await session.execute(every)]


async def objects(control: Control) -> dict[str, Any]:
    """Everything that Stripe has, but for what it has told."""
    return {one["id"]: one for one in await control.list("/objects") if one["object"] != "event"}


async def is_quiet(stack: Stack, database: Database) -> bool:
    """No event is left, no mail is due, and no workflow is at work but those that never end."""
    left = select(func.count()).select_from(StripeEvent).where(StripeEvent.handled_at.is_(None))
    due = select(func.count()).select_from(Notification)
    undecided = Notification.sent_at.is_(None), Notification.dropped_at.is_(None)
    due = due.where(*undecided, Notification.next_attempt_at <= func.now())

    async def work(session: AsyncSession) -> int:
        return int(await session.scalar(left) or 0) + int(await session.scalar(due) or 0)

    if await database.run(work):
        return False
    query = "ExecutionStatus = 'Running' AND WorkflowType IN ('Booking', 'Aftercare', 'Settlement')"
    return not await stack.temporal("workflow", "list", "--query", query)


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await look():  # noqa: ASYNC110 - what is looked at is behind sockets
            await asyncio.sleep(0.1)


async def sent_again(control: Control, events: list[str]) -> None:
    """Stripe sends every event once more, and has an answer to each."""
    before = len(await control.list("/deliveries", status="delivered"))
    queued = (await control.post("/webhooks/resend", events=events))["queued"]
    assert queued >= len(events) // 2

    async def answered() -> bool:
        return len(await control.list("/deliveries", status="delivered")) - before >= int(queued)

    await until(answered)


async def forgotten(database: Database) -> int:
    """The inbox takes everything that it ever handled for new; answers how much."""
    new = update(StripeEvent).values(handled_at=None, result=None, attempts=0, next_attempt_at=func.now())

    async def work(session: AsyncSession) -> int:
        count = await session.scalar(select(func.count()).select_from(StripeEvent))
        await session.execute(new)
        await session.execute(select(func.pg_notify(CHANNEL, "all of them")))
        return int(count or 0)

    return await database.run(work)


def differences(before: Rows, after: Rows) -> dict[str, tuple[list[str], list[str]]]:
    """What is gone, and what is new."""
    return {
        name: (sorted({*before[name]} - {*after[name]}), sorted({*after[name]} - {*before[name]}))
        for name in before
        if before[name] != after[name]
    }


async def test_the_whole_inbox_played_twice_more_changes_nothing(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    control = stack.outside.control
    assert control is not None
    stories = [scenario for scenario in SCENARIOS if scenario.name in KINDS]
    assert len(stories) == len(KINDS)
    pace = Pace(
        payout_hold=timedelta(seconds=1), unpaid_window=timedelta(seconds=2), ahead=timedelta(seconds=5)
    )
    played = await play_all(stack.outside, stories, pace, lambda *_: None)
    assert [(one.scenario.name, one.wrong) for one in played if one.wrong] == []

    database = Database.connect(stack.described.database_url)
    try:
        await until(partial(is_quiet, stack, database))
        ours, stripes = await rows(database), await objects(control)
        assert ours["ledger_entries"]
        events = [one["id"] for one in await control.list("/objects", type="event")]
        replayed = 0
        for _ in range(TIMES):
            await sent_again(control, events)
            replayed += await forgotten(database)
            await until(partial(is_quiet, stack, database))
            assert differences(ours, await rows(database)) == {}
            assert await objects(control) == stripes
        record_property("injected", replayed)
    finally:
        await database.close()
