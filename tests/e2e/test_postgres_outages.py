"""Postgres is restarted in immediate mode, and its sessions are cut in mid-transaction, while bookings are played.

`E2E_ROUNDS=20 E2E_SEED=7` plays more of it; the seed of a run is in its output.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sandbox.asking import Json
from sandbox.demo.play import Played, play_all
from sandbox.demo.scenario import Scenario
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stage import Pace, Stage
from tests.e2e.processes import part
from tests.e2e.stacks import PATIENCE, Stack, running, tell

ROUNDS = int(os.environ.get("E2E_ROUNDS", "1"))
SEED = int(os.environ.get("E2E_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)

pytestmark = [pytest.mark.e2e, pytest.mark.fault("P1"), pytest.mark.timeout(240 + 240 * ROUNDS)]

KINDS = (
    "happy path",
    "charged, cancelled",
    "approved",
    "cancelled late",
    "client did not come",
    "contradiction",
    "refund in the hold",
    "dispute won in hold",
    "objection, refunded",
    "sent to the bank",
    "refund, reversed",
    "refund, owed",
)
"""What is played in every round: whatever writes journals."""

PACE = Pace(
    # Whoever pays or says how it went may be kept from it for a while.
    payment_window=timedelta(minutes=5),
    completion_grace=timedelta(minutes=5),
    payout_hold=timedelta(seconds=4),
    silent_for=timedelta(seconds=30),
    ahead=timedelta(seconds=30),
    # What is lost with its session is tried again after half a minute, and may be lost again.
    patience=3 * PATIENCE,
)

RESTARTS = 2
CUTS_PER_RESTART = 3
ARRIVALS = 12.0
"""Seconds over which a round's bookings arrive, so that something is under way for as long as blows fall."""

CADENCE = (1.0, 3.0)
"""Seconds between two blows, at least and at most."""

CUT = """
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""
"""Every session that is in the middle of a transaction, and none that only waits."""

CUT_ALL = CUT.replace(" AND xact_start IS NOT NULL", "")
HALF_JOURNALS = """
    SELECT journal_id FROM ledger_entries GROUP BY journal_id, currency
    HAVING sum(CASE side WHEN 'debit' THEN amount ELSE -amount END) <> 0
"""


class Blows:
    """Counts what was done to Postgres, and says when."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self._url = stack.described.database_url.replace("+asyncpg", "")
        self._stack = stack
        self._chance = chance
        self.restarts = 0
        self.cut = 0

    async def fall(self) -> None:
        """While bookings are played: cut what is in a transaction, cut everything, restart; a round of each."""
        for _ in range(RESTARTS):
            for _ in range(CUTS_PER_RESTART):
                await asyncio.sleep(self._chance.uniform(*CADENCE))
                await self._cut_in_mid_transaction()
            self.cut += await self._ask(CUT_ALL)
            await asyncio.sleep(self._chance.uniform(*CADENCE))
            await self._restart()

    async def _cut_in_mid_transaction(self) -> None:
        """Transactions are short: look until one is met."""
        while not (met := await self._ask(CUT)):  # noqa: ASYNC110 - it is behind a socket
            await asyncio.sleep(0.005)
        self.cut += met

    async def _restart(self) -> None:
        """SIGQUIT is the immediate mode: nothing is finished, nothing is written back; the stack starts it again."""
        victim = part(self._stack.pid, "postgres -D")
        os.kill(victim.pid, signal.SIGQUIT)
        self.restarts += 1
        print(f"restarted after {self.cut} sessions were cut")  # noqa: T201 - pytest shows it
        await self._ask("SELECT 1")

    async def _ask(self, query: str) -> int:
        """As soon as Postgres lets us."""
        async with asyncio.timeout(30):
            while True:
                try:
                    connection = await asyncpg.connect(self._url, timeout=5)
                    try:
                        return int(await connection.fetchval(query))
                    finally:
                        await connection.close()
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await asyncio.sleep(0.05)

    async def half_journals(self) -> list[str]:
        connection = await asyncpg.connect(self._url)
        try:
            return [str(row["journal_id"]) for row in await connection.fetch(HALF_JOURNALS)]
        finally:
            await connection.close()


async def test_bookings_end_as_they_should_while_postgres_falls_again_and_again(
    run_dir: Path, record_property: Callable[[str, Any], None]
) -> None:
    print(f"to play this again: E2E_SEED={SEED} E2E_ROUNDS={ROUNDS}")  # noqa: T201 - pytest shows it
    record_property("seed", SEED)
    chance = random.Random(SEED)  # noqa: S311 - chaos, not secrets
    mix = {scenario.name: scenario for scenario in SCENARIOS}
    async with running(run_dir) as stack:
        blows = Blows(stack, chance)
        for _ in range(ROUNDS):
            stories = [late(mix[name], chance.uniform(0, ARRIVALS)) for name in KINDS]
            played, _ = await asyncio.gather(play_all(stack.outside, stories, PACE, tell), blows.fall())
            assert [(one.scenario.name, one.wrong) for one in played if one.wrong] == []
            assert await blows.half_journals() == []
            await nothing_is_left_open(stack, played)
        assert await findings_of_an_audit(stack) == []
    # A run in which nothing was hit would prove nothing.
    assert blows.cut >= RESTARTS * CUTS_PER_RESTART * ROUNDS
    record_property("injected", blows.restarts + blows.cut)


async def findings_of_an_audit(stack: Stack) -> list[str]:
    """Every invariant of ledger and states, by the product's own audit."""
    ops = stack.outside.ops
    async with asyncio.timeout(PATIENCE):
        while not (await ops.post("/api/ops/audit"))["finished"]:  # noqa: ASYNC110 - it is behind HTTP
            await asyncio.sleep(0.2)
    return [f"{found['rule']}: {found['detail']}" for found in (await ops.get("/api/ops/findings"))["items"]]


def late(scenario: Scenario, seconds: float) -> Scenario:
    """The same story, begun a little later."""

    async def play(stage: Stage) -> tuple[Json, ...]:
        await asyncio.sleep(seconds)
        return await scenario.play(stage)

    return replace(scenario, play=play)


async def nothing_is_left_open(stack: Stack, played: list[Played]) -> None:
    """Every booking's workflow ended of its own accord, and each client is one customer at Stripe."""
    for booking in (booking for one in played for booking in one.bookings):
        execution = await stack.closed(booking["workflow_id"])
        assert execution["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED"
    customers = await stack.outside.stripe.v1.customers.list_async({"limit": 100})
    per_client = Counter(customer.to_dict()["metadata"]["client_id"] for customer in customers.data)
    assert per_client == {"client-1": 1, "client-2": 1}
