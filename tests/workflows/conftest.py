"""Servers that skip time: one whose steps are played in memory, and one with the real activities."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from stripe import HTTPXClient, StripeClient
from temporalio.testing import WorkflowEnvironment

from activities.stripe_gateway import StripeGateway
from activities.wiring import build
from models.database import Database
from sandbox.stripe.server import Running as StripeSandbox
from sandbox.stripe.server import running as running_stripe
from settings import PolicyDefaults
from tests.sandbox.stripe.conftest import client_of
from tests.workflows.real import Control, Market, working
from tests.workflows.saga import Sagas
from tests.workflows.theatre import played_worker, skipping_time
from tests.workflows.world import Steps

TEST_SERVER = str(Path(sys.executable).parent / "temporal-test-server")


@pytest.fixture(
    scope="session", params=[pytest.param(1000, id="cached"), pytest.param(0, id="replayed-every-task")]
)
async def theatre(request: pytest.FixtureRequest) -> AsyncIterator[Sagas]:
    """Every test runs twice: the second time, every workflow task replays the whole history."""
    steps = Steps()
    async with skipping_time(TEST_SERVER) as env, played_worker(env.client, steps, request.param):
        yield Sagas(env, steps)


@pytest.fixture
def sagas(theatre: Sagas) -> Iterator[Sagas]:
    yield theatre
    theatre.let_go()


@pytest.fixture(scope="session")
async def hasty_stripe() -> AsyncIterator[StripeSandbox]:
    """One whose clock runs ahead with the server that skips time: nobody else's authorizations end by it."""
    async with running_stripe() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
async def hasty_gateway(hasty_stripe: StripeSandbox) -> AsyncIterator[StripeGateway]:
    opened = StripeGateway.connect(hasty_stripe.secret_key, hasty_stripe.url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def market(
    database: Database, hasty_stripe: StripeSandbox, hasty_gateway: StripeGateway
) -> AsyncIterator[Market]:
    """The real activities on a server that skips time."""
    http = HTTPXClient(timeout=10)
    sdk = client_of(hasty_stripe.url, hasty_stripe.secret_key, http)
    async with skipping_time(TEST_SERVER) as env:
        activities = build(database, hasty_gateway, env.client, PolicyDefaults())
        async with working(env.client, activities):
            yield Market(env, sdk, Control(hasty_stripe))
    await http.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def dev_market(temporal_server: WorkflowEnvironment, running_worker: None, sdk: StripeClient) -> Market:
    """The real activities on the dev server, in real time."""
    del running_worker
    return Market(temporal_server, sdk)


@pytest.fixture(scope="session")
def control(stripe: StripeSandbox) -> Control:
    return Control(stripe)
