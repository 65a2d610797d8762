"""What operators run: the schedules that every worker keeps, and the same looks by hand (DESIGN 8)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete
from temporalio.client import Client, ScheduleOverlapPolicy

import ops
import worker
from activities.findings import Findings, Observation
from activities.watching import keep_schedules
from activities.wiring import build
from models.database import Database
from models.records import Finding
from settings import PolicyDefaults
from tests.activities.desk import Desk
from tests.support.dev_server import own_temporal
from tests.support.scratch import scratch_database
from workflows.contracts import AUDIT_ID, RECONCILIATION_ID
from workflows.followups import Found


@pytest.fixture(scope="module")
async def quiet_temporal() -> AsyncIterator[Client]:
    """A Temporal of these tests' own: what runs there looks at every booking that it finds."""
    async with own_temporal() as client:
        yield client


@pytest.fixture
async def at_work(database_url: str, desk: Desk, quiet_temporal: Client) -> AsyncIterator[Database]:
    """The product's workers, on a database of the test's own."""
    async with AsyncExitStack() as running:
        database = await running.enter_async_context(scratch_database(database_url))
        activities = build(database, desk.gateway, quiet_temporal, PolicyDefaults())
        for one in worker.workers(quiet_temporal, activities, requests_per_second=1000):
            await running.enter_async_context(one)
        yield database


async def test_every_worker_may_come_with_the_schedules(quiet_temporal: Client) -> None:
    for _ in range(2):
        await keep_schedules(quiet_temporal)
    every = {RECONCILIATION_ID: timedelta(minutes=5), AUDIT_ID: timedelta(hours=1)}
    for schedule_id, interval in every.items():
        found = (await quiet_temporal.get_schedule_handle(schedule_id).describe()).schedule
        assert [one.every for one in found.spec.intervals] == [interval]
        assert found.policy.overlap is ScheduleOverlapPolicy.SKIP


async def test_a_schedule_that_somebody_paused_or_changed_is_what_it_should_be_but_stays_paused(
    quiet_temporal: Client,
) -> None:
    await keep_schedules(quiet_temporal)
    handle = quiet_temporal.get_schedule_handle(RECONCILIATION_ID)
    await handle.pause(note="maintenance")
    await keep_schedules(quiet_temporal)
    found = (await handle.describe()).schedule
    assert found.state.paused
    await handle.unpause()
    await keep_schedules(quiet_temporal)
    assert not (await handle.describe()).schedule.state.paused


@pytest.mark.parametrize("which", [RECONCILIATION_ID, AUDIT_ID])
async def test_a_look_by_hand_runs_through_a_worker_and_says_that_all_is_well(
    quiet_temporal: Client, at_work: Database, which: str
) -> None:
    told, well = await ops.look(quiet_temporal, at_work, which)
    assert well
    assert "Open findings: none." in told


async def test_a_look_lists_what_stands_and_does_not_say_that_all_is_well(
    quiet_temporal: Client, at_work: Database
) -> None:
    subject = f"po_{uuid4().hex}"
    await Findings(at_work).report(["a rule of ours"], [Observation("a rule of ours", subject, "gone")])
    told, well = await ops.look(quiet_temporal, at_work, AUDIT_ID)
    assert not well
    assert "a rule of ours" in told
    assert f"{subject}: gone" in told
    await at_work.run(lambda session: session.execute(delete(Finding)))
    assert (await ops.look(quiet_temporal, at_work, AUDIT_ID))[1]


def test_the_table_says_what_was_made_good() -> None:
    told = ops.table(Found(repaired={"runs": 2, "events": 0}), [])
    assert told == "Made good:\n     2  runs\nOpen findings: none."


@pytest.mark.parametrize("name", ops.COMMANDS)
def test_every_command_says_what_it_is_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], [name, "--help"]):
        with pytest.raises(SystemExit, match="0"):
            ops.parser().parse_args(arguments)
        said = " ".join(capsys.readouterr().out.split())
        assert ops.COMMANDS[name][1:40] in said
