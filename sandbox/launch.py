"""A whole stack as a child: for a demo that finds none running, and for tests."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from sandbox.client import StackDescription
from sandbox.errors import ChildFailedError, SandboxError
from sandbox.parts import ROOT
from sandbox.process import end, spawn

START_TIMEOUT: Final = 180.0
"""Seconds; a start takes about five on a machine that does nothing else."""

STOP_GRACE: Final = 45.0
"""Seconds; a worker alone may take thirty to bring what it has begun to its end."""

PORTS: Final = ("API", "TEMPORAL", "TEMPORAL_UI", "STRIPE", "POSTGRES", "MAIL", "MAIL_HTTP", "METRICS")
FREE_PORTS: Final = {f"{name}_PORT": "0" for name in PORTS}


@contextmanager
def temporary_run_dir() -> Iterator[Path]:
    """Make a run directory that goes away in the end, unless a `SandboxError` says that its logs are worth reading."""
    directory = Path(tempfile.mkdtemp(prefix="bookings-"))
    # Whoever runs Postgres has to get through.
    directory.chmod(0o711)
    worth_reading = False
    try:
        yield directory / "run"
    except SandboxError:
        worth_reading = True
        raise
    finally:
        if not worth_reading:
            shutil.rmtree(directory, ignore_errors=True)


class StackProcess:
    """`python -m sandbox up`, from its start to its orderly end; what it says goes to `log`."""

    def __init__(self, process: Process, run_dir: Path, log: Path) -> None:
        self.process = process
        self.run_dir = run_dir
        self.log = log

    @classmethod
    async def start(cls, run_dir: Path, environment: Mapping[str, str] | None = None) -> "StackProcess":
        """Start it; the given environment goes first, ports are free ones unless it says otherwise."""
        log = run_dir.with_name(f"{run_dir.name}.log")
        told = {**os.environ, **FREE_PORTS, **(environment or {}), "RUN_DIR": str(run_dir)}
        argv = [sys.executable, "-m", "sandbox", "up"]
        with log.open("ab") as output:
            return cls(await spawn(argv, output=output, env=told, cwd=ROOT), run_dir, log)

    async def ready(self) -> StackDescription:
        """Wait until it serves.

        Raises:
            ChildFailedError: it ended instead, or takes too long.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.returncode is not None:
                raise ChildFailedError(f"The stack did not start: {self.last_words()}")
            if described := StackDescription.read(self.run_dir):
                return described
            await asyncio.sleep(0.05)
        raise ChildFailedError(f"The stack is not ready after {START_TIMEOUT:.0f} s: see {self.log}.")

    async def stop(self) -> int:
        """Stop it in order, and return its exit status."""
        await end(self.process, signal.SIGTERM, STOP_GRACE)
        return await self.process.wait()

    def last_words(self) -> str:
        """The last line that it said."""
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


@asynccontextmanager
async def running(
    run_dir: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[StackDescription]:
    """Run a stack for as long as the block lasts."""
    stack = await StackProcess.start(run_dir, environment)
    try:
        yield await stack.ready()
    finally:
        await stack.stop()
