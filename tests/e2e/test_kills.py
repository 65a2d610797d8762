"""`kill -9` of every part that holds something, while bookings are in every stage of their lives.

`E2E_ROUNDS=20 E2E_SEED=7` plays more of it; the seed of a run is in its output.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.asking import Json
from sandbox.demo.play import Played, play_all
from sandbox.demo.scenario import Scenario
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stage import Pace, Stage
from tests.e2e.processes import kill, part
from tests.e2e.stacks import PATIENCE, Stack, running

ROUNDS = int(os.environ.get("E2E_ROUNDS", "1"))
SEED = int(os.environ.get("E2E_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)

VICTIMS = {"worker": "worker.py", "api": "api.app", "temporal": "temporal server", "postgres": "postgres -D"}
KINDS = (
    "happy path",
    "nobody pays",
    "declined, then paid",
    "ended in silence",
    "approved",
    "never answered",
    "cancelled in time",
    "charged, cancelled",
    "cancelled late",
    "refund in the hold",
    "dispute won in hold",
    "objection, refunded",
    "authorized later",
    "rescheduled far off",
    "sent to the bank",
    "refund, reversed",
    "refund, owed",
    "dispute lost later",
    "class called off",
)
"""What is played in every round; those that live by seconds have no time to be killed."""

ARRIVALS = 8.0
"""Seconds over which a round's bookings arrive."""

PACE = Pace(
    unpaid_window=timedelta(seconds=8),
    payout_hold=timedelta(seconds=4),
    # A request may be repeated for a while, and "now" is good for a minute.
    silent_for=timedelta(seconds=30),
    ahead=timedelta(seconds=30),
    patience=PATIENCE,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.fault("K1", "P1", "T1"),
    pytest.mark.timeout(90 + 90 * ROUNDS),
]


class Witness:
    """Tells pytest, which shows it when the test fails, and knows which bookings are under way."""

    def __init__(self) -> None:
        self.under_way: dict[str, str] = {}
        """By the story's name, what its booking waits for."""
        self.struck: list[str] = []
        """What bookings were waiting for when something was killed, all of them."""
        self._began = time.monotonic()

    def tell(self, name: str, news: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {name}: {news}")  # noqa: T201 - how to play it again
        if news == "done":
            self.under_way.pop(name, None)
        else:
            self.under_way[name] = news

    def killed(self, name: str) -> None:
        struck = list(self.under_way.values())
        self.struck += struck
        print(f"{time.monotonic() - self._began:6.1f} s  {name} is killed with {len(struck)} under way")  # noqa: T201


def late(scenario: Scenario, seconds: float) -> Scenario:
    """The same story, begun a little later."""

    async def play(stage: Stage) -> tuple[Json, ...]:
        await asyncio.sleep(seconds)
        return await scenario.play(stage)

    return replace(scenario, play=play)


async def killing(stack: Stack, chance: random.Random, witness: Witness) -> None:
    """Kill each part once, in any order, at any moment while bookings are under way."""
    for name in chance.sample(sorted(VICTIMS), len(VICTIMS)):
        await asyncio.sleep(chance.uniform(0.5, 3.5))
        victim = part(stack.pid, VICTIMS[name])
        kill(victim)
        witness.killed(name)
        await replaced(stack, name, victim.pid)


async def replaced(stack: Stack, name: str, pid: int) -> None:
    """Wait until the stack has started another one."""
    async with asyncio.timeout(30):
        while True:
            try:
                if part(stack.pid, VICTIMS[name]).pid != pid:
                    return
            except ValueError:
                pass
            await asyncio.sleep(0.05)


async def test_bookings_survive_the_killing_of_every_part(
    run_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - chaos, not secrets
    print(f"to play this again: E2E_SEED={SEED} E2E_ROUNDS={ROUNDS}")  # noqa: T201 - pytest shows it
    witness = Witness()
    mix = {scenario.name: scenario for scenario in SCENARIOS if not scenario.hurried}
    async with running(run_dir) as stack:
        for _ in range(ROUNDS):
            stories = [late(mix[name], chance.uniform(0, ARRIVALS)) for name in KINDS]
            played, _ = await asyncio.gather(
                play_all(stack.outside, stories, PACE, witness.tell), killing(stack, chance, witness)
            )
            assert [(one.scenario.name, one.wrong) for one in played if one.wrong] == []
            await nothing_is_left_open(stack, played)
    # A run in which nothing was hit would prove nothing.
    assert len(witness.struck) >= len(VICTIMS) * ROUNDS
    record_property("injected", ROUNDS)
    record_property("seed", SEED)


async def nothing_is_left_open(stack: Stack, played: list[Played]) -> None:
    """Every booking's workflow ended of its own accord, and each client is one customer at Stripe."""
    for booking in (booking for one in played for booking in one.bookings):
        execution = await stack.closed(booking["workflow_id"])
        assert execution["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED"
    customers = await stack.outside.stripe.v1.customers.list_async({"limit": 100})
    per_client = Counter(customer.to_dict()["metadata"]["client_id"] for customer in customers.data)
    assert per_client == {"client-1": 1, "client-2": 1}
