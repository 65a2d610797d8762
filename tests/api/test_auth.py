"""Who is calling: which tokens are believed, and what they open. Who may do what is in `rules.py`."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from api.app import build_app
from api.auth import Authenticator
from api.dependencies import Dependencies
from tests.api.calls import JWT_SECRET, bearer, booked, calling, code, problem, settings, token
from tests.support.shop import Shop


def forged() -> dict[str, str]:
    head, body, signature = token("client", "c").split(".")
    other = base64.urlsafe_b64encode(json.dumps({"sub": "c", "role": "ops"}).encode()).decode().rstrip("=")
    past, none = datetime.now(UTC) - timedelta(seconds=1), {"alg": "none", "typ": "JWT"}
    unsigned = base64.urlsafe_b64encode(json.dumps(none).encode()).decode().rstrip("=")
    return {
        "another secret": token("client", "c", key="another-secret-of-thirty-two-bytes-"),
        "another algorithm": token("client", "c", key=JWT_SECRET * 2, algorithm="HS512"),
        "algorithm none": f"{unsigned}.{body}.",
        "another body": f"{head}.{other}.{signature}",
        "expired": token("client", "c", exp=past),
        "not yet valid": token("client", "c", nbf=datetime.now(UTC) + timedelta(minutes=1)),
        "no expiry": token("client", "c", exp=None),
        "another audience": token("client", "c", aud="somebody-else"),
        "no audience": token("client", "c", aud=None),
        "another issuer": token("client", "c", iss="https://other.test"),
        "no issuer": token("client", "c", iss=None),
        "no subject": token("client", None),
        "an empty subject": token("client", ""),
        "an endless subject": token("client", "c" * 256),
        "a subject with a null": token("client", "c\x00"),
        "no role": token(None, "c"),
        "no such role": token("admin", "c"),
        "the system's role": token("system", "c"),
        "two parts": f"{head}.{body}",
        "garbage": "garbage",
        "deep JSON": base64.urlsafe_b64encode(b"[" * 50_000).decode() + ".e30.e30",
    }


@pytest.mark.fault("A2")
@pytest.mark.parametrize("kind", forged())
async def test_a_token_that_is_not_ours_is_refused(api: httpx.AsyncClient, kind: str) -> None:
    answer = await api.get("/api/bookings", headers={"Authorization": f"Bearer {forged()[kind]}"})
    assert code(answer) == "unauthenticated"


@pytest.mark.fault("A2")
@pytest.mark.parametrize("header", ["Basic Y2xpZW50OmM=", "Bearer", "Bearer ", "bearer x y", "é"])
async def test_other_headers_are_refused(api: httpx.AsyncClient, header: str) -> None:
    answer = await api.get("/api/bookings", headers=[(b"Authorization", header.encode("latin-1"))])
    assert code(answer) == "unauthenticated"


@pytest.mark.usefixtures("running_worker")
async def test_its_owners_and_ops_see_a_booking(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    owners = [("client", shop.client_id), ("provider", shop.provider_subject), ("ops", "ops-1")]
    for role, subject in owners:
        answer = await api.get(f"/api/bookings/{made['id']}", headers=bearer(role, subject))
        assert answer.status_code == 200
        assert "checkout" not in answer.json() or answer.json()["checkout"] is None


@pytest.mark.usefixtures("running_worker")
async def test_a_client_whose_subject_is_a_providers_sees_nothing(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    answer = await api.get(f"/api/bookings/{made['id']}", headers=bearer("client", shop.provider_subject))
    assert code(answer) == "not_found"


@pytest.mark.parametrize(
    "changes",
    [
        {"jwt_secret": None},
        {"jwks_url": "https://keys.test/jwks.json"},
        {"jwt_secret": SecretStr("short")},
    ],
    ids=["neither", "both", "a short secret"],
)
def test_a_half_configured_door_does_not_open(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JWT_SECRET"):
        Authenticator.from_settings(settings(**changes))


class Keys:
    """An identity provider with published keys."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key()))
        document = json.dumps({"keys": [public | {"kid": "k1", "use": "sig", "alg": "RS256"}]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def bearer(self, kid: str = "k1", **claims: Any) -> dict[str, str]:
        said = jwt.decode(token("client", "c"), options={"verify_signature": False}) | claims
        return {"Authorization": f"Bearer {jwt.encode(said, self.private, 'RS256', headers={'kid': kid})}"}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
async def keys() -> AsyncIterator[Keys]:
    published = Keys()
    yield published
    published.close()


def guarded_by(deps: Dependencies, url: str) -> httpx.AsyncClient:
    authenticator = Authenticator.from_settings(settings(jwt_secret=None, jwks_url=url))
    return calling(build_app(replace(deps, authenticator=authenticator)))


async def test_published_keys_open_the_door(deps: Dependencies, keys: Keys) -> None:
    async with guarded_by(deps, keys.url) as api:
        assert (await api.get("/api/bookings", headers=keys.bearer())).status_code == 200
        assert code(await api.get("/api/bookings", headers=keys.bearer("k2"))) == "unauthenticated"


async def test_a_public_key_is_no_shared_secret(deps: Dependencies, keys: Keys) -> None:
    async with guarded_by(deps, keys.url) as api:
        assert code(await api.get("/api/bookings", headers=bearer("ops", "o"))) == "unauthenticated"


async def test_without_the_issuers_keys_nobody_can_tell(deps: Dependencies, keys: Keys) -> None:
    keys.close()
    async with guarded_by(deps, keys.url) as api:
        answer = await api.get("/api/bookings", headers=keys.bearer())
    assert problem(answer)["code"] == "unavailable"
    assert answer.headers["Retry-After"]
