"""Whatever goes wrong looks the same, says why, and tells nothing it should not."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from api.app import _assemble
from api.errors import KINDS, Code, documented
from api.limits import MAX_BODY_BYTES
from tests.api.calls import as_client, as_ops, bearer, calling, code, problem, soon
from tests.support.shop import Shop


def test_every_code_has_its_status_and_sentence() -> None:
    assert set(KINDS) == set(Code)
    assert all(400 <= kind.status < 600 and kind.status != 500 for kind in KINDS.values())
    assert all(kind.sentence.endswith(".") for kind in KINDS.values())


async def test_an_unknown_address_is_a_problem(api: httpx.AsyncClient) -> None:
    assert code(await api.get("/nowhere")) == "not_found"


async def test_an_unknown_method_is_a_problem(api: httpx.AsyncClient) -> None:
    answer = await api.put("/api/bookings")
    assert code(answer) == "method_not_allowed"
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b'{"a": 1,}', b"[" * 50_000, b'{"amount": ' + b"9" * 5000 + b"}"],
    ids=range(5),
)
async def test_a_body_that_is_not_json_is_an_invalid_request(api: httpx.AsyncClient, body: bytes) -> None:
    headers = bearer("client", "c") | {"Content-Type": "application/json"}
    assert code(await api.post("/api/bookings", content=body, headers=headers)) == "invalid_request"


INVALID: list[dict[str, Any]] = [
    {},
    {"service_id": "x", "starts_at": soon()},
    {"service_id": str(uuid4())},
    {"service_id": str(uuid4()), "starts_at": "2026-12-01T10:00:00"},
    {"service_id": str(uuid4()), "starts_at": "yesterday"},
    {"service_id": str(uuid4()), "starts_at": "0001-01-01T00:00:00+14:00"},
    {"service_id": str(uuid4()), "starts_at": "9999-12-31T23:59:59-14:00"},
    {"service_id": str(uuid4()), "starts_at": soon(), "surprise": 1},
    {"service_id": str(uuid4()), "starts_at": soon(), "\ud800": 1},
    {"service_id": str(uuid4()), "starts_at": soon(), "notes": "\x00"},
    {"service_id": str(uuid4()), "starts_at": soon(), "notes": "\ud800"},
    {"service_id": str(uuid4()), "starts_at": soon(), "notes": "x" * 2001},
    {"service_id": str(uuid4()), "starts_at": soon(), "amount": 1.5},
    {"service_id": str(uuid4()), "starts_at": soon(), "amount": "12000"},
    {"service_id": str(uuid4()), "starts_at": soon(), "amount": -1},
    {"service_id": str(uuid4()), "starts_at": soon(), "currency": "euro"},
    {"service_id": str(uuid4()), "starts_at": soon(), "checkout": "hosted"},
    {"service_id": str(uuid4()), "starts_at": soon(), "checkout": "embedded"},
    {"service_id": str(uuid4()), "starts_at": soon(), "checkout": "cash"},
    {"session_id": "x"},
    {"session_id": str(uuid4()), "starts_at": soon()},
    {"session_id": str(uuid4()), "checkout": "hosted"},
]


@pytest.mark.parametrize("body", INVALID, ids=range(len(INVALID)))
async def test_a_body_that_does_not_fit_says_where(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    headers = bearer("client", "c") | {"Content-Type": "application/json"}
    found = problem(await api.post("/api/bookings", content=json.dumps(body), headers=headers))
    assert found["code"] == "validation_failed"
    assert found["errors"][0]["field"].startswith("body")
    assert found["errors"][0]["message"] in found["detail"]


async def test_what_was_sent_is_not_quoted(api: httpx.AsyncClient) -> None:
    body = {"service_id": "ada@example.com", "starts_at": "ada@example.com", "checkout": "ada@example.com"}
    answer = await api.post("/api/bookings", json=body, headers=bearer("client", "c"))
    assert "ada@example.com" not in answer.text


@pytest.mark.parametrize("path", ["/api/bookings/x", "/api/services/x", f"/api/bookings/{'9' * 40}"])
async def test_an_id_that_is_none_is_invalid(api: httpx.AsyncClient, path: str) -> None:
    assert code(await api.get(path, headers=as_ops())) == "validation_failed"


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_a_length(api: httpx.AsyncClient, shop: Shop, key: str) -> None:
    body = {"service_id": str(shop.service_id), "starts_at": soon()}
    headers = as_client(shop) | {"Idempotency-Key": key}
    assert code(await api.post("/api/bookings", json=body, headers=headers)) == "validation_failed"


async def test_a_request_has_an_id(api: httpx.AsyncClient) -> None:
    given_ = await api.get("/healthz", headers={"X-Request-Id": "abc-123"})
    assert given_.headers["X-Request-Id"] == "abc-123"
    odd = await api.get("/healthz", headers={"X-Request-Id": "a b\tc"})
    assert odd.headers["X-Request-Id"] not in {"", "a b\tc"}


async def test_answers_are_not_kept_by_anybody(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/services")).headers["Cache-Control"] == "no-store"


async def test_a_bug_is_answered_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    broken = _assemble()

    @broken.get("/broken", responses=documented())
    async def _broken() -> None:
        raise ZeroDivisionError

    async with calling(broken) as api:
        answer = await api.get("/broken")
    assert code(answer) == "unavailable"
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in capsys.readouterr().out


# --- bodies --------------------------------------------------------------------------------------


async def chunks(count: int, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


ANYWHERE = [
    ("POST", "/api/webhooks/stripe"),
    ("POST", "/api/bookings"),
    ("GET", "/api/services"),
    ("POST", "/nowhere"),
    ("GET", "/healthz"),
]


@pytest.mark.parametrize(("method", "path"), ANYWHERE)
async def test_a_large_body_is_refused_everywhere(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, path, content=b"x" * (MAX_BODY_BYTES + 1))
    assert code(answer) == "body_too_large"


@pytest.mark.parametrize(("method", "path"), ANYWHERE)
async def test_a_body_without_a_length_is_counted(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, path, content=chunks(17))
    assert code(answer) == "body_too_large"


async def test_a_body_of_just_the_cap_passes(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/webhooks/stripe", content=b"x" * MAX_BODY_BYTES)
    assert code(answer) == "invalid_signature"


async def test_an_announced_body_is_not_even_read(app: FastAPI) -> None:
    sent, asked = await _serve(app, [(b"content-length", b"99999999999999999999999999")], endless=True)
    assert (sent[0]["status"], asked) == (413, 0)


async def test_an_endless_body_is_let_go_at_the_cap(app: FastAPI) -> None:
    sent, asked = await _serve(app, [(b"transfer-encoding", b"chunked")], endless=True)
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert asked == MAX_BODY_BYTES // (64 * 1024) + 1


async def test_a_caller_that_hangs_up_is_let_go(app: FastAPI) -> None:
    sent, asked = await _serve(app, [], endless=False)
    assert (sent, asked) == ([], 1)


async def _serve(
    app: FastAPI, headers: list[tuple[bytes, bytes]], *, endless: bool
) -> tuple[list[dict[str, Any]], int]:
    """What the application sends, and how often it asks for more, when the body never ends or breaks off."""
    sent: list[dict[str, Any]] = []
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if not endless:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"x" * 64 * 1024, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/webhooks/stripe",
        "raw_path": b"/api/webhooks/stripe",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
    return sent, asked


# --- anything at all -----------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bodies = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            *("service_id", "starts_at", "name", "policy", "amount", "currency", "step", "reason", "email"),
            *("session_id", "capacity", "who", "action", "until", "payout_schedule", "object_id"),
        ),
        anything,
    ),
)
ACTIONS = [
    *("approve", "reject", "complete", "no-show", "cancel", "reschedule"),
    *("object", "refund", "hold", "resolve"),
]
POSTED = [
    *("/api/bookings", "/api/services", "/api/providers", "/api/bookings/confirm", "/api/sessions"),
    *(f"/api/bookings/{uuid4()}/{action}" for action in ACTIONS),
    *(f"/api/sessions/{uuid4()}/{action}" for action in ("cancel", "complete")),
]


@limits(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    body=bodies | anything,
    path=st.sampled_from(POSTED),
    role=st.sampled_from(["client", "provider", "ops"]),
)
async def test_nothing_that_is_sent_breaks_anything(
    api: httpx.AsyncClient, body: Any, path: str, role: str
) -> None:
    found = problem(await api.post(path, json=body, headers=bearer(role, "fuzz")))
    assert found["status"] < 500


@limits(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    query=st.dictionaries(
        st.sampled_from(["status", "from", "to", "cursor", "limit", "provider_id", "booking_id", "resolved"]),
        st.text(),
    )
)
async def test_nothing_that_is_asked_breaks_anything(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    asked = (
        *("/api/bookings", "/api/services", f"/api/services/{uuid4()}/availability"),
        *("/api/ops/findings", "/api/metrics/summary"),
    )
    for path in asked:
        answer = await api.get(path, params=query, headers=as_ops())
        assert answer.status_code < 500, answer.text
