"""History is an API: what was recorded must be played again, step for step, by today's code."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.replay.mutated import SwappedBookingWorkflow
from tests.replay.paths import PATHS
from tests.replay.record import HISTORIES, version
from worker import WORKFLOWS
from workflows.booking import BookingWorkflow

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
