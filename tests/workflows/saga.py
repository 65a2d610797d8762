"""Driving one booking's workflow, and reading what it shows."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateHandle, WorkflowUpdateStage
from temporalio.common import SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from models.keys import workflow_id_for
from models.policy import Policy
from models.states import BookingStatus, ReportedOutcome, Role
from ops import add_search_attributes
from tests.workflows.world import SOON_SECONDS, Steps, World
from workflows.booking import BookingWorkflow
from workflows.contracts import (
    BOOKINGS_QUEUE,
    STRIPE_QUEUE,
    Action,
    Actor,
    Answer,
    Decide,
    Ended,
    Message,
    Opened,
    PaymentFact,
    Refusal,
    Resolve,
    StartBooking,
    Step,
    Wish,
)
from workflows.search_attributes import REGISTERED

T = TypeVar("T")
TICK = timedelta(milliseconds=20)
OPS = Actor(role=Role.OPS, id="olga")
Handle = WorkflowHandle[BookingWorkflow, Ended]


async def start(client: Client, request: StartBooking) -> Handle:
    """Start a booking's workflow, as the API does but for the update in the same round trip."""
    return await client.start_workflow(
        BookingWorkflow.run,
        request,
        id=workflow_id_for(request.booking_id),
        task_queue=BOOKINGS_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
    )


def by(role: Role, *, unconfirmed: bool = False) -> Decide:
    return Decide(actor=Actor(role=role, id=f"some-{role}"), unconfirmed=unconfirmed)


