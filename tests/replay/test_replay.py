"""History is an API: what was recorded must be played again, step for step, by today's code."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowContinuedAsNewError, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker
from temporalio.workflow import NondeterminismError

from tests.replay.mutated import SwappedBookingWorkflow
from tests.replay.paths import PATHS
from tests.replay.record import HISTORIES, version
from tests.support.dev_server import own_temporal
from worker import WORKFLOWS
from workflows.booking import BookingWorkflow
from workflows.contracts import BOOKINGS_QUEUE, RELAY_WORKFLOW_ID, RelayBatch
from workflows.relay import LIVES_PER_RUN, RelayWorkflow

RECORDED = sorted(HISTORIES.rglob("*.json"))
ADVICE = (
    "A running booking would get stuck on this change. Guard it with workflow.patched() and keep the old branch. "
    "Only if this version was never released: record again with `python -m tests.replay.record`."
)
PERSONAL = ("Test Client", "Test Provider", "client@test.example", "provider@test.example")
"""What the recorded bookings' people are called in Postgres and at Stripe."""

SECRET = re.compile(r"stackTrace|_secret_|sk_test_|whsec_|[\w.+-]+@[\w-]+\.\w+")


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def history_of(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"replay-{path.stem}", path.read_text())


def replayer(booking: type[BookingWorkflow] = BookingWorkflow) -> Replayer:
    """Knows every workflow that runs, with `booking` for the one that is a booking."""
    others = [each for each in WORKFLOWS if each is not BookingWorkflow]
    return Replayer(workflows=[booking, *others], data_converter=pydantic_data_converter)


@pytest.mark.fault("D1")
@pytest.mark.parametrize("path", RECORDED, ids=named)
async def test_a_recorded_booking_replays(path: Path) -> None:
    result = await replayer().replay_workflow(history_of(path), raise_on_replay_failure=False)
    assert result.replay_failure is None, f"{result.replay_failure}\n{ADVICE}"


def test_every_workflow_that_lives_long_is_in_the_corpus() -> None:
    recorded = {name_of(path) for path in RECORDED if path.parent.name == version()}
    assert recorded == {"Booking", "Aftercare", "Settlement", "Class"}


def name_of(path: Path) -> str:
    started = json.loads(path.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]
    return str(started["workflowType"]["name"])


def test_every_path_is_recorded_for_this_version() -> None:
    recorded = {path.stem for path in RECORDED if path.parent.name == version()}
    assert recorded == {getattr(path, "__name__", "") for path in PATHS}, ADVICE


KINDS: Final = {
    "paid": "happy",
    "nobody paid": "payment_timeout",
    "paid too late": "payment_found_at_timeout",
    "cancelled before it was paid": "cancelled_before_payment",
    "cancelled after it was paid": "cancelled_after_payment",
    "cancelled after it was charged": "cancelled_after_charge",
    "capture failed, parked, tried again": "parked_retry",
    "adopted": "parked_adopt",
    "aborted": "parked_abort",
    "an undo that failed": "parked_undo",
    "refunded in the hold": "refund_in_hold",
    "refunded after the payout": "aftercare_refund_reversed",
    "disputed in the hold": "dispute_won_in_hold",
    "disputed after the payout": "aftercare_dispute_lost",
    "bank payout failed": "manual_payout_failed_first",
    "reset after the capture": "reset_after_capture",
    "reset after the transfer": "reset_after_transfer",
    "terminated and started again": "terminated_and_started_again",
    "cancelled in Temporal": "temporal_cancel",
    "a webhook that came too late": "settlement_retaken",
    "a webhook that came too early": "early_signal",
}
"""What the corpus must never lose, and the path that has it."""


def test_the_corpus_has_every_kind_of_way_that_a_booking_can_go() -> None:
    recorded = {path.stem for path in RECORDED if path.parent.name == version()}
    assert {*KINDS.values()} <= recorded


@pytest.mark.parametrize("name", ["reset_after_capture", "reset_after_transfer"])
def test_a_path_that_was_reset_says_so_in_its_history(name: str) -> None:
    events = json.loads((HISTORIES / version() / f"{name}.json").read_text())["events"]
    failed = [event.get("workflowTaskFailedEventAttributes", {}).get("cause") for event in events]
    assert "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW" in failed


@pytest.mark.fault("D1")
async def test_a_run_that_goes_on_in_another_one_replays() -> None:
    """Nothing but the relay lives for so long; it is played here, its days passing at once."""
    rounds = 0

    @activity.defn
    async def relay_inbox() -> RelayBatch:
        nonlocal rounds
        rounds += 1
        if rounds > LIVES_PER_RUN:  # the next run only has to begin
            await asyncio.Event().wait()
        return RelayBatch(delivered=0)

    async with own_temporal() as client:
        alone = Worker(client, task_queue=BOOKINGS_QUEUE, workflows=[RelayWorkflow], activities=[relay_inbox])
        async with alone:
            started = await client.start_workflow("Relay", id=RELAY_WORKFLOW_ID, task_queue=BOOKINGS_QUEUE)
            first = client.get_workflow_handle(RELAY_WORKFLOW_ID, run_id=started.result_run_id)
            with pytest.raises(WorkflowContinuedAsNewError):
                await first.result(follow_runs=False)
            history = await first.fetch_history()
            await started.terminate()
    assert history.events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
    await replayer().replay_workflow(history)


@pytest.mark.fault("D1")
@pytest.mark.parametrize("name", ["happy", "payment_timeout", "parked_abort"])
async def test_two_swapped_steps_are_noticed(name: str) -> None:
    history = history_of(HISTORIES / version() / f"{name}.json")
    with pytest.raises(NondeterminismError):
        await replayer(SwappedBookingWorkflow).replay_workflow(history)


def texts(node: Any) -> Iterator[str]:
    """Every text of a history, payloads decoded."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "data" and isinstance(value, str):
                yield base64.b64decode(value).decode()
            else:
                yield key
                yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    else:
        yield str(node)


def told(history: str) -> list[str]:
    """Personal data and secrets in a history."""
    found = []
    for text in texts(json.loads(history)):
        found += [word for word in PERSONAL if word in text]
        found += SECRET.findall(text)
    return found


@pytest.mark.parametrize("path", RECORDED, ids=named)
def test_a_history_names_nobody_and_no_machine_and_keeps_no_secret(path: Path) -> None:
    assert told(path.read_text()) == []


@pytest.mark.parametrize("canary", ["Test Client", "somebody@mail.example", "pi_1_secret_2"])
def test_a_name_an_address_or_a_secret_would_be_found(canary: str) -> None:
    payload = base64.b64encode(json.dumps({"note": f"by {canary}"}).encode()).decode()
    assert told(json.dumps({"events": [{"input": {"payloads": [{"data": payload}]}}]})) != []
