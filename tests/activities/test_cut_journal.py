"""The connection is cut while a journal is being written: none of it is there, and the next run writes it whole."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from models.database import Database
from tests.activities.desk import Desk
from tests.activities.later_steps import OWE, TRANSFER_AGAIN
from tests.activities.money_steps import CAPTURE, PAY_OUT, REFUND, MoneyStep

pytestmark = [pytest.mark.fault("P1"), pytest.mark.timeout(300)]

JOURNALED = (CAPTURE, REFUND, PAY_OUT, OWE, TRANSFER_AGAIN)
"""Between them they write every kind of journal that follows a decision of ours."""

LINES = "INSERT INTO ledger_entries"
CUT = "SELECT pg_terminate_backend(pg_backend_pid())"


class Scissors:
    """Counts the moments around a journal's lines and their commit, and ends the session at the chosen one."""

    def __init__(self, database: Database) -> None:
        self.at = 0
        self.passed: list[str] = []
        self._writing = False
        engine = database.engine.sync_engine
        event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engine, "commit", self._commit)
        event.listen(engine, "rollback", self._forget)

    def cut_at(self, moment: int) -> None:
        self.at, self.passed = moment, []

    def _after(self, connection: Connection, _: Any, statement: str, *__: Any) -> None:
        if statement.startswith(LINES):
            self._writing = True
            self._pass(connection, "after the lines")

    def _commit(self, connection: Connection) -> None:
        if self._writing:
            self._writing = False
            self._pass(connection, "before the commit")

    def _forget(self, _: Connection) -> None:
        self._writing = False

    def _pass(self, connection: Connection, moment: str) -> None:
        self.passed.append(moment)
        if len(self.passed) == self.at:
            connection.exec_driver_sql(CUT)


@pytest.fixture
async def frail(database_url: str) -> AsyncIterator[Database]:
    """The same database through connections that can be cut."""
    opened = Database.connect(database_url)
    yield opened
    await opened.close()


async def cut(step: MoneyStep, desk: Desk, database: Database, booking_id: UUID) -> bool:
    """Run the step; say whether its connection was cut on the way."""
    try:
        await step.act(desk.activities(database), booking_id)
    except DBAPIError as error:
        assert error.connection_invalidated  # noqa: PT017 - any other error is not ours
        return True
    return False


@pytest.mark.parametrize("step", JOURNALED, ids=lambda step: step.name)
async def test_a_journal_whose_connection_is_cut_is_not_there_at_all_and_is_written_by_the_next_run(
    desk: Desk, frail: Database, step: MoneyStep, record_property: Callable[[str, Any], None]
) -> None:
    scissors = Scissors(frail)
    for moment in count(1):
        booking_id = await step.prepare(desk)
        before = Counter((await desk.picture(booking_id)).journals)
        scissors.cut_at(moment)
        was_cut = await cut(step, desk, frail, booking_id)
        if not was_cut:
            break
        written = Counter((await desk.picture(booking_id)).journals) - before
        committed = scissors.passed[:-1].count("before the commit")
        assert committed or not written, f"{written} was left by {scissors.passed}"
        await step.act(desk.activities(frail), booking_id)
        assert await desk.picture(booking_id) == step.ends, f"cut {scissors.passed}"
    assert {"after the lines", "before the commit"} <= set(scissors.passed)
    record_property("injected", moment - 1)
