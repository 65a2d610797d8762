"""Keeps children alive: starts them, waits until they are ready, starts them again when they die, stops them in order."""

import asyncio
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.console import Console
from sandbox.errors import ChildFailedError
from sandbox.leftovers import PidFiles
from sandbox.output import Output
from sandbox.process import end, spawn

Probe = Callable[[], Awaitable[bool]]
"""Answers whether a child is ready to be used."""

START_TIMEOUT = 120.0
"""Seconds that a child has to become ready, and a task to end."""

GIVE_UP_AFTER = 4
"""Deaths in a row after which a child that was never ready is a failed start, not bad luck."""

SETTLED_AFTER = 10.0
"""Seconds of life after which an earlier death is forgotten."""

LONGEST_PAUSE = 5.0
"""Seconds between two attempts, at most."""

TASK_GRACE = 5.0
"""Seconds that an interrupted task has to stop."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """One program to keep alive."""

    name: str
    argv: Sequence[str]
    ready: Probe
    env: Mapping[str, str]
    cwd: Path
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    """Seconds between the stop signal and SIGKILL."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """What it gets when the stack itself is killed. Everything here must survive that; Postgres tidies up faster if asked."""


def pause_after(deaths: int) -> float:
    """Return the seconds to wait after that many deaths in a row: none at first, then ever more."""
    return 0.0 if deaths <= 1 else min(0.5 * 2.0 ** (deaths - 2), LONGEST_PAUSE)


def describe(status: int) -> str:
    """Return how a process ended, as the second half of a sentence."""
    return f"exited with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"


class Supervisor:
    """Owns every process of a stack; `run_dir` gets their logs and pid files."""

    def __init__(self, run_dir: Path, console: Console) -> None:
        self._logs = run_dir / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._pids = PidFiles(run_dir / "pids")
        self._console = console
        self._keepers: list[_Keeper] = []

    def end_leftovers(self) -> list[str]:
        """End what a killed stack left behind and return the names."""
        return self._pids.end_leftovers()

    async def start(self, child: Child) -> None:
        """Keep `child` alive from now on, and return once it is ready."""
        began = time.monotonic()
        keeper = _Keeper(child, self._output(child.name), self._pids)
        self._keepers.append(keeper)
        await keeper.until_ready()
        self._console.say("stack", f"{child.name} is ready ({time.monotonic() - began:.1f} s)")

    async def run(self, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> list[str]:
        """Run a task to its end and return the lines that it wrote; a failure raises."""
        output = self._output(name)
        process = await output.attach(lambda pipe: spawn(argv, output=pipe, env=env, cwd=cwd))
        self._pids.write(name, process.pid, argv, signal.SIGTERM)
        try:
            status = await asyncio.wait_for(process.wait(), START_TIMEOUT)
        except TimeoutError:
            raise ChildFailedError(f"{name} does not end: see {output.path}.") from None
        finally:
            await end(process, signal.SIGTERM, TASK_GRACE)
            lines = await output.drain()
            self._pids.forget(name)
        if status != 0:
            last = next((line for line in reversed(lines) if line), "it said nothing")
            raise ChildFailedError(f"{name} {describe(status)}: {last} (see {output.path})")
        return lines

    async def stop(self) -> None:
        """Stop all children, the last started first."""
        while self._keepers:
            await self._keepers[-1].stop()
            self._keepers.pop()

    def _output(self, name: str) -> Output:
        return Output(name, self._logs / f"{name}.log", self._console)


class _Keeper:
    """Keeps one child alive until told to stop."""

    def __init__(self, child: Child, output: Output, pids: PidFiles) -> None:
        self._child = child
        self._output = output
        self._pids = pids
        self._deaths = 0
        self._task = asyncio.create_task(self._keep(), name=f"keep {child.name}")

    async def until_ready(self) -> None:
        child = self._child
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await child.ready():
                    if self._task.done():
                        self._task.result()
                    if self._deaths >= GIVE_UP_AFTER:
                        raise ChildFailedError(f"{child.name} does not start: see {self._output.path}.")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ChildFailedError(
                f"{child.name} is not ready after {START_TIMEOUT:.0f} s: see {self._output.path}."
            ) from None

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._output.drain()

    async def _keep(self) -> None:
        while True:
            began = time.monotonic()
            fate = await self._live_once()
            settled = time.monotonic() - began >= SETTLED_AFTER
            self._deaths = 1 if settled else self._deaths + 1
            pause = pause_after(self._deaths)
            when = f"in {pause:g} s" if pause else "now"
            self._output.remark(f"{self._child.name} {fate}; starting it again {when}")
            await asyncio.sleep(pause)

    async def _live_once(self) -> str:
        child = self._child
        try:
            process = await self._output.attach(self._spawn)
        except OSError as error:
            return f"could not be started ({error})"
        self._pids.write(child.name, process.pid, child.argv, child.stop_signal)
        try:
            return describe(await process.wait())
        finally:
            # Also after a death of its own accord: what it started must not outlive it.
            await end(process, child.stop_signal, child.grace)
            self._pids.forget(child.name)

    async def _spawn(self, pipe: int) -> Process:
        child = self._child
        return await spawn(
            child.argv,
            output=pipe,
            env=child.env,
            cwd=child.cwd,
            user=child.user,
            orphan_signal=child.orphan_signal,
        )
