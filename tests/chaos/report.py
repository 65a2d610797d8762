"""What a run tells: a table for people, JSON for the evidence."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.chaos.run import Outcome


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The run in numbers."""
    plan, evidence = outcome.plan, outcome.evidence
    return {
        "seed": plan.seed,
        "bookings": len(evidence.rows),
        "minutes": plan.minutes,
        "workers": plan.workers,
        "replay": plan.replay,
        "injected": {kind.value: count for kind, count in sorted(evidence.injected.items())},
        "endings": dict(sorted(evidence.endings.items())),
        "terminal": sum(row.is_over for row in evidence.rows),
        "attention": len(evidence.in_attention),
        "lost": len(evidence.lost),
        "violations": len(evidence.violations),
        "seconds_to_settle": round(evidence.seconds_to_settle, 1),
        "operator": dict(sorted(outcome.on_call.items())),
        "stories": evidence.stories,
        "stories_told_otherwise": evidence.untold,
        "wrong": outcome.wrong,
    }


def show(console: Console, outcome: Outcome) -> None:
    """Print what was injected, what became of the bookings, and whether that is as it should be."""
    told = as_json(outcome)
    _table(console, "Injected", told["injected"])
    _table(console, "Bookings", told["endings"])
    _table(console, "Whoever was on call", told["operator"])
    for row in outcome.evidence.in_attention:
        console.print(f"asks for a person: {row.id}, {row.ending}, {row.attention}", soft_wrap=True)
    console.print(
        f"{told['terminal']} of {told['bookings']} bookings are over, {told['attention']} ask for a person, "
        f"{told['lost']} are lost, {told['violations']} violations; settled {told['seconds_to_settle']} s after "
        f"everything was lifted; {told['stories_told_otherwise']} of {told['stories']} stories went another way.",
        soft_wrap=True,
        highlight=False,
    )
    for sentence in told["wrong"]:
        console.print(f"NOT AS IT SHOULD BE: {sentence}", style="bold red", soft_wrap=True, highlight=False)
    console.print(f"To play this again: {told['replay']}", soft_wrap=True, highlight=False)


def _table(console: Console, title: str, counts: dict[str, int]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for name, count in counts.items():
        table.add_row(name, str(count))
    console.print(table)
