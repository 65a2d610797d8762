"""Talking to a workflow, letting time go by for it, and reading what it shows."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle, WorkflowUpdateHandle, WorkflowUpdateStage
from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment

from models.states import Role
from tests.workflows.stage import SOON_SECONDS
from workflows.contracts import AccountFact, Actor, Answer, Decide, Message, MoneyFact, Opened, Resolve
from workflows.orders import RefundOrder
from workflows.parking import Action, Step

T = TypeVar("T")
TICK = timedelta(milliseconds=20)
OPS = Actor(role=Role.OPS, id="olga")


def actor(role: Role) -> Actor:
    return Actor(role=role, id=f"some-{role}")


def by(role: Role, *, unconfirmed: bool = False) -> Decide:
    return Decide(actor=actor(role), unconfirmed=unconfirmed)


@dataclass
class Talk:
    """One workflow and everybody who talks to it: here what every workflow around a booking hears."""

    env: WorkflowEnvironment
    handle: WorkflowHandle[Any, Any]

    async def money_moves(self, event_id: str = "evt_money") -> None:
        """Stripe says that something happened to captured money."""
        await self.handle.signal("money_changed", MoneyFact(event_id=event_id))

    async def account_changes(self) -> None:
        await self.handle.signal("account_changed", AccountFact(account_id="acct_1"))

    async def retry(self) -> None:
        await self.handle.signal("retry")

    async def refund(
        self, amount: int | None = None, role: Role = Role.PROVIDER, request_id: str = "refund-1"
    ) -> Answer:
        order = RefundOrder(actor=actor(role), request_id=request_id, amount=amount)
        return await self._told(Answer, "refund", order)

    async def resolve(
        self, step: Step, action: Action, object_id: str | None = None, amount: int | None = None
    ) -> Answer:
        return await self._told(Answer, "resolve", self.decision(step, action, object_id, amount))

    @staticmethod
    def decision(
        step: Step, action: Action, object_id: str | None = None, amount: int | None = None
    ) -> Resolve:
        return Resolve(step=step, action=action, actor=OPS, reason="seen", object_id=object_id, amount=amount)

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

    # --- time ---------------------------------------------------------------------------------

    async def passes(self, duration: timedelta) -> None:
        """Let the world's time go on."""
        await self.env.sleep(duration)

    async def days_pass(self, days: int) -> None:
        """Let days and an hour go by: who looks daily is not looking when somebody speaks then.

        The server that skips time refuses to end a timer that fires in the same moment, and does not recover.
        """
        await self.passes(timedelta(days=days, hours=1))

    async def passes_until(self, instant: datetime) -> None:
        """Let time go on until just after `instant`: the server's clock ticks in milliseconds."""
        await self.passes(instant + TICK - await self.env.get_current_time())

    async def ends(self) -> Any:
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

    # --- what it shows ------------------------------------------------------------------------

    async def attribute(self, key: SearchAttributeKey[Any]) -> Any:
        return (await self.handle.describe()).typed_search_attributes.get(key)

    async def shows(self, key: SearchAttributeKey[Any], *, value: object) -> None:
        """Until the UI shows it."""
        async with asyncio.timeout(SOON_SECONDS):
            while await self.attribute(key) != value:  # noqa: ASYNC110 - it is behind gRPC and sets no event
                await asyncio.sleep(0.01)

    async def details(self) -> str:
        """What ops read in the UI."""
        metadata: WorkflowMetadata = await self.handle.query(
            "__temporal_workflow_metadata", result_type=WorkflowMetadata
        )
        return metadata.current_details
