"""Tokens, signatures and requests, as outsiders make them."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
from fastapi import FastAPI
from pydantic import SecretStr

from api.errors import KINDS, PROBLEM_JSON, Code
from settings import ApiSettings
from tests.api.description import Description
from tests.support.shop import Shop

ISSUER = "https://issuer.test"
AUDIENCE = "bookings"
JWT_SECRET = "a-secret-of-at-least-thirty-two-bytes"
WEBHOOK_SECRETS = ("whsec_current", "whsec_next")
CONNECT_SECRETS = ("whsec_connect",)

Json = dict[str, Any]
Headers = dict[str, str]


def token(
    role: str | None, subject: str | None, *, key: Any = JWT_SECRET, algorithm: str = "HS256", **claims: Any
) -> str:
    """A token; a claim given as None is left out."""
    now = datetime.now(UTC)
    said: Json = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + timedelta(minutes=5),
        "sub": subject,
        "role": role,
    }
    kept = {name: value for name, value in (said | claims).items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm)


def bearer(role: str, subject: str, **claims: Any) -> Headers:
    return {"Authorization": f"Bearer {token(role, subject, **claims)}"}


def as_client(shop: Shop) -> Headers:
    return bearer("client", shop.client_id)


def as_provider(shop: Shop) -> Headers:
    return bearer("provider", shop.provider_subject)


def as_ops() -> Headers:
    return bearer("ops", "ops-1")


def settings(**changes: Any) -> ApiSettings:
    given: Json = {
        "database_url": "postgresql+asyncpg://nowhere",
        "stripe_webhook_secret": SecretStr(",".join(WEBHOOK_SECRETS)),
        "stripe_connect_webhook_secret": SecretStr(",".join(CONNECT_SECRETS)),
        "jwt_secret": SecretStr(JWT_SECRET),
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
    }
    return ApiSettings(**(given | changes))


def calling(app: FastAPI) -> httpx.AsyncClient:
    """A client of an application in this process, which also holds every answer against its description."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://bookings.test",
        timeout=60,
        event_hooks={"response": [Description(app).check]},
    )


def soon(hours: float = 2) -> str:
    return (datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)).isoformat()


async def book(
    api: httpx.AsyncClient, shop: Shop, *, key: str | None = None, client: str | None = None, **body: Any
) -> httpx.Response:
    headers = bearer("client", client or shop.client_id)
    if key:
        headers["Idempotency-Key"] = key
    wanted = {"service_id": str(shop.service_id), "starts_at": soon()} | body
    return await api.post("/api/bookings", json=wanted, headers=headers)


async def booked(api: httpx.AsyncClient, shop: Shop, **body: Any) -> Json:
    answer = await book(api, shop, **body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def problem(answer: httpx.Response) -> Json:
    """The body of an answer that must be a problem in every respect."""
    assert answer.headers["content-type"] == PROBLEM_JSON, answer.text
    body: Json = answer.json()
    kind = KINDS[Code(body["code"])]
    assert answer.status_code == body["status"] == kind.status
    assert body["title"] == kind.title
    assert body["type"] == f"urn:problem-type:{body['code']}"
    assert body["detail"]
    assert "X-Request-Id" in answer.headers
    return body


def code(answer: httpx.Response) -> str:
    return str(problem(answer)["code"])


def event(kind: str = "payment_intent.succeeded", **changes: Any) -> Json:
    subject = {"id": f"pi_{uuid4().hex}", "object": "payment_intent"}
    return {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": kind,
        "livemode": False,
        "data": {"object": subject},
    } | changes


def signed(
    body: bytes | Mapping[str, Any], secret: str = WEBHOOK_SECRETS[0], at: datetime | None = None
) -> tuple[bytes, str]:
    """A body, and the header with which its sender signs it."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    moment = int((at or datetime.now(UTC)).timestamp())
    mac = hmac.new(secret.encode(), str(moment).encode() + b"." + payload, hashlib.sha256)
    return payload, f"t={moment},v1={mac.hexdigest()}"
