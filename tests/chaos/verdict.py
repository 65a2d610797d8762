"""What a run comes to: pure, so that tests can hand it harm of every kind."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from models.states import PAYOUT_OPEN, TERMINAL_BOOKING
from tests.chaos.plan import Kind, Plan, stories

TERMINAL_AT_LEAST: Final = 0.999
"""Part of the bookings; the rest may ask for a person, never be lost."""

MADE_AT_LEAST: Final = 0.5
"""Part of the planned bookings that somebody really got; a machine that does other things too is slow."""

PAID_AT_LEAST: Final = 0.3
"""Part of the payouts that the stories would end with if nothing struck."""

STRUCK_AT_LEAST: Final = 0.5
"""Part of the disasters that found bookings under way."""


@dataclass(frozen=True)
class Row:
    """A booking as Postgres has it in the end."""

    id: str
    status: str
    payout: str | None = None
    attention: str | None = None
    """The step that asks for a person, and why."""

    @property
    def is_over(self) -> bool:
        """Nothing is left to happen."""
        return self.status in TERMINAL_BOOKING and self.payout not in PAYOUT_OPEN

    @property
    def ending(self) -> str:
        """Booking and payout in two words."""
        return f"{self.status}, payout {self.payout or 'none'}"


@dataclass(frozen=True)
class Evidence:
    """Everything that is known when all is said and done."""

    rows: tuple[Row, ...]
    promised: frozenset[str] = frozenset()
    """Bookings that the API told somebody about."""
    refused: frozenset[str] = frozenset()
    """Those of them that were refused after all."""
    open_workflows: tuple[str, ...] = ()
    failed_workflows: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    """Of an invariant, at Stripe, or found by an audit that ops asked for."""
    injected: Mapping[Kind, int] = field(default_factory=dict)
    struck: int = 0
    stories: int = 0
    untold: int = 0
    """Stories that did not go as the demo tells them."""
    seconds_to_settle: float = 0.0

    @property
    def endings(self) -> Counter[str]:
        """How many bookings ended how."""
        return Counter(row.ending for row in self.rows if row.is_over)

    @property
    def in_attention(self) -> tuple[Row, ...]:
        """Bookings that are not over and ask for a person, with a workflow that waits for the answer."""
        waiting = set(self.open_workflows)
        return tuple(
            row
            for row in self.rows
            if not row.is_over and row.attention and not waiting.isdisjoint(_carers(row.id))
        )

    @property
    def lost(self) -> tuple[str, ...]:
        """Bookings that are neither over nor anybody's, and those that were promised and are not there."""
        asked = {row.id for row in self.in_attention}
        left = {f"{row.id}: {row.ending}" for row in self.rows if not row.is_over and row.id not in asked}
        known = {row.id for row in self.rows} | self.refused
        return tuple(sorted(left | {f"{one}: promised, and not there" for one in self.promised - known}))


def judge(plan: Plan, evidence: Evidence) -> list[str]:
    """Everything that is wrong, as sentences; empty when the run has proved something."""
    over = sum(row.is_over for row in evidence.rows)
    wrong = [f"violation: {one}" for one in evidence.violations]
    wrong += [f"lost: {one}" for one in evidence.lost]
    wrong += [f"a workflow ended as it never should: {one}" for one in evidence.failed_workflows]
    asked = {carer for row in evidence.in_attention for carer in _carers(row.id)}
    wrong += [f"a workflow is still open: {one}" for one in evidence.open_workflows if one not in asked]
    if over < TERMINAL_AT_LEAST * len(evidence.rows):
        wrong.append(f"only {over} of {len(evidence.rows)} bookings are over")
    return wrong + _too_little(plan, evidence)


def _too_little(plan: Plan, evidence: Evidence) -> list[str]:
    """A run in which nothing happened proves nothing."""
    wrong = [f"never happened: {kind}" for kind in _planned(plan) if not evidence.injected.get(kind)]
    known = stories(plan.minutes)
    payouts = [end.payout for one in plan.arrivals for end in known[one.story].endings]
    paid = sum(row.payout == "PAID" for row in evidence.rows)
    happened = sum(evidence.injected.values())
    for what, count, wanted in (
        ("bookings were made", len(evidence.rows), MADE_AT_LEAST * plan.bookings),
        ("payouts were made", paid, PAID_AT_LEAST * payouts.count("PAID")),
        ("disasters found bookings under way", evidence.struck, STRUCK_AT_LEAST * happened),
    ):
        if count < wanted:
            wrong.append(f"only {count} {what}, at least {wanted:.0f} should be")
    return wrong


def _planned(plan: Plan) -> list[Kind]:
    return sorted({disaster.kind for disaster in plan.disasters})


def _carers(booking_id: str) -> tuple[str, str]:
    return f"booking-{booking_id}", f"aftercare-{booking_id}"
