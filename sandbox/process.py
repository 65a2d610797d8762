"""Starting a program as a child that cannot outlive us."""

import asyncio
import ctypes
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os import killpg
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
"""`prctl` option: the signal that the kernel sends to this process when its parent dies (Linux only)."""

LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Opened here because a freshly forked child should do as little as it can."""


async def spawn(
    argv: Sequence[str],
    *,
    output: int | IO[bytes],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> Process:
    """Start `argv` in a process group of its own, both its outputs going to `output`.

    A group of its own keeps the terminal's Ctrl-C away from the child, so that its parent decides the order in which
    things stop. `orphan_signal` is what the child gets should the parent die without a word; where the system has no
    such thing, the pid files of `sandbox.leftovers` do the job at the next start.
    """

    def die_with_parent() -> None:
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, orphan_signal)

    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        env=env,
        cwd=cwd,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        process_group=0,
        # Runs after the change of user, which would clear it.
        preexec_fn=die_with_parent,
    )


async def end(process: Process, stop_signal: signal.Signals, grace: float) -> None:
    """Ask a child to stop; after `grace` seconds, kill whatever is left of its process group."""
    with suppress(ProcessLookupError):
        process.send_signal(stop_signal)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), grace)
    with suppress(ProcessLookupError, PermissionError):
        killpg(process.pid, signal.SIGKILL)
    await process.wait()
