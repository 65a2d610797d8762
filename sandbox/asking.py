"""Asking the HTTP API until it answers, as a good client does.

What was not answered is asked again with the same `Idempotency-Key`, so that an outage between the two costs nothing
but time.
"""

import asyncio
import time
from typing import Any, Final
from uuid import uuid4

import httpx

from sandbox.errors import SandboxError

Json = dict[str, Any]

LONGEST_PAUSE: Final = 1.0
"""Seconds before an unanswered request is repeated, at most; a `Retry-After` that asks for more is cut."""

TRY_AGAIN: Final = frozenset({429, 502, 503})
"""Statuses that go away by themselves."""


class Refused(Exception):
    """The API said no; `code` is from its closed set."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body.get('code')}: {body.get('detail')}")
        self.status = status
        self.code = str(body.get("code"))
        self.body = body


class NotInTime(SandboxError):
    """What was waited for did not come; the message says what was there instead."""


class Api:
    """The HTTP API, asked until it answers."""

    def __init__(self, http: httpx.AsyncClient, patience: float) -> None:
        self._http = http
        self.patience = patience
        """Seconds that an answer may be overdue."""

    async def ask(self, token: str, method: str, path: str, body: Json | None = None) -> Json:
        """The answer's body; anything that may have been lost on its way is sent again under the same key.

        Raises:
            Refused: the API said no.
            NotInTime: it never answered.
        """
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + self.patience
        while True:
            answer = await self._once(method, path, headers, body)
            if isinstance(answer, httpx.Response) and answer.status_code not in TRY_AGAIN:
                break
            if time.monotonic() > deadline:
                raise NotInTime(f"{method} {path} was not answered in {self.patience:g} s: {_words(answer)}")
            await asyncio.sleep(_pause(answer))
        found: Json = answer.json()
        if answer.is_error:
            raise Refused(answer.status_code, found)
        return found

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: Json | None
    ) -> httpx.Response | Exception:
        try:
            return await self._http.request(method, path, headers=headers, json=body)
        except httpx.TransportError as error:
            return error


def _words(answer: httpx.Response | Exception) -> str:
    if isinstance(answer, Exception):
        return f"{type(answer).__name__} {answer}".strip()
    return f"{answer.status_code} {answer.text}"


def _pause(answer: httpx.Response | Exception) -> float:
    wanted = "0.2" if isinstance(answer, Exception) else answer.headers.get("Retry-After", "0.2")
    return min(float(wanted), LONGEST_PAUSE)
