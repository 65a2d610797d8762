"""Stacks for tests: as processes, on free ports, in a directory of their own, with short windows."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.asking import Json
from sandbox.client import Outside, StackDescription, outside
from sandbox.configuration import Configuration
from sandbox.launch import StackProcess
from sandbox.parts import ROOT
from tests.e2e.processes import descendants, left_of

PATIENCE = 60.0
"""Seconds that an answer of the API may be overdue while parts of the stack are down."""

MEMORABLE = 50_000
"""Characters of what a stack said that are shown when a test fails in it."""

TEMPORAL = Path(sys.executable).with_name("temporal")


class Stack:
    """A running stack, and what an outsider and an operator can do with it."""

    def __init__(self, process: StackProcess, described: StackDescription, everybody: Outside) -> None:
        self.process = process
        self.described = described
        self.outside = everybody

    @property
    def pid(self) -> int:
        return self.process.process.pid

    async def temporal(self, *arguments: str) -> Any:
        """What the `temporal` program answers, as an operator would ask it."""
        argv = [str(TEMPORAL), *arguments, "--address", self.described.temporal_address, "-o", "json"]
        asked = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        answer, complaint = await asked.communicate()
        assert asked.returncode == 0, complaint.decode()
        return json.loads(answer)

    async def closed(self, workflow_id: str) -> Json:
        """The execution of a workflow, once it is closed."""
        async with asyncio.timeout(20):
            while True:
                described = await self.temporal("workflow", "describe", "--workflow-id", workflow_id)
                execution: Json = described["workflowExecutionInfo"]
                if execution["status"] != "WORKFLOW_EXECUTION_STATUS_RUNNING":
                    return execution

    async def demo(self) -> tuple[int, str]:
        """Run `make demo`'s command against this stack: its status and all that it said."""
        played = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sandbox.demo"),
            cwd=ROOT,
            env={**os.environ, "RUN_DIR": str(self.process.run_dir)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await played.communicate()
        return await played.wait(), said.decode()


@asynccontextmanager
async def running(run_dir: Path, **windows: str) -> AsyncIterator[Stack]:
    """A stack for as long as the block lasts; afterwards nothing of it may be left."""
    process = await StackProcess.start(run_dir, {**_unset(), **windows})
    family = []
    try:
        described = await process.ready()
        async with outside(described, PATIENCE) as everybody:
            yield Stack(process, described, everybody)
        family = descendants(process.process.pid)
        assert len(family) > 5, f"only {family} ran"
    except BaseException:
        print(process.log.read_text()[-MEMORABLE:])  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        status = await process.stop()
    assert status == 0, process.last_words()
    assert left_of(family) == []
    assert not (run_dir / "stack.json").exists()


def tell(name: str, news: str) -> None:
    """What a story waits for; pytest shows it when a test fails."""
    print(f"{name}: {news}")  # noqa: T201 - pytest shows it with the failure


def _unset() -> dict[str, str]:
    """What the surroundings may say about a stack is not meant for this one; empty counts as not said."""
    ours = {name.upper() for name in Configuration.model_fields if not name.endswith("_port")}
    return dict.fromkeys(ours & os.environ.keys(), "")
