"""The outside client repeats what was not answered, under the same key, and takes no for an answer."""

from collections.abc import Callable

import httpx
import pytest

from sandbox.asking import Api, NotInTime, Refused

Answer = httpx.Response | Exception


class Server:
    """Answers as told, and remembers the keys it was sent."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.keys: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.asking.LONGEST_PAUSE", 0.0)


def api(server: Callable[[httpx.Request], httpx.Response], patience: float = 5.0) -> Api:
    transport = httpx.MockTransport(server)
    return Api(httpx.AsyncClient(transport=transport, base_url="http://api.test"), patience)


async def test_an_outage_costs_time_and_nothing_else() -> None:
    away, busy = httpx.ConnectError("refused"), httpx.Response(503, headers={"Retry-After": "5"})
    server = Server(away, busy, httpx.ReadTimeout("silence"), httpx.Response(201, json={"id": "b"}))
    assert await api(server).ask("token", "POST", "/api/bookings", {"service_id": "s"}) == {"id": "b"}
    assert len(server.keys) == 4
    assert len(set(server.keys)) == 1


async def test_two_requests_are_told_apart() -> None:
    server = Server(httpx.Response(200, json={}))
    client = api(server)
    for _ in range(2):
        await client.ask("token", "POST", "/api/bookings", {})
    assert len(set(server.keys)) == 2


async def test_a_no_is_a_no() -> None:
    server = Server(httpx.Response(409, json={"code": "slot_taken", "detail": "Somebody has it."}))
    with pytest.raises(Refused, match="409 slot_taken: Somebody has it"):
        await api(server).ask("token", "POST", "/api/bookings", {})
    assert len(server.keys) == 1


async def test_patience_ends_with_what_was_there_instead() -> None:
    server = Server(httpx.ConnectError("nobody listens"))
    with pytest.raises(
        NotInTime, match="POST /api/bookings was not answered in 0 s: ConnectError nobody listens"
    ):
        await api(server, patience=0.0).ask("token", "POST", "/api/bookings", {})
