"""The whole product without pytest: for the modules that measure and record it."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stripe import HTTPXClient, StripeClient
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

import worker
from activities.stripe_gateway import StripeGateway
from activities.wiring import build
from models.database import Database
from sandbox.postgres import running as running_postgres
from sandbox.stripe.server import Running as StripeSandbox
from sandbox.stripe.server import running as running_stripe
from settings import PolicyDefaults
from tests.support.dev_server import dev_server
from tests.support.migrated import migrate

IDENTITY = "recorder"
"""Who a history says did things; the default would name the machine."""


@dataclass(frozen=True)
class Product:
    """Everything that runs."""

    env: WorkflowEnvironment
    client: Client
    database: Database
    gateway: StripeGateway
    stripe: StripeSandbox
    sdk: StripeClient


@asynccontextmanager
async def running_product() -> AsyncIterator[Product]:
    """Postgres, the sandbox's Stripe, Temporal's dev server and the product's workers."""
    async with AsyncExitStack() as stack:
        database = await _database(stack)
        stripe = await stack.enter_async_context(running_stripe())
        gateway = StripeGateway.connect(stripe.secret_key, stripe.url)
        stack.push_async_callback(gateway.close)
        http = HTTPXClient(timeout=10)
        stack.push_async_callback(http.close_async)
        sdk = StripeClient(
            stripe.secret_key, base_addresses={"api": stripe.url}, max_network_retries=0, http_client=http
        )
        env = await stack.enter_async_context(dev_server(IDENTITY))
        activities = build(database, gateway, env.client, PolicyDefaults())
        for one in worker.workers(env.client, activities, requests_per_second=1000):
            await stack.enter_async_context(one)
        yield Product(env, env.client, database, gateway, stripe, sdk)


async def _database(stack: AsyncExitStack) -> Database:
    # As root, Postgres runs under a user of its own, who has to get in here.
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bookings-")))
    directory.chmod(0o755)  # noqa: ASYNC240 - once, before anything runs
    url = await stack.enter_async_context(running_postgres(directory / "data", durable=False))
    database = Database.connect(url, pool_size=20)
    stack.push_async_callback(database.close)
    await migrate(database)
    return database
