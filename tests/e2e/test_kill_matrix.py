"""`kill -9` of a worker at the boundaries of every step, while bookings of every kind go through them.

`KILL_SEED=7` plays a run again, `KILL_SEEDS=3` plays three; `KILL_WHOLE=1` strikes every boundary of the matrix instead
of a sample.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from sandbox.demo.play import Played, audit
from tests.e2e.casting import PATIENCE, STORIES, Part, cast, played
from tests.e2e.matrix import CASES, ENDLESS, MATRIX, Row, registered, sample, unknown
from tests.e2e.mortals import mortal
from tests.e2e.orders import ANYBODY, Boundary, Orders, Place
from tests.e2e.stacks import Stack
from tests.e2e.verdict import looked, objections, twice_or_never

SEEDS: Final = int(os.environ.get("KILL_SEEDS", "1"))
WHOLE: Final = bool(os.environ.get("KILL_WHOLE"))
PERFORMANCES: Final = 3
AT_A_TIME: Final = 40
"""Stories; most of them wait for a step that died."""
LOOK_EVERY: Final = 4.0
"""Seconds between two looks of each of them at its booking."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


def test_every_registered_step_has_a_story() -> None:
    assert {case.step for case in CASES} == registered()


@pytest.mark.fault("K1")
@pytest.mark.parametrize("run", range(1, SEEDS + 1))
async def test_a_step_killed_at_any_boundary_changes_no_ending(
    run_dir: Path, run: int, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    chance = random.Random(seed)  # noqa: S311 - chaos, not secrets
    rows = list(MATRIX) if WHOLE else sample(chance)
    again = f"KILL_SEED={seed}{' KILL_WHOLE=1' if WHOLE else ''} pytest {Path(__file__).name}"
    print(f"run {run}, {len(rows)} of {len(MATRIX)} boundaries; to play it again: {again}")  # noqa: T201 - shown
    async with mortal(run_dir) as (stack, orders):
        parts = cast([row for row in rows if not row.case.look], chance)
        stories = await all_played(stack, parts, orders)
        await all_struck(orders)
        # One comparison takes longer than a worker lives before.
        await looks(stack, [row for row in rows if row.case.look], orders)
        await audit(stack.outside, stories)
        wrong = [(one.scenario.name, one.wrong) for one in stories if one.wrong]
        assert (wrong, await objections(stack)) == ([], [])
        # A run in which somebody was spared would prove nothing of what it did not strike.
        assert Counter(place.boundary for place, _ in orders.struck()) == Counter(
            row.boundary for row in rows
        )
        assert unknown(orders.crossed()) == set()
    record_property("injected", len(rows))
    record_property("seed", seed)


async def all_played(stack: Stack, parts: Sequence[Part], orders: Orders) -> list[Played]:
    """Play many at a time, each until it was struck wherever it had to be."""
    places, numbers = asyncio.Semaphore(AT_A_TIME), count(len(parts))

    async def one(part: Part) -> list[Played]:
        stories = []
        async with places:
            for _ in range(PERFORMANCES):
                given: dict[Place, Row] = {}
                stories.append(await played(stack.outside, part, armed(part, orders, given)))
                left = [place for place in orders.left() if place.boundary.step not in ENDLESS]
                if not (spared := [place for place in left if place in given]):
                    break
                # Another's death beside it has taken it past the boundary: it is played again.
                for place in spared:
                    orders.withdraw(place)
                part = replace(part, number=next(numbers), rows=[given[place] for place in spared])
        return stories

    return [story for stories in await asyncio.gather(*map(one, parts)) for story in stories]


async def all_struck(orders: Orders) -> None:
    """What goes round and round comes to every boundary, though the story that asked for it is over."""
    async with asyncio.timeout(PATIENCE):
        while orders.left():  # noqa: ASYNC110 - files raise no events
            await asyncio.sleep(0.5)


def armed(part: Part, orders: Orders, given: dict[Place, Row]) -> Callable[[str], None]:
    """Give the orders for a booking as it is asked for; it may be asked for more than once."""
    booked: list[str] = []

    def asked(booking_id: str) -> None:
        if booking_id in booked:
            return
        for row in part.rows:
            if (row.case.booking or 0) == len(booked):
                place = Place(row.boundary, ANYBODY if row.case.booking is None else booking_id)
                given[place] = row
                orders.give(place)
        booked.append(booking_id)

    return asked


async def looks(stack: Stack, rows: Sequence[Row], orders: Orders) -> None:
    """Have both comparisons die, at one boundary after the other."""

    async def one(row: Row) -> None:
        orders.give(Place(row.boundary))
        while Place(row.boundary) in orders.left():
            await looked(stack, row.case.step)

    async def each(step: str) -> None:
        for row in rows:
            if row.case.step == step:
                await one(row)

    await asyncio.gather(each("reconcile"), each("audit"))


@pytest.mark.fault("N1")
async def test_without_keys_and_look_ups_the_same_death_gives_back_twice(run_dir: Path) -> None:
    """Else the verdict above might be blind."""
    death = Boundary("refund", "accepted-1")
    part = Part(1, STORIES["refund in the hold"], [row for row in MATRIX if row.boundary == death])
    async with mortal(run_dir, CHAOS_UNGUARDED="1") as (stack, orders):
        stories = await all_played(stack, [part], orders)
        await audit(stack.outside, stories)
        assert orders.left() == []
        (twice,) = await twice_or_never(stack.outside)
        assert twice.startswith("Stripe has 2 of kind refund for booking:")
        assert stories[0].wrong
