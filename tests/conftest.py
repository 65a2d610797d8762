"""Real parts for every test: migrated Postgres, Temporal's own servers, the sandbox's Stripe.

Each pytest process has one of each. Tests do not share rows: every one makes its own provider,
service and client (`shop`), so that none has to clean up.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from stripe import HTTPXClient, StripeClient
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

import worker
from activities.stripe_gateway import StripeGateway
from activities.wiring import Activities, build
from models.database import Database
from sandbox.postgres import running as running_postgres
from sandbox.stripe.server import Running as StripeSandbox
from sandbox.stripe.server import running as running_stripe
from settings import PolicyDefaults
from tests.support.dev_server import dev_server
from tests.support.migrated import migrate
from tests.support.shop import Shop, open_shop

pytest_plugins = ["tests.support.transitions", "tests.support.evidence", "tests.support.properties"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what may take longest: stacks mostly wait, and whoever is done takes the small tests behind them."""
    items.sort(key=_patience, reverse=True)


def _patience(item: pytest.Item) -> float:
    """Seconds that a test with a whole stack may take; the others go last."""
    timeout = item.get_closest_marker("timeout")
    return float(timeout.args[0]) if timeout and item.get_closest_marker("e2e") else 0.0


@pytest.fixture(scope="session")
def postgres_directory() -> Iterator[Path]:
    # Not pytest's private directory: as root, Postgres runs under a user of its own.
    with tempfile.TemporaryDirectory(prefix="bookings-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session")
async def database_url(postgres_directory: Path) -> AsyncIterator[str]:
    async with running_postgres(postgres_directory / "data", durable=False) as url:
        yield url


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database.connect(database_url, pool_size=40)
    await migrate(opened)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def stripe() -> AsyncIterator[StripeSandbox]:
    async with running_stripe() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
async def gateway(stripe: StripeSandbox) -> AsyncIterator[StripeGateway]:
    opened = StripeGateway.connect(stripe.secret_key, stripe.url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def sdk(stripe: StripeSandbox) -> AsyncIterator[StripeClient]:
    """The unmodified SDK, as a client's browser or an outside driver would use it."""
    http = HTTPXClient(timeout=10)
    yield StripeClient(
        stripe.secret_key, base_addresses={"api": stripe.url}, max_network_retries=0, http_client=http
    )
    await http.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
async def temporal_server() -> AsyncIterator[WorkflowEnvironment]:
    async with dev_server() as server:
        yield server


@pytest.fixture(scope="session")
async def temporal(temporal_server: WorkflowEnvironment) -> Client:
    return temporal_server.client


@pytest.fixture(scope="session")
async def activities(database: Database, gateway: StripeGateway, temporal: Client) -> Activities:
    return build(database, gateway, temporal, PolicyDefaults())


@pytest.fixture(scope="session")
async def running_worker(temporal: Client, activities: Activities) -> AsyncIterator[None]:
    """The product's own workers on the dev server, for as long as the session lasts."""
    async with AsyncExitStack() as running:
        for one in worker.workers(temporal, activities, requests_per_second=1000):
            await running.enter_async_context(one)
        yield


@pytest.fixture
async def shop(database: Database, gateway: StripeGateway) -> Shop:
    """A provider open around the clock, a service and a client, all of this test's own."""
    return await open_shop(database, gateway)