@dataclass
class Saga:
    """One booking's workflow and everybody who talks to it."""

    env: WorkflowEnvironment
    handle: Handle

    async def opened(self) -> Opened:
        return await self._told(Opened, "opened")

    async def stripe_says(self, event_id: str = "evt_1") -> None:
        await self.handle.signal("payment_changed", PaymentFact(event_id=event_id))

    async def confirm(self) -> Answer:
        return await self._told(Answer, "confirm")

    async def cancel(self, role: Role = Role.CLIENT, *, unconfirmed: bool = False) -> Answer:
        return await self._told(Answer, "cancel", by(role, unconfirmed=unconfirmed))

    async def complete(self, role: Role = Role.CLIENT) -> Answer:
        return await self._told(Answer, "complete", by(role))

    async def resolve(self, step: Step, action: Action, object_id: str | None = None) -> Answer:
        return await self._told(Answer, "resolve", self.decision(step, action, object_id))

    @staticmethod
    def decision(step: Step, action: Action, object_id: str | None = None) -> Resolve:
        return Resolve(step=step, action=action, actor=OPS, reason="seen", object_id=object_id)

    async def asks_to_complete(self, role: Role = Role.CLIENT) -> WorkflowUpdateHandle[Answer]:
        return await self.asks("complete", by(role))

    async def asks_to_cancel(
        self, role: Role = Role.CLIENT, *, unconfirmed: bool = False
    ) -> WorkflowUpdateHandle[Answer]:
        return await self.asks("cancel", by(role, unconfirmed=unconfirmed))

    async def asks(self, update: str, *told: Message) -> WorkflowUpdateHandle[Any]:
        """Send an update and go on as soon as the workflow has heard it."""
        types = {"opened": Opened}
        return await self.handle.start_update(
            update,
            args=told,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            result_type=types.get(update, Answer),
        )

    async def _told(self, answer: type[T], update: str, *told: Message) -> T:
        given: T = await self.handle.execute_update(update, args=told, result_type=answer)
        return given

    async def leaves_a_wish(self, kind: ReportedOutcome, role: Role = Role.CLIENT) -> None:
        """As the API does when no worker answers."""
        await self.handle.signal("wished", Wish(kind=kind, decide=by(role)))

    async def passes(self, duration: timedelta) -> None:
        """Let the world's time go on."""
        await self.env.sleep(duration)

    async def passes_until(self, instant: datetime) -> None:
        """Let time go on until just after `instant`: the server's clock ticks in milliseconds."""
        await self.passes(instant + TICK - await self.env.get_current_time())

    async def ends(self) -> Ended:
        """Let time go on until the workflow is over."""
        async with asyncio.timeout(SOON_SECONDS):
            return await self.handle.result()

    async def terminated(self) -> None:
        """Once nothing is running: else it would stop the clock of the server that skips time for good."""
        await self.quiet()
        await self.handle.terminate("an operator's mistake")

    async def quiet(self) -> None:
        """Until the workflow waits for the world."""
        async with asyncio.timeout(SOON_SECONDS):
            while await self._busy():  # noqa: ASYNC110 - it is behind gRPC and sets no event
                await asyncio.sleep(0.01)

    async def _busy(self) -> bool:
        happened = Counter(event.event_type for event in (await self.handle.fetch_history()).events)
        tasks = happened[EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED]
        steps = happened[EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
        done = (EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
        ended = sum(happened[kind] for kind in done)
        return tasks > happened[EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED] or steps > ended

    async def attribute(self, key: SearchAttributeKey[Any]) -> Any:
        return (await self.handle.describe()).typed_search_attributes.get(key)

    async def shows(self, key: SearchAttributeKey[Any], *, value: object) -> None:
        """Until the UI shows it."""
        async with asyncio.timeout(SOON_SECONDS):
            while await self.attribute(key) != value:  # noqa: ASYNC110 - it is behind gRPC and sets no event
                await asyncio.sleep(0.01)

    async def details(self) -> str:
        """What ops read in the UI."""
        return await current_details(self.handle)


async def current_details(handle: WorkflowHandle[Any, Any]) -> str:
    metadata: WorkflowMetadata = await handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata.current_details


@dataclass
class PlayedSaga(Saga):
    """A saga whose steps are played in memory."""

    world: World

    async def paid(self, intent: str = "requires_capture") -> None:
        """The client pays, and Stripe says so."""
        await self.opened()
        self.world.intent = intent
        await self.stripe_says()

    async def confirmed(self) -> None:
        """Paid, confirmed, and waiting for the outcome."""
        await self.paid()
        answer = await self.confirm()
        assert answer.status is BookingStatus.CONFIRMED

    async def held(self) -> None:
        """Completed; the payout waits."""
        await self.confirmed()
        await self.passes_until(self.world.starts_at)
        await self.complete()


@dataclass
class Sagas:
    """Starts bookings on a server that can skip time."""

    env: WorkflowEnvironment
    steps: Steps

    async def world(
        self,
        *,
        starts_in: timedelta = timedelta(hours=48),
        refusal: Refusal | None = None,
        **policy: Any,
    ) -> World:
        now = await self.env.get_current_time()
        world = World(starts_at=now + starts_in, policy=Policy(**policy), refusal=refusal)
        self.steps.worlds[world.booking_id] = world
        return world

    async def begin(self, world: World) -> PlayedSaga:
        return PlayedSaga(self.env, await start(self.env.client, world.request), world)

    async def start(self, **world: Any) -> PlayedSaga:
        return await self.begin(await self.world(**world))

    def let_go(self) -> None:
        """What a failed test left behind plays on to its end.

        Terminated with a step still running, it would stop the server's clock for good.
        """
        for world in self.steps.worlds.values():
            world.troubles.clear()
            world.opens_every_gate()


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


def played_worker(client: Client, steps: Steps, cached_workflows: int = 1000) -> Workers:
    """The product's workflow with played steps, on the product's two queues."""
    return Workers(
        Worker(
            client,
            task_queue=BOOKINGS_QUEUE,
            workflows=[BookingWorkflow],
            activities=steps.all,
            max_cached_workflows=cached_workflows,
            # To build a sandbox for every task would be most of the work; the cached half has them.
            workflow_runner=SandboxedWorkflowRunner() if cached_workflows else UnsandboxedWorkflowRunner(),
        ),
        Worker(client, task_queue=STRIPE_QUEUE, activities=steps.all),
    )


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
