"""What a request gets back: an HTTP answer, or a connection that dies, which is a fault like any other."""

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# SO_LINGER on, zero seconds: closing sends RST, not FIN.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Answer:
    """Status, JSON text and headers, before faults have had their way with it."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """As an HTTP response."""
        return Response(self.body, self.status, self.headers, media_type="application/json")


def dumps(body: Any) -> str:
    """JSON as Stripe prints it."""
    return json.dumps(body, indent=2)


class Silence(Response):
    """No answer: the connection is held open for some seconds, then reset. Needs `server.Protocol`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the seconds or the client's patience to end, whichever is first, then reset."""
        del send
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_disconnected(receive), timeout=self._seconds)
        transport: asyncio.Transport = scope["state"]["transport"]
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None and not transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
        # The server takes an application that returns without answering for broken, unless it has seen the end.
        await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
