"""docs/transitions.md, read and written: every legal move of every machine, and the test that takes it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.transitions import MACHINES

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "transitions.md"
ROW: Final = re.compile(r"^\| (\w+) → (\w+) \| `([^`]+)` \|$")
HEADING: Final = re.compile(r"^## (\w+)$")

HEAD: Final = """\
# Every transition and the test that takes it

The moves are data (`models/states.py`) and are made in one place (`models/transitions.py`). Each of them is taken,
and committed to Postgres, by the test beside it: when that test runs and does not take the move, it fails. A legal
move without such a test, a row that is not legal, and a test that is not there fail
`tests/architecture/test_transitions_table.py`.

This page is written by `python -m tests.transitions`, from a run that records every move.
"""

PREFERRED: Final = ("tests/activities/", "tests/workflows/", "tests/api/")

BY_CHANCE: Final = ("test_races", "test_crashes", "zombie", "twice_at_once")
"""Tests whose moves may be made by either of two rivals: named only when nobody else makes the move."""


@dataclass(frozen=True, order=True)
class Taken:
    """One move, and a test that makes it."""

    machine: str
    source: str
    target: str
    test: str

    @property
    def move(self) -> tuple[str, str, str]:
        return self.machine, self.source, self.target


def legal() -> list[tuple[str, str, str]]:
    """Every edge of every machine, in the order of the tables."""
    return [
        (machine, str(source), str(target))
        for machine, moves in MACHINES.values()
        for source, targets in moves.items()
        for target in sorted(targets)
    ]


def read(page: Path = PAGE) -> list[Taken]:
    """The rows of the page; none while there is no page."""
    rows: list[Taken] = []
    machine = ""
    for line in page.read_text().splitlines() if page.exists() else ():
        if heading := HEADING.match(line):
            machine = heading[1]
        elif row := ROW.match(line):
            rows.append(Taken(machine, row[1], row[2], row[3]))
    return rows


def promised(page: Path = PAGE) -> Mapping[str, set[tuple[str, str, str]]]:
    """What each named test says that it takes."""
    promises: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for row in read(page):
        promises[row.test].add(row.move)
    return promises


def best(taken: Iterable[Taken], named: Iterable[Taken] = ()) -> list[Taken]:
    """One test for every move: the one that the page names already, else the nearest to the activities."""
    kept = {row.move: row.test for row in named}
    found: dict[tuple[str, str, str], Taken] = {}
    for one in sorted(taken, key=lambda one: (one.test != kept.get(one.move), *_rank(one.test))):
        found.setdefault(one.move, one)
    return [found[move] for move in legal() if move in found]


def _rank(test: str) -> tuple[int, bool, bool, str]:
    place = next((place for place, folder in enumerate(PREFERRED) if test.startswith(folder)), len(PREFERRED))
    return place, any(name in test for name in BY_CHANCE), "[" in test, test


def render(rows: Iterable[Taken]) -> str:
    """The page."""
    by_machine: dict[str, list[Taken]] = defaultdict(list)
    for row in rows:
        by_machine[row.machine].append(row)
    parts = [HEAD]
    for machine, _ in MACHINES.values():
        lines = [f"| {row.source} → {row.target} | `{row.test}` |" for row in by_machine[machine]]
        parts.append("\n".join([f"\n## {machine}\n", "| move | taken by |", "|---|---|", *lines]) + "\n")
    return "".join(parts)
