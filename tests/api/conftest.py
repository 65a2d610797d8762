"""The API on real parts, called in-process."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

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
from tests.support.dev_server import dev_server, own_temporal


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


@pytest.fixture(scope="session")
async def idle() -> AsyncIterator[Client]:
    """A Temporal of its own where no worker runs."""
    async with own_temporal() as client:
        yield client


@pytest.fixture(scope="session")
async def never_there() -> Client:
    return await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)


@pytest.fixture(scope="session")
async def gone() -> Client:
    """A Temporal that answered once and then died."""
    async with dev_server() as server:
        return await Client.connect(
            server.client.service_client.config.target_host,
            data_converter=pydantic_data_converter,
            retry_config=RetryConfig(max_elapsed_time_millis=200),
        )


@pytest.fixture(params=["never_there", "gone"])
def away(request: pytest.FixtureRequest) -> Client:
    client: Client = request.getfixturevalue(request.param)
    return client
