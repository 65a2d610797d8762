"""Workers are replaced one after the other, as a deployment does, while bookings are in every stage of their lives.

A step that Temporal hands to a worker in the moment in which it stops asking is tried again after its timeout, half a
minute later: that is Temporal's. What has been begun is ours, and has to come to its end.
"""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from sandbox.demo.play import play_all
from sandbox.demo.scenarios import SCENARIOS
from sandbox.parts import WORKER_GRACE
from tests.e2e.casting import IN_SILENCE
from tests.e2e.mortals import mortal
from tests.e2e.processes import Proc, descendants
from tests.e2e.stacks import PATIENCE, Stack, tell
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
TURNS: Final = 4
"""How often each is replaced: for less than a minute, in which most stories end; the others wait for their session."""

pytestmark = [pytest.mark.e2e, pytest.mark.fault("K3"), pytest.mark.timeout(900)]


async def test_no_booking_notices_that_workers_are_replaced(
    run_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    stories = [scenario for scenario in SCENARIOS if scenario.name in KINDS]
    async with mortal(run_dir, WORKERS=str(len(WORKERS))) as (stack, orders):
        played, _ = await asyncio.gather(
            play_all(stack.outside, stories, IN_SILENCE, tell), replaced_in_turn(stack)
        )
        assert [(one.scenario.name, one.wrong) for one in played if one.wrong] == []
        assert await objections(stack) == []
        assert orders.crossed()
        assert orders.cut() == []
        assert [said for name in WORKERS for said in ends(stack, name)] == (
            ["exited with status 0"] * TURNS * len(WORKERS)
        )
    record_property("injected", TURNS * len(WORKERS))


async def replaced_in_turn(stack: Stack) -> None:
    """Ask one worker after the other to stop, and wait for its successor."""
    for turn, name in product(range(1, TURNS + 1), WORKERS):
        # The stack is ready a moment before all its workers are.
        await has_come(stack, name, turn)
        os.kill(worker_of(stack, name).pid, signal.SIGTERM)
        await has_come(stack, name, turn + 1)


async def has_come(stack: Stack, name: str, times: int) -> None:
    """Wait for the worker to come to work for the second, third ... time; longer than the stack itself would."""
    async with asyncio.timeout(WORKER_GRACE + PATIENCE):
        while lives(stack, name) < times:  # noqa: ASYNC110 - a log raises no event
            await asyncio.sleep(0.1)


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
