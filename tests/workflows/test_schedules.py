"""Random schedules of events, told to the real workflow and to the pure model: both end the same (FAULTS M4).

`M4_EXAMPLES=2000` plays that many instead of the few that every run plays.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from models.policy import Policy
from models.saga import events, reducer
from models.saga.events import Event
from models.saga.standing import Saga
from models.states import ReportedOutcome, Role
from tests.model.shop import Reduce
from tests.support.properties import examples
from tests.workflows.saga import Sagas
from tests.workflows.twice import HOUR, Happening, Twice

SCHEDULES: Final = examples("M4_EXAMPLES", usual=20, nightly=1_000)
SETTINGS: Final = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
"""A booking that is left behind by an example disturbs no other one."""

Schedule = tuple[str, timedelta, list[Happening]]
LONGEST: Final = 7

pytestmark = pytest.mark.fault("M4")

POLICIES: Final = {
    "plain": Policy(),
    "asking": Policy(approval="provider"),
    "charged at once": Policy(capture="on_payment"),
    "strict": Policy(strict_payment_failure=True, approval="provider"),
    "authorized anew": Policy(authorization_expiry="reauthorize", payout_hold=timedelta(0)),
    "to the bank": Policy(payout_schedule="manual", client_no_show_keep_bps=5_000),
}
AHEAD: Final = [5 * HOUR, 30 * HOUR, 72 * HOUR, 480 * HOUR]
OFF: Final = timedelta(minutes=33, seconds=33)
"""No session starts, and nothing that depends on that is due, at the instant of an event."""

UNTIL_THE_OUTCOME: Final = (
    "pays",
    "is_refused",
    "accepts",
    "rejects",
    "cancels",
    "completes",
    "misses_the_client",
    "misses_the_provider",
    "decides_between_two",
    "moves",
)
AFTERWARDS: Final = (
    "gives_back",
    "disputes",
    "wins",
    "loses",
    "objects",
    "sides_with_the_provider",
    "extends",
    "releases",
    "may_not_be_paid",
    "may_be_paid",
)
OUTCOMES: Final = (
    ("completes", Role.PROVIDER, 1),
    ("completes", Role.CLIENT, 2),
    ("misses_the_client", Role.PROVIDER, 1),
    ("misses_the_provider", Role.CLIENT, 1),
    ("cancels", Role.CLIENT, -3),
)
"""What, by whom, and how many hours after the start."""

NO_MATTER: Final = ("starts_again", "stumbles")
ANYTHING: Final = UNTIL_THE_OUTCOME + AFTERWARDS


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """A policy, how far off the session is, and what happens: first what usually does, then anything."""
    ahead = draw(st.sampled_from(AHEAD))
    outcome, by, after = draw(st.sampled_from(OUTCOMES))
    usual = [
        Happening("pays", part=draw(st.integers(1, 3))),
        Happening(draw(st.sampled_from(["accepts", "accepts", "accepts", "rejects"]))),
        Happening(outcome, hours=ahead // HOUR + after, role=by),
    ]
    stage = draw(st.sampled_from([3, 3, 2, 1, 1, 0]))
    fitting = AFTERWARDS if stage == len(usual) else UNTIL_THE_OUTCOME
    anything = st.builds(
        Happening,
        what=st.one_of(*(st.sampled_from(names) for names in (fitting, fitting, ANYTHING, NO_MATTER))),
        hours=st.sampled_from([0, 1, 5, 26, 75]),
        role=st.sampled_from([Role.CLIENT, Role.PROVIDER, Role.OPS]),
        part=st.integers(1, 3),
    )
    happenings = usual[:stage] + draw(st.lists(anything, min_size=2, max_size=LONGEST))
    return draw(st.sampled_from([*POLICIES])), ahead, happenings


@pytest.fixture
def endings() -> Iterator[Counter[str]]:
    """How the bookings ended; schedules by which nothing happens would prove nothing."""
    seen: Counter[str] = Counter()
    yield seen
    assert {*seen} >= USUAL | (RARE if SCHEDULES >= MANY else set()), seen


USUAL: Final = frozenset({"COMPLETED", "CANCELLED", "PAID", "refunded"})
RARE: Final = frozenset({"FORFEIT", "NO_SHOW", "REJECTED", "reversed", "started again"})
MANY: Final = 500
"""Examples among which the rare ones have to be."""


@pytest.mark.timeout(60 + 10 * SCHEDULES)
@settings(SETTINGS, max_examples=SCHEDULES)
@given(schedule=schedules())
async def test_the_workflow_ends_where_the_model_ends(
    sagas: Sagas, endings: Counter[str], schedule: Schedule
) -> None:
    note(f"{schedule}")
    both = await played(sagas, schedule)
    assert both.picture() == both.told.picture()
    endings.update(happened(both))


async def played(sagas: Sagas, schedule: Schedule, reduce: Reduce = reducer.reduce) -> Twice:
    policy, ahead, happenings = schedule
    both = await Twice.begin(sagas, POLICIES[policy], ahead + OFF, reduce)
    for happening in happenings:
        await both.happens(happening)
    await both.ends()
    return both


def happened(both: Twice) -> set[str]:
    world = both.world
    again = world.steps().count("reserve") > 1
    facts = {"refunded": world.refunded, "reversed": world.books.reversed, "started again": again}
    return {what for what, fact in facts.items() if fact} | {
        str(world.booking.status),
        str(world.booking.payout_status),
    }


# --- and a difference would be found ----------------------------------------------------------------


def asks_nothing_for_a_late_cancellation(saga: Saga, event: Event) -> Saga:
    """Lets everybody go for free."""
    after = reducer.reduce(saga, event)
    free = isinstance(event, events.Cancelled) and after.decision is not None
    return replace(after, decision=replace(after.decision, keep=0)) if free and after.decision else after


def takes_silence_for_a_yes(saga: Saga, event: Event) -> Saga:
    """Confirms what its provider never answered."""
    if isinstance(event, events.Silence):
        event = events.Answered(event.at - HOUR, accepts=True)
    return reducer.reduce(saga, event)


def forgets_who_did_not_come(saga: Saga, event: Event) -> Saga:
    """Hears of no provider who did not come."""
    claim = isinstance(event, events.Reported) and event.kind is ReportedOutcome.PROVIDER_NO_SHOW
    return saga if claim else reducer.reduce(saga, event)


TOLD_WRONG: Final = (
    (asks_nothing_for_a_late_cancellation, [Happening("pays"), Happening("cancels", hours=60)]),
    (takes_silence_for_a_yes, [Happening("pays")]),
    (forgets_who_did_not_come, [Happening("pays"), Happening("misses_the_provider", hours=73)]),
)


@pytest.mark.parametrize(("wrong", "happenings"), TOLD_WRONG, ids=lambda told: getattr(told, "__name__", ""))
async def test_a_model_that_decides_otherwise_is_found(
    sagas: Sagas, wrong: Reduce, happenings: list[Happening]
) -> None:
    policy = "asking" if wrong is takes_silence_for_a_yes else "plain"
    both = await played(sagas, (policy, 72 * HOUR, happenings), wrong)
    assert both.picture() != both.told.picture()
