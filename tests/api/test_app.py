"""The composition root: what it refuses to start without, and what it can do while Temporal is away."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import ValidationError

from api import app as root
from api.app import create_app
from models.database import Database
from models.records import StripeEvent
from tests.api.calls import (
    AUDIENCE,
    CONNECT_SECRETS,
    ISSUER,
    JWT_SECRET,
    WEBHOOK_SECRETS,
    as_ops,
    calling,
    code,
    event,
    signed,
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    given = {
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": "sk_test_x",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_x",
        "STRIPE_WEBHOOK_SECRET": ",".join(WEBHOOK_SECRETS),
        "STRIPE_CONNECT_WEBHOOK_SECRET": ",".join(CONNECT_SECRETS),
        "JWT_SECRET": JWT_SECRET,
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("JWKS_URL", raising=False)
    # Logging belongs to the process, and this one is pytest's.
    monkeypatch.setattr(root, "configure_logging", lambda _level: None)


@pytest.fixture
async def started(environment: None) -> AsyncIterator[httpx.AsyncClient]:
    del environment
    app = create_app()
    async with app.router.lifespan_context(app), calling(app) as client:
        yield client


@pytest.mark.fault("T2")
@pytest.mark.usefixtures("database")
async def test_it_starts_and_takes_webhooks_while_temporal_is_away(
    started: httpx.AsyncClient, database: Database
) -> None:
    assert (await started.get("/healthz")).json() == {"status": "ok"}
    assert (await started.get("/api/services")).status_code == 200
    assert (await started.get("/api/bookings", headers=as_ops())).status_code == 200
    assert code(await started.get("/readyz")) == "unavailable"
    sent = event()
    payload, header = signed(sent)
    answer = await started.post("/api/webhooks/stripe", content=payload, headers={"Stripe-Signature": header})
    assert answer.status_code == 200
    row = await database.run(lambda session: session.get_one(StripeEvent, sent["id"]))
    assert row.handled_at is None


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_URL",
        "STRIPE_SECRET_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "STRIPE_CONNECT_WEBHOOK_SECRET",
        "JWT_SECRET",
        "JWT_ISSUER",
        "JWT_AUDIENCE",
    ],
)
@pytest.mark.usefixtures("environment")
def test_it_does_not_start_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises((ValidationError, ValueError)) as refused:
        create_app()
    # Pydantic quotes its input.
    assert not any(secret in str(refused.value) for secret in (JWT_SECRET, *WEBHOOK_SECRETS))


@pytest.mark.parametrize("name", ["STRIPE_WEBHOOK_SECRET", "STRIPE_CONNECT_WEBHOOK_SECRET", "JWT_SECRET"])
@pytest.mark.usefixtures("environment")
def test_an_empty_secret_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises((ValidationError, ValueError)):
        create_app()
