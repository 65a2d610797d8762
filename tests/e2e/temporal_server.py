"""A Temporal that a test kills, keeps away for as long as it likes, and starts again: same file, same ports."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox import temporal
from sandbox.ports import HOST, free_ports
from sandbox.process import end, spawn

START_SECONDS = 60.0


class OwnTemporal:
    """The development server, for a stack that is told its address instead of starting one."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "temporal.sqlite"
        self._log = directory / "temporal.log"
        self._port, self._ui_port = free_ports(2)
        self._process: Process | None = None

    @property
    def told(self) -> dict[str, str]:
        """What a stack has to be told of it."""
        return {
            "TEMPORAL_ADDRESS": f"{HOST}:{self._port}",
            "TEMPORAL_UI_URL": f"http://{HOST}:{self._ui_port}",
        }

    async def start(self) -> None:
        """Start it on what it knew, if it knew anything, and wait until it serves."""
        argv = temporal.command(self._file, self._port, self._ui_port)
        with self._log.open("ab") as output:
            self._process = await spawn(argv, output=output)
        async with asyncio.timeout(START_SECONDS):
            while not await temporal.is_ready(self._ui_port):
                assert self._process.returncode is None, self._log.read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Without a word of warning, and nobody starts it again."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """In order, if it still runs."""
        if self._process is not None and self._process.returncode is None:
            await end(self._process, signal.SIGTERM, 10)


@asynccontextmanager
async def own_temporal(directory: Path) -> AsyncIterator[OwnTemporal]:
    """One that serves for as long as the block lasts, unless it is killed meanwhile."""
    server = OwnTemporal(directory)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
