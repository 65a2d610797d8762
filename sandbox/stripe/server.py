"""Running the sandbox: as a process of its own, or inside a test's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.stripe.app import create_app
from sandbox.stripe.settings import Settings

GRACE_SECONDS = 1
BACKLOG = 2048
# Longer than clients keep an idle connection (httpx: 5 s), or the two would race and requests be lost.
KEEP_ALIVE_SECONDS = 75


class Protocol(H11Protocol):
    """HTTP over a connection that the application may reset: `scope["state"]["transport"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let requests of this connection find its transport."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Server(uvicorn.Server):
    """A server that says when it is ready and leaves signals to whoever runs it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Finish what is under way and end."""
        self.should_exit = True
        self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Wait for `stop` instead of looking for it ten times a second."""
        await self._stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to a server inside of it."""
        yield


@dataclass(frozen=True)
class Running:
    """A sandbox that answers."""

    url: str
    secret_key: str
    publishable_key: str
    server: Server


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one."""
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.asynccontextmanager
async def running(
    settings: Settings | None = None,
    *,
    database: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Running]:
    """Run a sandbox in this event loop until the block ends."""
    settings = settings or Settings()
    listener = bind(host, port)
    app = create_app(settings, database)
    url = f"http://{host}:{listener.getsockname()[1]}"
    app.state.sandbox.base_url = url
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            ready.cancel()
            serving.result()
        yield Running(url, settings.secret_key, settings.publishable_key, server)
    finally:
        server.stop()
        await serving
        listener.close()
