"""The worker: runs the workflows and their activities until it is told to stop.

Two task queues: `bookings` for workflows and what only touches Postgres, `stripe` for everything
that calls Stripe, rate-limited for the whole deployment.
"""

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final

import structlog
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Worker

from activities.interceptor import StepInterceptor
from activities.stripe_gateway import StripeGateway
from activities.telling import Telling
from activities.watching import keep_schedules
from activities.wiring import Activities, build
from models.database import Database
from observability import configure_logging
from settings import MailSettings, PolicyDefaults, StripeSettings, WorkerSettings
from workflows.aftercare import AftercareWorkflow
from workflows.booking import BookingWorkflow
from workflows.classes import ClassWorkflow
from workflows.contracts import BOOKINGS_QUEUE, STRIPE_QUEUE
from workflows.oversight import LedgerAuditWorkflow, ReconciliationWorkflow
from workflows.relay import RelayWorkflow
from workflows.settlement import SettlementWorkflow

log = structlog.get_logger()

WORKFLOWS: Final = (
    BookingWorkflow,
    AftercareWorkflow,
    SettlementWorkflow,
    ClassWorkflow,
    RelayWorkflow,
    ReconciliationWorkflow,
    LedgerAuditWorkflow,
)

GRACEFUL_STOP: Final = timedelta(seconds=25)
CONCURRENT_ACTIVITIES: Final = 50
CACHED_WORKFLOWS: Final = 1000
POOL_SIZE: Final = 25
"""And as many again under load: half of what a stock Postgres lets in."""


def workers(
    client: Client, activities: Activities, requests_per_second: float, **options: Any
) -> tuple[Worker, Worker]:
    """The two workers of one process, as production and tests run them."""
    shared = {
        "interceptors": [StepInterceptor()],
        "max_concurrent_activities": CONCURRENT_ACTIVITIES,
        "graceful_shutdown_timeout": GRACEFUL_STOP,
        **options,
    }
    bookings = Worker(
        client,
        task_queue=BOOKINGS_QUEUE,
        workflows=WORKFLOWS,
        activities=activities.on_bookings_queue,
        max_cached_workflows=CACHED_WORKFLOWS,
        **shared,
    )
    stripe = Worker(
        client,
        task_queue=STRIPE_QUEUE,
        activities=activities.on_stripe_queue,
        max_task_queue_activities_per_second=requests_per_second,
        **shared,
    )
    return bookings, stripe


async def main() -> None:
    """Build everything, run until SIGTERM or SIGINT, then let running steps finish."""
    settings = WorkerSettings()
    configure_logging(settings.log_level)
    database = Database.connect(settings.database_url, pool_size=POOL_SIZE)
    stripe = StripeSettings()
    gateway = StripeGateway.connect(stripe.secret_key.get_secret_value(), stripe.api_base)
    client = await connect_temporal(settings)
    activities = build(database, gateway, client, PolicyDefaults(), MailSettings())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as running:
        running.push_async_callback(database.close)
        running.push_async_callback(gateway.close)
        for worker in workers(client, activities, settings.stripe_requests_per_second):
            await running.enter_async_context(worker)
        await Telling(client).keep_relay()
        await keep_schedules(client)
        log.info("worker started")
        await stop.wait()
        log.info("worker stopping")


async def connect_temporal(settings: WorkerSettings) -> Client:
    """Connect with Temporal's own environment variables, and serve metrics if asked to."""
    return await Client.connect(
        **ClientConfig.load_client_connect_config(),
        data_converter=pydantic_data_converter,
        runtime=_runtime(settings.metrics_port),
    )


def _runtime(metrics_port: int | None) -> Runtime:
    if metrics_port is None:
        return Runtime.default()
    prometheus = PrometheusConfig(
        bind_address=f"0.0.0.0:{metrics_port}", counters_total_suffix=True, durations_as_seconds=True
    )
    return Runtime(telemetry=TelemetryConfig(metrics=prometheus))


if __name__ == "__main__":
    asyncio.run(main())
