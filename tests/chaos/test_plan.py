import itertools

import pytest

from sandbox.demo.scenarios import SCENARIOS
from tests.chaos.plan import ANYTHING, GROUPS, UNFIT, UNGUARDED, Kind, Plan, draw, stories

SIZES = [(20, 0.5), (200, 5.0)]
SEEDS = range(1, 21)


def plans() -> list[Plan]:
    return [draw(seed, *size) for seed in SEEDS for size in SIZES]


def test_a_seed_makes_the_same_plan_every_time() -> None:
    assert plans() == plans()
    assert len({plan.arrivals for plan in plans()}) == len(plans())
    assert len({plan.disasters for plan in plans()}) == len(plans())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_kind_of_disaster_strikes_within_the_fault_time(size: tuple[int, float]) -> None:
    for seed in SEEDS:
        plan = draw(seed, *size)
        assert {disaster.kind for disaster in plan.disasters} == set(Kind)
        assert all(one.at > 0 and one.at + one.lasts < plan.seconds for one in plan.disasters)


def test_every_kind_belongs_to_one_group() -> None:
    assert sorted(kind for group in GROUPS for kind in group) == sorted(Kind)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: next(iter(group)).name)
def test_two_of_a_group_never_overlap(group: dict[Kind, float]) -> None:
    for plan in plans():
        struck = [one for one in plan.disasters if one.kind in group]
        assert all(one.at + one.lasts < other.at for one, other in itertools.pairwise(struck))


def test_the_first_fault_of_each_kind_is_for_any_write() -> None:
    """Whatever comes is hit by it, so that a kind is not left out for want of a victim."""
    for plan in plans():
        first = {one.kind: one.target for one in reversed(plan.disasters)}
        assert set(first.values()) == {ANYTHING}


def test_there_are_as_many_bookings_as_asked_for_and_every_story_comes_before_any_again() -> None:
    for plan in plans():
        known = stories(plan.minutes)
        told = [arrival.story for arrival in plan.arrivals]
        bookings = sum(len(known[story].endings) for story in told)
        assert plan.bookings <= bookings <= plan.bookings + 1
        counts = [told.count(story) for story in known]
        assert max(counts) - min(counts) <= 1


def test_everything_that_the_demo_knows_is_played_but_what_is_named() -> None:
    names = {scenario.name for scenario in SCENARIOS}
    assert names >= UNFIT
    assert stories(5).keys() == names - UNFIT


def test_workers_without_guards_are_struck_where_it_hurts() -> None:
    plan = draw(7, 20, 0.5)
    assert {one.target for one in plan.unguarded.disasters} == set(UNGUARDED)
    assert [(one.at, one.kind) for one in plan.unguarded.disasters] == [
        (one.at, one.kind) for one in plan.disasters
    ]


def test_a_plan_names_the_command_that_plays_it_again() -> None:
    assert draw(7, 20, 0.5).replay == "make chaos SEED=7 BOOKINGS=20 MINUTES=0.5"
