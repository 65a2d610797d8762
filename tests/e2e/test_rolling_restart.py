"""Workers are replaced one after the other, as a deployment does, while bookings are in every stage of their lives.

A step that Temporal hands to a worker in the moment in which it stops asking is tried again after its timeout, half a
minute later: that is Temporal's. What has been begun is ours, and has to come to its end.
"""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from sandbox.demo.play import play_all
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stage import Pace
from sandbox.parts import WORKER_GRACE
from tests.e2e.mortals import mortal
from tests.e2e.processes import Proc, descendants
from tests.e2e.stacks import PATIENCE, Stack
from tests.e2e.verdict import objections

WORKERS: Final = ("worker", "worker-2")
KINDS: Final = (
    "happy path",
    "nobody pays",
    "declined, then paid",
    "ended in silence",
    "approved",
    "never answered",
    "charged, cancelled",
    "cancelled late",
    "refund in the hold",
    "dispute won in hold",
    "objection, refunded",
    "authorized later",
    "sent to the bank",
    "refund, reversed",
    "refund, owed",
    "class called off",
)
PACE: Final = Pace(
    payout_hold=timedelta(seconds=8),
    silent_for=timedelta(seconds=30),
    ahead=timedelta(seconds=30),
    patience=PATIENCE,
)
pytestmark = [pytest.mark.e2e, pytest.mark.fault("K3"), pytest.mark.timeout(300)]


async def test_no_booking_notices_that_workers_are_replaced(
    run_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    stories = [scenario for scenario in SCENARIOS if scenario.name in KINDS]
    async with mortal(run_dir, WORKERS=str(len(WORKERS))) as (stack, orders):
        over = asyncio.Event()
        replacing = asyncio.create_task(replaced_in_turn(stack, over))
        try:
            played = await play_all(stack.outside, stories, PACE, lambda _name, _news: None)
        finally:
            over.set()
        replaced = await replacing
        assert [(one.scenario.name, one.wrong) for one in played if one.wrong] == []
        assert await objections(stack) == []
        assert orders.crossed()
        assert orders.cut() == []
        assert [said for name in WORKERS for said in ends(stack, name)] == ["exited with status 0"] * replaced
    # Each of them more than once, or nothing would have been rolled.
    assert replaced >= 2 * len(WORKERS)
    record_property("injected", replaced)


async def replaced_in_turn(stack: Stack, over: asyncio.Event) -> int:
    """Ask one worker after the other to stop, and wait for its successor, until all stories are over."""
    replaced = 0
    while not over.is_set():
        name = WORKERS[replaced % len(WORKERS)]
        before = lives(stack, name)
        os.kill(worker_of(stack, name).pid, signal.SIGTERM)
        # Longer than the stack itself would let it try.
        async with asyncio.timeout(WORKER_GRACE + PATIENCE):
            while lives(stack, name) == before:  # noqa: ASYNC110 - a log raises no event
                await asyncio.sleep(0.1)
        replaced += 1
    return replaced


def worker_of(stack: Stack, name: str) -> Proc:
    """The worker of that name, by the pid that the stack has written down."""
    pid = stack.process.run_dir / "pids" / f"{name}.json"
    (found,) = [each for each in descendants(stack.pid) if f'"pid": {each.pid},' in pid.read_text()]
    return found


def lives(stack: Stack, name: str) -> int:
    """How often the worker has come to work."""
    return log_of(stack, name).count('"worker started"')


def ends(stack: Stack, name: str) -> list[str]:
    """How each of the worker's lives ended; the stack may have said so in the middle of a line."""
    return re.findall(rf"-- {name} (.*?); starting it again", log_of(stack, name))


def log_of(stack: Stack, name: str) -> str:
    return (stack.process.run_dir / "logs" / f"{name}.log").read_text()
