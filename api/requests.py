"""What happens around every request: its id, its log line, its metrics, and the last safety net."""

import re
import time
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Code, Problem
from api.metrics import LATENCY, REQUESTS

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = structlog.get_logger()


class RequestContext:
    """ASGI middleware: binds the request's id, logs one line, counts, and never lets a failure out.

    The line holds no body, query or header, because those hold people and secrets.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with everything it logs tied to the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, answer)
            except Exception:
                # The last net: whatever this is, it is ours and not the caller's.
                log.exception("request failed")
                if answer.status is None:
                    await Problem(Code.UNAVAILABLE).response()(scope, receive, answer)
            finally:
                _account(scope, answer.status, time.perf_counter() - started)


class _Answer:
    """`send`, remembering the status and adding the headers that every answer has."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            # Answers hold people, money and client secrets: no proxy keeps a copy.
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid4().hex


def _account(scope: Scope, status: int | None, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    route = getattr(scope.get("route"), "path", "unmatched")
    REQUESTS.labels(method, route, str(status)).inc()
    LATENCY.labels(method, route).observe(seconds)
    log.info("request", method=method, route=route, status=status, milliseconds=round(seconds * 1000))
