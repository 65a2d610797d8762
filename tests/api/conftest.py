"""The API on real parts, called in-process."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from temporalio.client import Client

from activities.inbox import Inbox
from activities.stripe_gateway import StripeGateway
from api import sagas
from api.app import build_app
from api.auth import Authenticator
from api.dependencies import Dependencies
from models.database import Database
from sandbox.stripe.server import Running as StripeSandbox
from settings import PolicyDefaults
from tests.api.calls import CONNECT_SECRETS, WEBHOOK_SECRETS, calling, settings


@pytest.fixture(scope="session")
def deps(database: Database, temporal: Client, gateway: StripeGateway, stripe: StripeSandbox) -> Dependencies:
    return Dependencies(
        database=database,
        temporal=temporal,
        gateway=gateway,
        inbox=Inbox(database, temporal),
        authenticator=Authenticator.from_settings(settings()),
        defaults=PolicyDefaults(),
        webhook_secrets=WEBHOOK_SECRETS,
        connect_webhook_secrets=CONNECT_SECRETS,
        publishable_key=stripe.publishable_key,
        public_url="http://bookings.test",
    )


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests wait for answers however busy the machine is; those about waiting shorten it themselves."""
    monkeypatch.setattr(sagas, "ANSWER_WITHIN", timedelta(seconds=45))


@pytest.fixture(scope="session")
def app(deps: Dependencies) -> FastAPI:
    return build_app(deps)


@pytest.fixture(scope="session")
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app) as client:
        yield client
