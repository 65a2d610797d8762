"""A worker that stands still in the middle of a money step goes on beside whoever has tried the step again meanwhile.

`ZOMBIE_SEED=7` plays a run again, `ZOMBIE_ROUNDS=3` plays more of them.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from sandbox.demo.play import audit
from tests.e2e.casting import STORIES, Part, played
from tests.e2e.mortals import mortal
from tests.e2e.orders import Boundary, Orders, Place
from tests.e2e.stacks import Stack
from tests.e2e.verdict import objections

ROUNDS: Final = int(os.environ.get("ZOMBIE_ROUNDS", "1"))
STILL: Final = 45.0
"""Seconds; a step may take thirty."""

MONEY: Final = {"settle": "happy path", "pay_out": "happy path", "refund": "refund in the hold"}
"""Capture, transfer, refund."""
POINTS: Final = ("sent-1", "flying-1", "accepted-1")
"""Before the write leaves, while Stripe takes its time over it, and when its answer is there."""
WRITES: Final = ("/v1/payment_intents/*/capture", "/v1/transfers", "/v1/refunds")
SLOW: Final = 2.0

pytestmark = [pytest.mark.e2e, pytest.mark.fault("K2"), pytest.mark.timeout(240 + 480 * ROUNDS)]


async def test_a_worker_that_stood_still_does_nothing_a_second_time(
    run_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("ZOMBIE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    chance = random.Random(seed)  # noqa: S311 - chaos, not secrets
    print(f"to play this again: ZOMBIE_SEED={seed} ZOMBIE_ROUNDS={ROUNDS}")  # noqa: T201 - pytest shows it
    stood = 0
    # Each step stops one, and somebody has to be left to try again.
    async with mortal(run_dir, WORKERS=str(len(MONEY) + 1)) as (stack, orders):
        await slowed(stack)
        for number in range(ROUNDS):
            points = chance.sample(POINTS, len(POINTS))
            boundaries = [Boundary(step, point) for step, point in zip(MONEY, points, strict=True)]
            stood += await stood_still(stack, orders, boundaries, chance.randrange(len(MONEY)), number)
        assert await objections(stack) == []
    record_property("injected", stood)
    record_property("seed", seed)


async def slowed(stack: Stack) -> None:
    """Let Stripe take its time over every write that moves money."""
    for path in WRITES:
        slow = {"match": {"method": "POST", "path": path}, "action": "slow", "seconds": SLOW, "times": -1}
        await stack.outside.control.post("/faults", **slow)  # type: ignore[union-attr]


async def stood_still(
    stack: Stack, orders: Orders, boundaries: Sequence[Boundary], twice: int, number: int
) -> int:
    """Stop a worker at each of the boundaries, and let them all go on at once; answers how many it were.

    Who tries `twice` again is stopped at the same boundary, if it gets there: so both go on at the same moment.
    """
    places: list[Place] = []

    def armed(boundary: Boundary) -> Callable[[str], None]:
        def asked(booking_id: str) -> None:
            place = Place(boundary, booking_id)
            if place not in places:
                places.append(place)
                orders.give(place, signal.SIGSTOP)

        return asked

    before = len(orders.struck())
    parts = [Part(10 * number + place, STORIES[MONEY[each.step]]) for place, each in enumerate(boundaries)]
    everybody = asyncio.gather(
        *(played(stack.outside, part, armed(each)) for part, each in zip(parts, boundaries, strict=True))
    )
    try:
        await until_struck(orders, before + len(boundaries))
        again = next(place for place in places if place.boundary == boundaries[twice])
        orders.give(again, signal.SIGSTOP)
        await asyncio.sleep(STILL)
        orders.withdraw(again)
    finally:
        go_on(orders)
    stories = await everybody
    await audit(stack.outside, stories)
    assert [(one.scenario.name, one.wrong) for one in stories if one.wrong] == []
    # A worker that stood still while nobody else tried would prove nothing.
    tried = [orders.times(replace(place, boundary=begun(place.boundary))) for place in places]
    assert min(tried) > 1
    return len(orders.struck()) - before


async def until_struck(orders: Orders, many: int) -> None:
    async with asyncio.timeout(240):
        while len(orders.struck()) < many:  # noqa: ASYNC110 - files raise no event
            await asyncio.sleep(0.1)


def go_on(orders: Orders) -> None:
    for _, pid in orders.struck():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def begun(boundary: Boundary) -> Boundary:
    return replace(boundary, point="begun-1")
