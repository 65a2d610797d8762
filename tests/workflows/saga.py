"""Driving one booking's workflow, with real steps or with steps that are played in memory."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from models.keys import aftercare_id_for, workflow_id_for
from models.policy import Policy
from models.states import BookingStatus, ReportedOutcome, Role
from tests.workflows.stage import SOON_SECONDS
from tests.workflows.talk import OPS, Talk, actor, by
from tests.workflows.world import Steps, World
from workflows.aftercare import AftercareWorkflow
from workflows.booking import BookingWorkflow
from workflows.contracts import (
    BOOKINGS_QUEUE,
    Answer,
    Ended,
    Opened,
    PaymentFact,
    Refusal,
    StartBooking,
    Wish,
)
from workflows.followups import Aftermath, StartAftercare
from workflows.orders import HoldAction, HoldOrder, NoShow, Objection, Reschedule

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


async def refusal(update: Awaitable[object]) -> str | None:
    """The type with which the workflow refused."""
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await update
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.type


@dataclass
class Saga(Talk):
    """One booking's workflow and everybody who talks to it."""

    async def ends(self) -> Ended:
        """Let time go on until the workflow is over."""
        async with asyncio.timeout(SOON_SECONDS):
            ended: Ended = await self.handle.result()
            return ended

    async def opened(self) -> Opened:
        return await self._told(Opened, "opened")

    async def stripe_says(self, event_id: str = "evt_1") -> None:
        await self.handle.signal("payment_changed", PaymentFact(event_id=event_id))

    async def confirm(self) -> Answer:
        return await self._told(Answer, "confirm")

    async def approve(self) -> Answer:
        return await self._told(Answer, "approve", by(Role.PROVIDER))

    async def reject(self) -> Answer:
        return await self._told(Answer, "reject", by(Role.PROVIDER))

    async def cancel(self, role: Role = Role.CLIENT, *, unconfirmed: bool = False) -> Answer:
        return await self._told(Answer, "cancel", by(role, unconfirmed=unconfirmed))

    async def complete(self, role: Role = Role.CLIENT) -> Answer:
        return await self._told(Answer, "complete", by(role))

    async def client_missed(self, role: Role = Role.PROVIDER) -> Answer:
        said = NoShow(kind=ReportedOutcome.CLIENT_NO_SHOW, actor=actor(role))
        return await self._told(Answer, "no_show", said)

    async def provider_missed(self, role: Role = Role.CLIENT) -> Answer:
        said = NoShow(kind=ReportedOutcome.PROVIDER_NO_SHOW, actor=actor(role))
        return await self._told(Answer, "no_show", said)

    async def moves_to(self, starts_at: datetime, role: Role = Role.CLIENT) -> Answer:
        return await self._told(Answer, "reschedule", Reschedule(actor=actor(role), starts_at=starts_at))

    async def objects(self) -> Answer:
        return await self._told(Answer, "object", Objection(actor=actor(Role.CLIENT)))

    async def hold_until(self, until: datetime) -> Answer:
        order = HoldOrder(actor=OPS, action=HoldAction.EXTEND, reason="seen", until=until)
        return await self._told(Answer, "hold", order)

    async def pay_now(self) -> Answer:
        order = HoldOrder(actor=OPS, action=HoldAction.RELEASE, reason="seen")
        return await self._told(Answer, "hold", order)

    async def asks_to_complete(self, role: Role = Role.CLIENT) -> WorkflowUpdateHandle[Answer]:
        return await self.asks("complete", by(role))

    async def asks_to_cancel(
        self, role: Role = Role.CLIENT, *, unconfirmed: bool = False
    ) -> WorkflowUpdateHandle[Answer]:
        return await self.asks("cancel", by(role, unconfirmed=unconfirmed))

    async def leaves_a_wish(self, kind: ReportedOutcome, role: Role = Role.CLIENT) -> None:
        """As the API does when no worker answers."""
        await self.handle.signal("wished", Wish(kind=kind, decide=by(role)))


@dataclass
class PlayedSaga(Saga):
    """A saga whose steps are played in memory."""

    world: World

    async def paid(self, intent: str = "requires_capture") -> None:
        """The client pays, and Stripe says so."""
        await self.opened()
        self.world.intent = intent
        await self.stripe_says()

    async def confirmed(self, intent: str = "requires_capture") -> None:
        """Paid, confirmed, and waiting for the outcome."""
        await self.paid(intent)
        answer = await self.confirm()
        assert answer.status is BookingStatus.CONFIRMED

    async def before_its_provider(self, intent: str = "requires_capture") -> None:
        """Paid, and waiting for the provider's approval."""
        await self.paid(intent)
        answer = await self.confirm()
        assert answer.status is BookingStatus.AWAITING_APPROVAL

    async def begun(self) -> None:
        """Confirmed, and its session has started."""
        await self.confirmed()
        await self.passes_until(self.world.starts_at)

    async def held(self) -> None:
        """Completed; the payout waits."""
        await self.begun()
        await self.complete()

    async def paid_out(self) -> None:
        """Completed, transferred, over."""
        await self.held()
        await self.ends()

    async def told(self, what: str = "evt_money") -> None:
        """Stripe says that money moved, and it has been read."""
        times = self.world.steps().count("mirror")
        await self.money_moves(what)
        await self.world.reached("mirror", times + 1)
        await self.quiet()


@dataclass
class PlayedAftercare(Talk):
    """What becomes of a played booking's money after its end."""

    world: World

    async def ends(self) -> Aftermath:
        """Let time go on until nothing is left to do."""
        async with asyncio.timeout(SOON_SECONDS):
            left: Aftermath = await self.handle.result()
            return left


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
        self.steps.add(world)
        return world

    async def begin(self, world: World) -> PlayedSaga:
        return PlayedSaga(self.env, await start(self.env.client, world.request), world)

    async def start(self, **world: Any) -> PlayedSaga:
        return await self.begin(await self.world(**world))

    async def aftercare(self, world: World) -> PlayedAftercare:
        """Started in a step of its own: this server cannot send a message with the start of a workflow."""
        handle = await self.env.client.start_workflow(
            AftercareWorkflow.run,
            StartAftercare(booking_id=world.booking_id),
            id=aftercare_id_for(world.booking_id),
            task_queue=BOOKINGS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        return PlayedAftercare(self.env, handle, world)

    def let_go(self) -> None:
        """What a failed test left behind plays on to its end.

        Terminated with a step still running, it would stop the server's clock for good.
        """
        for world in self.steps.worlds.values():
            world.troubles.clear()
            world.opens_every_gate()
            if isinstance(world, World):
                world.outside.mends()
