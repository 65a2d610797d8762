"""Every boundary of every step, and the stories that go through it.

The numbers are those of an attempt that nothing happens to, in any of the case's stories. A boundary that most bookings
cross and that is not in the matrix fails the run, so the numbers cannot grow old in silence.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final, get_type_hints

from activities.wiring import Activities
from tests.e2e.orders import Boundary


@dataclass(frozen=True)
class Case:
    """What a step does in some stories."""

    step: str
    does: str
    stories: tuple[str, ...] = ()
    writes: int = 0
    commits: int = 0
    booking: int | None = 0
    """Which booking of the story it is about; None where its workflow is not a booking's."""
    look: bool = False
    """Asked for by ops, not part of any story."""
    long: bool = False
    """Not until minutes have passed: only when the whole matrix is played."""

    def boundaries(self) -> Iterator[Boundary]:
        """Before it begins, both sides of every write, after every commit, and when it has returned."""
        yield Boundary(self.step, "begun-1")
        for number in range(1, self.writes + 1):
            yield Boundary(self.step, f"sent-{number}")
            yield Boundary(self.step, f"accepted-{number}")
        for number in range(1, self.commits + 1):
            yield Boundary(self.step, f"committed-{number}")
        yield Boundary(self.step, "returned-1")


@dataclass(frozen=True)
class Row:
    """One boundary of one case."""

    case: Case
    boundary: Boundary


STURDY: Final = (
    "happy path",
    "charged at once",
    "cancelled in time",
    "charged, cancelled",
    "rejected",
    "cancelled late",
    "provider cancels",
    "client did not come",
    "class called off",
    "hold changed",
    "refund, reversed",
)
"""What is booked by any of these is booked like everything else."""

CASES: Final = (
    Case("reserve", "draft", STURDY, commits=2),
    Case("open_payment", "a customer and a PaymentIntent", STURDY, writes=2, commits=4),
    Case("open_payment", "a customer and a SetupIntent", ("authorized later",), writes=2, commits=4),
    Case("read_payment", "authorized", STURDY, commits=1),
    Case("confirm", "projection", tuple(name for name in STURDY if name != "rejected"), commits=1),
    Case("ask_approval", "before the provider", ("rejected", "never answered"), commits=1),
    Case("close_payment", "cancel", ("nobody pays", "paid in vain"), writes=1, commits=2),
    Case("give_back", "cancel", ("rejected", "never answered"), writes=1, commits=4),
    Case("give_back", "nothing", ("nobody pays",), commits=2),
    Case("release", "the seat", ("rejected", "never answered", "nobody pays"), commits=1),
    Case("settle", "capture", ("happy path", "cancelled late", "client did not come"), writes=1, commits=4),
    Case(
        "settle",
        "cancel",
        ("cancelled in time", "provider cancels", "class called off"),
        writes=1,
        commits=4,
    ),
    Case("settle", "refund", ("charged, cancelled",), writes=1, commits=4),
    Case("settle", "nothing", ("charged at once",), commits=2),
    Case("authorize", "the kept card", ("authorized later", "rescheduled far off"), writes=2, commits=4),
    Case("renew_authorization", "capture", ("captured early",), writes=1, commits=2, long=True),
    Case("renew_authorization", "another intent", ("authorized again",), writes=3, commits=7, long=True),
    Case("replan_payment", "cancel", ("rescheduled far off",), writes=1, commits=2),
    Case(
        "mirror",
        "what others did",
        ("refund in dashboard", "dispute won in hold", "dispute lost in hold", "refund fails late"),
        commits=1,
    ),
    Case(
        "refund",
        "refund",
        ("refund in the hold", "all refunded in hold", "objection, refunded", "refund, reversed"),
        writes=1,
        commits=2,
    ),
    Case("pay_out", "transfer", ("happy path", "cancelled late", "hold changed"), writes=1, commits=2),
    Case("send_to_bank", "payout", ("sent to the bank",), writes=1, commits=3),
    Case("rebalance", "reversal", ("refund, reversed", "dispute lost later"), writes=1, commits=7),
    Case("rebalance", "debt", ("refund, owed",), commits=5),
    Case("judge_stray", "a booking after all", ("paid late",), commits=1, booking=None),
    Case("give_back_stray", "cancel", ("paid in vain",), writes=1, commits=2, booking=None),
    Case("report", "a no-show", ("contradiction",), commits=1),
    Case("reschedule", "another time", ("rescheduled", "approved"), commits=1),
    Case("record_attention", "a question", ("contradiction", "objection, released"), commits=1),
    Case("contest", "the hold", ("objection, released", "objection, refunded"), commits=1),
    Case("judge", "the objection", ("objection, released", "objection, refunded"), commits=1),
    Case("change_hold", "release", ("hold changed", "refund in the hold"), commits=1),
    Case("close_class", "called off", ("class called off",), commits=1, booking=None),
    # It goes round and round: these are its first rounds.
    Case("relay_inbox", "events and mail", STURDY, commits=4, booking=None),
    Case("reconcile", "everything", commits=1, look=True),
    Case("audit", "everything", look=True),
)

MATRIX: Final = tuple(Row(case, boundary) for case in CASES for boundary in case.boundaries())

ENDLESS: Final = frozenset({"relay_inbox", "reconcile", "audit"})
"""Steps that do as much as there is to do."""

ALWAYS: Final = (
    ("reserve", "draft"),
    ("open_payment", "a customer and a PaymentIntent"),
    ("settle", "cancel"),
    ("settle", "capture"),
    ("settle", "refund"),
    ("pay_out", "transfer"),
    ("confirm", "projection"),
)
"""Draft, create PaymentIntent, cancel, capture, refund, transfer, projection: in no run are these left out."""


def registered() -> set[str]:
    """The names of all the steps that the product's worker offers."""
    kinds: dict[str, Any] = get_type_hints(Activities)
    wired = Activities(**kinds)
    return {step.__name__ for step in [*wired.on_bookings_queue, *wired.on_stripe_queue]}


def unknown(crossed: Counter[Boundary]) -> set[Boundary]:
    """What the matrix should have: it is on the way of most bookings that need the step, not of a race's winner only."""
    found = crossed.keys() - {row.boundary for row in MATRIX}
    counted = {each for each in found if each.kind not in ("flying", "failed") and each.step not in ENDLESS}
    return {each for each in counted if crossed[each] > max(1, crossed[Boundary(each.step, "begun-1")] / 2)}


def sample(chance: Random) -> list[Row]:
    """Every kind of point of what is never left out, and one boundary of a third of what else does not take minutes."""
    always = [case for case in CASES if (case.step, case.does) in ALWAYS]
    others = [case for case in CASES if case not in always and not case.long]
    drawn = chance.sample(others, len(others) // 3)
    chosen = [row for case in always for row in _one_of_each_kind(_rows(case))]
    return chosen + [chance.choice(_rows(case)) for case in drawn]


def _rows(case: Case) -> list[Row]:
    return [row for row in MATRIX if row.case is case]


def _one_of_each_kind(rows: list[Row]) -> list[Row]:
    """The last of each: what comes before it is for another object, or a note of our own."""
    kinds = {row.boundary.kind: row for row in rows}
    if "sent" in kinds:
        del kinds["begun"]
    return list(kinds.values())
