"""Servers that skip time: one whose steps are played in memory, and one with the real activities."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from stripe import StripeClient
from temporalio.testing import WorkflowEnvironment

from activities.stripe_gateway import StripeGateway
from activities.wiring import build
from models.database import Database
from sandbox.stripe.server import Running as StripeSandbox
from settings import PolicyDefaults
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
async def market(
    database: Database, gateway: StripeGateway, sdk: StripeClient, control: Control
) -> AsyncIterator[Market]:
    """The real activities on a server that skips time."""
    async with skipping_time(TEST_SERVER) as env:
        activities = build(database, gateway, env.client, PolicyDefaults())
        async with working(env.client, activities):
            yield Market(env, sdk, control)


@pytest.fixture(scope="session")
def dev_market(temporal_server: WorkflowEnvironment, running_worker: None, sdk: StripeClient) -> Market:
    """The real activities on the dev server, in real time."""
    del running_worker
    return Market(temporal_server, sdk)


@pytest.fixture(scope="session")
def control(stripe: StripeSandbox) -> Control:
    return Control(stripe)
