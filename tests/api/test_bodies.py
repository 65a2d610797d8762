"""Bodies of every size and kind: refused or ignored, never a failure, and never more of them in memory."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from api.limits import MAX_BODY_BYTES
from models.database import Database
from models.records import StripeEvent
from tests.api.calls import (
    CONNECT_SECRETS,
    WEBHOOK_SECRETS,
    Json,
    as_client,
    booked,
    code,
    event,
    signed,
)
from tests.api.generating import served
from tests.api.rules import RULES, Route
from tests.support.shop import Shop

pytestmark = pytest.mark.fault("W4")

CHUNK = 64 * 1024
ENDLESS = 10 * 1024**3
"""10 GiB: more than any test could take in."""

WEBHOOKS = {
    "/api/webhooks/stripe": WEBHOOK_SECRETS[0],
    "/api/payments/webhook": WEBHOOK_SECRETS[1],
    "/api/webhooks/stripe/connect": CONNECT_SECRETS[0],
}
ANYWHERE = [*sorted(RULES), ("post", "/nowhere")]


def path_of(route: Route) -> str:
    some = uuid4()
    return route[1].format(booking_id=some, service_id=some, provider_id=some, session_id=some)


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * CHUNK


@pytest.mark.parametrize("route", ANYWHERE, ids=" ".join)
async def test_a_large_body_is_refused_everywhere(api: httpx.AsyncClient, route: Route) -> None:
    answer = await api.request(route[0], path_of(route), content=b"x" * (MAX_BODY_BYTES + 1))
    assert code(answer) == "body_too_large"


@pytest.mark.parametrize("route", ANYWHERE, ids=" ".join)
async def test_a_body_without_a_length_is_counted(api: httpx.AsyncClient, route: Route) -> None:
    answer = await api.request(route[0], path_of(route), content=chunks(MAX_BODY_BYTES // CHUNK + 1))
    assert code(answer) == "body_too_large"


async def test_a_body_of_just_the_cap_passes(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/webhooks/stripe", content=b"x" * MAX_BODY_BYTES)
    assert code(answer) == "invalid_signature"


async def test_an_announced_body_is_not_even_read(app: FastAPI) -> None:
    sent, read = await serve(app, [(b"content-length", b"99999999999999999999999999")], b"x" * CHUNK)
    assert (sent[0]["status"], read) == (413, 0)


@pytest.mark.parametrize("route", ANYWHERE, ids=" ".join)
async def test_an_endless_body_is_let_go_at_the_cap(app: FastAPI, route: Route) -> None:
    tracemalloc.start()
    try:
        sent, read = await serve(app, [(b"transfer-encoding", b"chunked")], b"x" * CHUNK, route)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert read == MAX_BODY_BYTES + CHUNK
    assert most < 8 * MAX_BODY_BYTES


async def test_a_caller_that_hangs_up_is_let_go(app: FastAPI) -> None:
    assert await serve(app, [], None) == ([], 0)


async def test_a_server_hangs_up_on_an_endless_body(app: FastAPI) -> None:
    """As a socket sees it: 413, then the end, long before 10 GiB are sent."""
    async with served(app) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /api/webhooks/stripe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answered = asyncio.create_task(reader.read())
        sent = 0
        while sent < ENDLESS and not answered.done():
            try:
                writer.write(b"%x\r\n%s\r\n" % (CHUNK, b"x" * CHUNK))
                await writer.drain()
            except ConnectionError:
                break
            sent += CHUNK
        with suppress(ConnectionError):  # what was not read yet may be lost with the connection
            assert (await answered).startswith(b"HTTP/1.1 413")
        writer.close()
    assert sent < 64 * MAX_BODY_BYTES


async def serve(
    app: FastAPI,
    headers: list[tuple[bytes, bytes]],
    chunk: bytes | None,
    route: Route = ("post", "/api/webhooks/stripe"),
) -> tuple[list[dict[str, Any]], int]:
    """What the application sends, and how much it reads of a body that never ends; None hangs up."""
    sent: list[dict[str, Any]] = []
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        if chunk is None or read >= ENDLESS:
            return {"type": "http.disconnect"}
        read += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    path = path_of(route)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": route[0].upper(),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
    return sent, read


# --- signed, and still no event, or none of ours -----------------------------------------------------

NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "not text": b"\xff\xfe{}",
    "UTF-16": json.dumps(event()).encode("utf-16"),
    "not JSON": b"{",
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"text"',
    "null": b"null",
    "an empty object": b"{}",
    "a deep list": b"[" * 100_000,
    "a deep object": b'{"a":' * 100_000,
    "NUL": b"\x00",
    "NUL in an id": json.dumps(event(id="evt_\x00")).encode(),
    "half a character in an id": b'{"id": "\\ud800", "type": "x", "livemode": false}',
    "an endless id": json.dumps(event(id="e" * 256)).encode(),
    "an endless number": b'{"id":"evt_1","type":"x","livemode":' + b"9" * 5000 + b"}",
    "not a number": b"NaN",
    "no type": b'{"id": "evt_1", "livemode": false}',
}


async def stored(database: Database, event_id: str) -> StripeEvent | None:
    return await database.run(lambda session: session.get(StripeEvent, event_id))


async def rows(database: Database) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(StripeEvent)) or 0


@pytest.mark.parametrize("path", WEBHOOKS)
@pytest.mark.parametrize("kind", NONSENSE)
async def test_signed_nonsense_is_a_bad_request(
    api: httpx.AsyncClient, database: Database, kind: str, path: str
) -> None:
    payload, header = signed(NONSENSE[kind], WEBHOOKS[path])
    before = await rows(database)
    answer = await api.post(path, content=payload, headers={"Stripe-Signature": header})
    # The signature is over text: what is none cannot have been signed.
    assert code(answer) in {"invalid_request", "invalid_signature"}
    assert await rows(database) == before


def about(**subject: Any) -> Json:
    return {"data": {"object": {"id": f"pi_{uuid4().hex}", "object": "payment_intent", **subject}}}


NOT_OURS: dict[str, Callable[[], Json]] = {
    "the other livemode": lambda: {"livemode": True},
    "an account of nobody": lambda: {"account": "acct_nobody"},
    "an unknown payment": about,
    "no metadata": lambda: about(metadata={}),
    "an unknown booking": lambda: about(metadata={"booking_id": str(uuid4())}),
    "metadata of no kind": lambda: about(metadata=[1]),
    "an object without an id": lambda: {"data": {"object": {"object": "balance"}}},
    "no object": lambda: {"data": {}},
    "an unknown type": lambda: {"type": "never.heard.of"},
    "a type of everything": lambda: {"type": "x" * 255},
}


@pytest.mark.parametrize("path", WEBHOOKS)
@pytest.mark.parametrize("kind", NOT_OURS)
async def test_what_is_not_ours_is_kept_and_answered(
    api: httpx.AsyncClient, database: Database, kind: str, path: str
) -> None:
    sent = event() | NOT_OURS[kind]()
    payload, header = signed(sent, WEBHOOKS[path])
    answer = await api.post(path, content=payload, headers={"Stripe-Signature": header})
    assert answer.status_code == 200
    assert await stored(database, sent["id"]) is not None


@pytest.mark.usefixtures("running_worker")
async def test_metadata_moves_nobodys_booking(api: httpx.AsyncClient, shop: Shop, database: Database) -> None:
    """An event about another payment that claims to be for a booking: the booking's own intent decides."""
    made = await booked(api, shop)
    for kind in ("payment_intent.amount_capturable_updated", "payment_intent.canceled"):
        sent = event(kind, **about(metadata={"booking_id": made["id"], "app": "bookings"}))
        payload, header = signed(sent)
        answer = await api.post("/api/webhooks/stripe", content=payload, headers={"Stripe-Signature": header})
        assert answer.status_code == 200
        row = await stored(database, sent["id"])
        assert row is not None
        assert row.result != "signalled"
    seen = (await api.get(f"/api/bookings/{made['id']}", headers=as_client(shop))).json()
    assert (seen["status"], seen["payment"]["status"]) == ("PENDING", "PENDING")
