"""Faults that the control API asks for, as data: when each acts and what it makes of the answer.

Faults live in memory: a restarted sandbox is healthy.

| action        | was it executed?        | what the caller sees                                   |
|---------------|-------------------------|--------------------------------------------------------|
| fail_before   | no                      | `status` (500) with `code`                             |
| reset_before  | no                      | connection reset                                       |
| timeout_before | no                     | nothing for `seconds` (30), then a reset               |
| rate_limit    | no                      | 429 with `Retry-After: seconds` (1)                    |
| conflict      | no                      | 409 `idempotency_key_in_use`                           |
| slow          | yes, after `seconds`    | the answer; the key is in use meanwhile                |
| fail_after    | yes                     | `status` (500); the true answer is stored under the key |
| timeout_after | yes                     | nothing for `seconds` (30), then a reset               |
| reset_after   | yes                     | connection reset                                       |
| malformed     | yes                     | 200 with broken JSON                                   |
| cached_500    | only with `acted: true` | 500, stored under the key and replayed for ever        |
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Literal

from starlette.responses import Response

from sandbox.stripe.answers import Answer, Silence, dumps
from sandbox.stripe.errors import ApiError, internal, key_in_use, rate_limited

Action = Literal[
    "fail_before",
    "reset_before",
    "timeout_before",
    "rate_limit",
    "conflict",
    "slow",
    "fail_after",
    "timeout_after",
    "reset_after",
    "malformed",
    "cached_500",
]
DEFAULT_SECONDS: dict[str, float] = {
    "timeout_before": 30.0,
    "timeout_after": 30.0,
    "slow": 12.0,
    "rate_limit": 1.0,
}
BROKEN_JSON = '{\n  "id": "'


@dataclass
class Fault:
    """One fault; `nth` counts matching requests from 1 and lets the earlier ones pass, `times` -1 means for ever."""

    action: Action
    method: str = "*"
    path: str = "*"
    key: str = "*"
    nth: int = 1
    times: int = 1
    status: int = 500
    code: str | None = None
    seconds: float | None = None
    acted: bool = False
    id: int = 0
    seen: int = field(default=0)
    hits: int = field(default=0)

    def matches(self, method: str, path: str, key: str) -> bool:
        """Whether a request is one that this fault is meant for."""
        wanted = ((method, self.method.upper()), (path, self.path), (key, self.key))
        return all(fnmatchcase(value, pattern) for value, pattern in wanted)

    def duration(self) -> float:
        """Its seconds, or what is usual for its action."""
        return DEFAULT_SECONDS.get(self.action, 0.0) if self.seconds is None else self.seconds

    def error(self) -> ApiError:
        """The error that it answers with."""
        if self.status == internal().status and self.code is None:
            return internal()
        return ApiError(self.status, "A fault was asked for.", kind="api_error", code=self.code)


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self.active: dict[int, Fault] = {}
        self._ids = count(1)
        self._let_go = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        fault.id = next(self._ids)
        self.active[fault.id] = fault
        return fault

    def clear(self) -> int:
        """End all faults and let go of whoever is being slowed down; returns how many were in force."""
        count_of_active = len(self.active)
        self.active.clear()
        self._let_go.set()
        self._let_go = asyncio.Event()
        return count_of_active

    async def slow_down(self, fault: Fault) -> None:
        """Wait for as long as the fault says, or until all faults are cleared."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._let_go.wait(), timeout=fault.duration())

    def take(self, method: str, path: str, key: str) -> Fault | None:
        """The fault that befalls this request, oldest first; a fault that is used up goes away."""
        for fault in list(self.active.values()):
            if not fault.matches(method, path, key):
                continue
            fault.seen += 1
            if fault.seen < fault.nth:
                continue
            fault.hits += 1
            if fault.hits == fault.times:
                del self.active[fault.id]
            return fault
        return None


# Instead of executing the request.
BEFORE: dict[str, Callable[[Fault, str, str], Response]] = {
    "fail_before": lambda fault, _key, request_id: refusal(fault.error(), request_id),
    "reset_before": lambda _fault, _key, _request_id: Silence(0.0),
    "timeout_before": lambda fault, _key, _request_id: Silence(fault.duration()),
    "rate_limit": lambda fault, _key, request_id: refusal(rate_limited(int(fault.duration())), request_id),
    "conflict": lambda _fault, key, request_id: refusal(key_in_use(key), request_id),
}

# Instead of the answer to an executed request.
AFTER: dict[str, Callable[[Fault, str], Response]] = {
    "fail_after": lambda fault, request_id: refusal(fault.error(), request_id),
    "timeout_after": lambda fault, _request_id: Silence(fault.duration()),
    "reset_after": lambda _fault, _request_id: Silence(0.0),
    "malformed": lambda _fault, _request_id: Answer(200, BROKEN_JSON).response(),
}


def refusal(error: ApiError, request_id: str) -> Response:
    """An error as an HTTP response."""
    headers = {**error.headers, "Request-Id": request_id}
    return Answer(error.status, dumps(error.body(request_id)), headers).response()
