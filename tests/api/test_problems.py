"""Whatever goes wrong looks the same, says why, and tells nothing it should not."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.app import _assemble
from api.errors import KINDS, Code, documented
from tests.api.calls import as_client, as_ops, bearer, calling, code, problem, soon
from tests.support.shop import Shop


def test_every_code_has_its_status_and_sentence() -> None:
    assert set(KINDS) == set(Code)
    assert all(400 <= kind.status < 600 and kind.status != 500 for kind in KINDS.values())
    assert all(kind.sentence.endswith(".") for kind in KINDS.values())


async def test_an_unknown_address_is_a_problem(api: httpx.AsyncClient) -> None:
    assert code(await api.get("/nowhere")) == "not_found"


async def test_an_unknown_method_is_a_problem(api: httpx.AsyncClient) -> None:
    for path, allowed in (
        ("/api/bookings", "GET, POST"),
        (f"/api/services/{uuid4()}", "GET, PATCH"),
        ("/api/bookings/confirm", "POST"),
        ("/docs", "GET, HEAD"),
    ):
        answer = await api.put(path)
        assert code(answer) == "method_not_allowed"
        assert answer.headers["Allow"] == allowed


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
    {"service_id": str(uuid4()), "starts_at": 1_800_000_000},
    {"service_id": str(uuid4()), "starts_at": "1800000000"},
    {"service_id": str(uuid4()), "starts_at": "2026-12-01"},
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
