"""No request body is larger than 1 MiB, whatever its headers claim (DESIGN section 9).

The body is read here, up to the cap, and handed on whole: memory stays flat, and a body without a
length is refused as soon as it passes the cap rather than when it ends.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Code, Problem

MAX_BODY_BYTES: Final = 1024 * 1024


class BodyTooLarge(Exception):
    """The caller sent more than the cap, or said it would."""


class BodyLimit:
    """ASGI middleware that answers 413 instead of passing on a large body."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then let the application run."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except BodyTooLarge:
            # The rest of the body is never read, so the connection cannot be used again.
            problem = Problem(Code.BODY_TOO_LARGE, headers={"Connection": "close"})
            await problem.response()(scope, receive, send)
        else:
            if body is not None:
                await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> Message | None:
        """The whole body; None when the caller hung up, and nobody is there to be answered."""
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._max_bytes:
            raise BodyTooLarge
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return {"type": "http.request", "body": bytes(body), "more_body": False}


def _replay(first: Message, receive: Receive) -> Receive:
    """Give `first` once, then whatever the server says next."""
    waiting = [first]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
