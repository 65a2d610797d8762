"""A pytest plugin that records which moves each test makes, and holds the tests to what docs/transitions.md says.

A move counts when `models.transitions` made it, its transaction was committed, and the booking was
made by the same test: what an earlier test's booking does in the background is nobody's.
"""

import json
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from models import transitions
from models.records import AuditEvent
from tests.support.transition_table import PAGE, promised

Move = tuple[str, str, str]
"""Machine, from, to."""
PENDING: Final = "moves that this transaction makes"


class Recorder:
    """Who makes which move."""

    def __init__(self) -> None:
        self.test = ""
        self.taken: defaultdict[str, set[Move]] = defaultdict(set)
        self._owners: dict[UUID, str] = {}
        self._made: set[int] = set()
        self._audit = transitions._audit

    def listen(self) -> None:
        """Watch the one place where moves are made, and what becomes of its transactions."""
        transitions._audit = self._audited  # type: ignore[assignment] # the same facts, passed on
        event.listen(AuditEvent, "after_insert", self._inserted)
        event.listen(Session, "after_commit", self._committed)
        event.listen(Session, "after_rollback", self._forgotten)

    def _audited(self, *facts: Any) -> AuditEvent:
        made = self._audit(*facts)
        made._moved = True  # type: ignore[attr-defined]
        return made

    def _inserted(self, _mapper: object, _connection: object, row: AuditEvent) -> None:
        session = Session.object_session(row)
        if session is not None and getattr(row, "_moved", False):
            move = (row.booking_id or row.entity_id, row.entity, row.from_status, str(row.to_status))
            session.info.setdefault(PENDING, []).append(move)

    def _committed(self, session: Session) -> None:
        for owner, machine, source, target in session.info.pop(PENDING, ()):
            mine = self._owners.setdefault(owner, self.test) == self.test
            if mine and source is not None:
                self.taken[self.test].add((machine, str(source), target))

    def _forgotten(self, session: Session) -> None:
        session.info.pop(PENDING, None)


RECORDER: Final = Recorder()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--transitions", metavar="FILE", help="add every move that a passing test makes to FILE")


def pytest_configure() -> None:
    RECORDER.listen()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    RECORDER.test = item.nodeid
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A test that is named in the table and does not take its moves fails."""
    report = yield
    if call.when == "call" and report.passed:
        if missing := unkept(item.nodeid, RECORDER.taken[item.nodeid]):
            moves = ", ".join(f"{machine} {source} → {target}" for machine, source, target in sorted(missing))
            report.outcome = "failed"
            report.longrepr = f"docs/transitions.md says that this test takes {moves}: it does not"
        _write(item.config.getoption("--transitions"), item.nodeid)
    return report


def unkept(test: str, taken: set[Move], page: Path = PAGE) -> set[Move]:
    """What the page says that `test` takes, and it did not."""
    return promised(page).get(test, set()) - taken


def _write(path: str | None, test: str) -> None:
    if path and RECORDER.taken[test]:
        lines = [json.dumps([*move, test]) + "\n" for move in sorted(RECORDER.taken[test])]
        with Path(path).open("a") as file:  # one write: workers append to the same file
            file.write("".join(lines))
