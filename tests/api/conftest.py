"""The API on real parts, called in-process."""

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig
from temporalio.testing import WorkflowEnvironment

from activities.inbox import Inbox
from activities.stripe_gateway import StripeGateway
from api import sagas
from api.app import build_app
from api.auth import Authenticator
from api.dependencies import Dependencies
from models.database import Database
from ops import register_search_attributes
from sandbox.stripe.server import Running as StripeSandbox
from settings import PolicyDefaults
from tests.api.calls import CONNECT_SECRETS, WEBHOOK_SECRETS, calling, settings

SERVER = str(Path(sys.executable).parent / "temporal")


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
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=SERVER, dev_server_log_level="error", data_converter=pydantic_data_converter
    )
    await register_search_attributes(server.client)
    yield server.client
    await server.shutdown()


@pytest.fixture(scope="session")
async def never_there() -> Client:
    return await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)


@pytest.fixture(scope="session")
async def gone() -> Client:
    """A Temporal that answered once and then died."""
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=SERVER, dev_server_log_level="error", data_converter=pydantic_data_converter
    )
    client = await Client.connect(
        server.client.service_client.config.target_host,
        data_converter=pydantic_data_converter,
        retry_config=RetryConfig(max_elapsed_time_millis=200),
    )
    await server.shutdown()
    return client


@pytest.fixture(params=["never_there", "gone"])
def away(request: pytest.FixtureRequest) -> Client:
    client: Client = request.getfixturevalue(request.param)
    return client
