"""What children say: all of it into a log file, every line onto the console."""

import asyncio
import os
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandbox.console import Console

LONGEST_LINE = 64 * 1024
"""Bytes after which a line is shown without waiting for its end."""

REMEMBERED = 1000
"""Lines kept in memory, for the result of a task."""


class Output:
    """The voice of one child, over all its lives."""

    def __init__(self, name: str, path: Path, console: Console) -> None:
        self.path = path
        self._name = name
        self._console = console
        self._lines: deque[str] = deque(maxlen=REMEMBERED)
        self._pumps: set[asyncio.Task[None]] = set()

    def remark(self, line: str) -> None:
        """Say something about the child, in its log and on the console."""
        with self.path.open("ab") as log:
            log.write(f"-- {line}\n".encode())
        self._console.say("stack", line)

    async def attach(self, start: Callable[[int], Awaitable[Process]]) -> Process:
        """Start a process that writes into a new pipe, and read that from now on.

        The pipe is ours, not asyncio's: a grandchild that keeps it open must not delay the news of the child's death.
        """
        reading, writing = os.pipe()
        pump = asyncio.create_task(self._pump(reading))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        try:
            return await start(writing)
        finally:
            os.close(writing)

    async def drain(self) -> list[str]:
        """Wait a moment for the last words and return the latest lines."""
        if self._pumps:
            _, silent = await asyncio.wait(self._pumps, timeout=1.0)
            for pump in silent:
                pump.cancel()
            await asyncio.gather(*silent, return_exceptions=True)
        return list(self._lines)

    async def _pump(self, pipe: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
        )
        try:
            with self.path.open("ab", buffering=0) as log:
                rest = b""
                while chunk := await reader.read(LONGEST_LINE):
                    log.write(chunk)
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > LONGEST_LINE:
                        lines, rest = [*lines, rest], b""
                    self._show(lines)
                self._show([rest] if rest else [])
        finally:
            transport.close()

    def _show(self, lines: list[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            self._console.say(self._name, text)
