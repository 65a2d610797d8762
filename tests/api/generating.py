"""Schemathesis as a process of its own, against the API as a server in this one."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from sandbox.parts import ROOT
from sandbox.stripe.server import Server, bind
from tests.api.rules import TOKENS, Who

COMMAND = str(Path(sys.executable).with_name("schemathesis"))

RULES_OF_THE_RUN: Final = """
continue-on-failure = true
request-timeout = 60

[warnings]
enabled = false

[checks]
# How long an answer takes is for benchmarks: this is only the patience of `request-timeout`.
max_response_time = 60.0
# What a sentence refuses (an amount without its currency, a start in the past) no schema says.
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "422"]

[generation]
max-examples = {examples}
database = "none"

[phases.stateful]
max-steps = 30
generation.max-examples = {sequences}
# Only what the description itself says can follow; guesses would thin it out.
inference.algorithms = []

[[operations]]
# Authenticated by signature alone, and fuzzed under one: `test_signatures.py`, `test_webhooks.py`.
include-tag = "webhooks"
enabled = false

[[operations]]
# Other methods find `confirm` where a booking's id could be.
include-path = "/api/bookings/confirm"
phases.coverage.unexpected-methods = ["PUT", "DELETE", "OPTIONS", "TRACE"]
"""


MOSTLY: Final = 0.9
"""How often a parameter has a value that is known."""

SEQUENCES: Final = 8
"""For each example of an operation: how many sequences of them all."""


@dataclass(frozen=True)
class Plan:
    """How much is sent, drawn from which seed; who calls; and values for parameters, by place and name."""

    examples: int
    seed: int
    tokens: Mapping[Who, str]
    known: Mapping[str, list[str]] = field(default_factory=dict)
    only: str = "^/"
    """A pattern of paths."""

    def written(self) -> str:
        """As schemathesis reads it."""
        lines = []
        for parameter, values in self.known.items():
            lines += [f'[dictionaries."{parameter}"]', f"values = {json.dumps(values)}"]
        bound = (f'"{name}" = {{ dictionary = "{name}", probability = {MOSTLY} }}' for name in self.known)
        rules = RULES_OF_THE_RUN.format(examples=self.examples, sequences=self.examples * SEQUENCES)
        return "\n".join([rules, *lines, "[parameters]", *bound])


@dataclass(frozen=True)
class Outcome:
    """What came of a run: all that it said, and its report."""

    said: str
    report: dict[str, Any]

    @property
    def found(self) -> set[tuple[str, str]]:
        """What was found, by kind and operation."""
        return {(one["type"], name) for one in self.report["failures"] for name in one["operations"]}


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application over HTTP in this event loop; its address."""
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop()
        await serving
        listener.close()


async def attempt(url: str, directory: Path, plan: Plan) -> Outcome:
    """Send generated requests to every operation that the description at `url` names."""
    config, report = directory / "schemathesis.toml", directory / "report.json"
    config.write_text(plan.written())
    running = await asyncio.create_subprocess_exec(
        *(COMMAND, "--config-file", str(config), "run", f"{url}/openapi.json", "--checks", "all"),
        *("--seed", str(plan.seed), "--include-path-regex", plan.only),
        *("--report-json-path", str(report), "--no-color"),
        cwd=directory,
        env={
            **os.environ,
            TOKENS: json.dumps(plan.tokens),
            "SCHEMATHESIS_HOOKS": "tests.api.callers",
            "PYTHONPATH": str(ROOT),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    assert report.exists(), said.decode()
    return Outcome(said.decode(), json.loads(report.read_text()))
