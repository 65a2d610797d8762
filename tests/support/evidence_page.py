"""docs/evidence.md: what was injected, how often, and what came of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.faults import FAULTS

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "evidence.md"
ROW: Final = re.compile(r"^\| ([A-Z]\d+) (?:\| [^|]+ ){2}\| (\d+) \| ([\d,]+) \| (\d+) (?:\| [^|]+ ){2}\|$")
CONFIDENCE: Final = 0.95

HEAD: Final = """\
# Evidence

What the claims of the README rest on: every fault that is injected, how often, and what came of it. `make evidence` runs
all of it in its large size and writes this page; `python -m tests.evidence --from FILE...` writes it from what runs have
recorded: `make test`, which is the same with smaller numbers, and `make kills` and `make chaos`, the two large ones. The
ids are those of `tests/support/faults.py`; `pytest -m fault` runs the tests.

An injection is a test case, or as many as a test says that it made. *Failed* counts tests, whatever the reason. The bound
is the largest share of failures that {confidence:.0%} of such series without a failure would still be consistent with
(1 - {alpha}^(1/n)): it says how much the count is worth, if the injections are independent; it is no promise.
"""

TABLE: Final = """
| id | injected | has to come of it | tests | injections | failed | seeds | bound |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Tally:
    """One fault's numbers."""

    tests: int
    injected: int
    failed: int
    seeds: tuple[str, ...]

    @property
    def bound(self) -> float:
        """Upper bound of the probability of a failure, given that none was seen."""
        return 1 - (1 - CONFIDENCE) ** (1 / self.injected) if self.injected else 1.0


def tally(lines: Iterable[Mapping[str, Any]]) -> dict[str, Tally]:
    """Add up what `pytest --evidence` wrote."""
    by_fault: dict[str, list[Mapping[str, Any]]] = {fault: [] for fault in FAULTS}
    for line in lines:
        for fault in line["faults"]:
            by_fault[fault].append(line)
    return {fault: _tally(its) for fault, its in by_fault.items()}


def _tally(lines: Sequence[Mapping[str, Any]]) -> Tally:
    return Tally(
        tests=len({line["test"] for line in lines}),
        injected=sum(line["injected"] for line in lines),
        failed=sum(line["outcome"] == "failed" for line in lines),
        seeds=tuple(dict.fromkeys(seed for line in lines for seed in line["seeds"])),
    )


def render(tallies: Mapping[str, Tally], chaos: Sequence[Mapping[str, Any]]) -> str:
    """The whole page."""
    head = HEAD.format(confidence=CONFIDENCE, alpha=round(1 - CONFIDENCE, 2))
    rows = "".join(_row(fault, tallies[fault]) for fault in FAULTS)
    return head + TABLE + rows + "".join(_chaos(run) for run in chaos)


def _row(fault: str, its: Tally) -> str:
    about = FAULTS[fault]
    seeds = ", ".join(its.seeds) or "none"
    bound = "none" if its.failed or not its.injected else f"< {its.bound:.2%}"
    return (
        f"| {fault} | {about.injected} | {about.promised} | {its.tests} | {its.injected:,} | {its.failed} "
        f"| {seeds} | {bound} |\n"
    )


def _chaos(run: Mapping[str, Any]) -> str:
    """A large run of `make chaos`."""
    ended = f"{run['terminal']} ended, {run['attention']} ask for a person, {run['lost']} lost"
    settled = f"settled {run['seconds_to_settle']:.0f} s after the last fault"
    facts = [
        f"{ended}; {run['violations']} violations of an invariant",
        f"{settled}; whoever was on call: {_counts(run['operator'])}",
        f"injected: {_counts(run['injected'])}",
        f"ended as: {_counts(run['endings'])}",
    ]
    title = f"{run['bookings']} bookings, {run['minutes']:g} minutes of faults, seed {run['seed']}"
    return f"\n## `make chaos`: {title}\n\n" + "".join(f"- {fact}\n" for fact in facts)


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counted.items()))


def rows(page: Path = PAGE) -> dict[str, tuple[int, int, int]]:
    """What the page says of each fault: tests, injections, failed."""
    found = (ROW.match(line) for line in page.read_text().splitlines())
    return {
        row[1]: (int(row[2]), int(row[3].replace(",", "")), int(row[4])) for row in found if row is not None
    }
