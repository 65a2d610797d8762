"""A wire to a server, that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

CHUNK = 65_536


@dataclass(frozen=True)
class Wire:
    """`cut` ends every connection and refuses new ones."""

    address: str
    cut: Callable[[], None]


@asynccontextmanager
async def wire_to(target: str) -> AsyncIterator[Wire]:
    """Stand between a client and the server at `host:port`."""
    host, port = target.rsplit(":", 1)
    ends: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        ends.extend((writer, far_writer))
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)

    def cut() -> None:
        server.close()
        for end in ends:
            end.close()

    try:
        yield Wire(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", cut)
    finally:
        cut()
