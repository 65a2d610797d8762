"""The server that skips time, and the workers that play on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from ops import add_search_attributes
from tests.workflows.world import Steps
from workflows.aftercare import AftercareWorkflow
from workflows.booking import BookingWorkflow
from workflows.classes import ClassWorkflow
from workflows.contracts import BOOKINGS_QUEUE, STRIPE_QUEUE
from workflows.search_attributes import REGISTERED
from workflows.settlement import SettlementWorkflow


@dataclass
class Workers:
    """Two workers that live and end together."""

    first: Worker
    second: Worker

    async def __aenter__(self) -> Self:
        await self.first.__aenter__()
        await self.second.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self.first.shutdown(), self.second.shutdown())


PATIENCE = 30.0
"""Seconds that a workflow task may take. The SDK allows two, which a machine with other things to do may need for nothing; the
server that skips time never recovers from a task that failed."""


def patient(worker: Worker) -> Worker:
    """The SDK has no option for it but one that also opens the sandbox."""
    worker._workflow_worker._deadlock_timeout_seconds = PATIENCE  # type: ignore[union-attr]
    return worker


def played_worker(client: Client, steps: Steps, cached_workflows: int = 1000) -> Workers:
    """The product's workflows with played steps, on the product's two queues."""
    first = patient(
        Worker(
            client,
            task_queue=BOOKINGS_QUEUE,
            workflows=[BookingWorkflow, AftercareWorkflow, SettlementWorkflow, ClassWorkflow],
            activities=steps.all,
            max_cached_workflows=cached_workflows,
            # To build a sandbox for every task would be most of the work; the cached half has them.
            workflow_runner=SandboxedWorkflowRunner() if cached_workflows else UnsandboxedWorkflowRunner(),
        )
    )
    return Workers(first, Worker(client, task_queue=STRIPE_QUEUE, activities=steps.all))


@contextlib.asynccontextmanager
async def skipping_time(server: str) -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server whose clock jumps; its workers must be closed before it is."""
    env = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=server, data_converter=pydantic_data_converter
    )
    try:
        await add_search_attributes(env.client, REGISTERED)
        yield env
    finally:
        await env.shutdown()
