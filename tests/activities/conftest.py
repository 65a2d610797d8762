"""A Stripe of these tests' own, so that their faults and their clock disturb nobody else."""

from collections.abc import AsyncIterator

import pytest
from stripe import HTTPXClient
from temporalio.client import Client

from activities.stripe_gateway import StripeGateway
from models.database import Database
from sandbox.stripe.server import Running, running
from tests.activities.desk import Desk
from tests.activities.stall import Stall, open_stall
from tests.sandbox.stripe.conftest import Control, client_of
from tests.support.scratch import scratch_database


@pytest.fixture(scope="session")
async def outside() -> AsyncIterator[Running]:
    async with running() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
async def busy_desk(database: Database, temporal: Client, outside: Running) -> AsyncIterator[Desk]:
    gateway = StripeGateway.connect(outside.secret_key, outside.url)
    http = HTTPXClient(timeout=10)
    sdk = client_of(outside.url, outside.secret_key, http)
    async with Control(base_url=outside.url) as control:
        yield Desk(database, gateway, temporal, sdk, control)
    await http.close_async()  # type: ignore[no-untyped-call]
    await gateway.close()


@pytest.fixture
async def desk(busy_desk: Desk) -> Desk:
    """Everything a money step needs, with Stripe as good as new."""
    await busy_desk.control.ask("POST", "/reset", webhook_endpoints=True)
    return busy_desk


@pytest.fixture(scope="module")
async def quiet(database_url: str) -> AsyncIterator[Database]:
    """A database whose inbox no other relay looks at."""
    async with scratch_database(database_url) as scratch:
        yield scratch


@pytest.fixture(scope="session")
async def busy_stall(database_url: str, busy_desk: Desk) -> AsyncIterator[Stall]:
    async with open_stall(busy_desk, database_url) as stall:
        yield stall


@pytest.fixture
async def stall(busy_stall: Stall, desk: Desk) -> Stall:
    """The whole product, with Stripe as good as new."""
    del desk
    return busy_stall
