"""What an operator can press in Temporal's UI about a run and the step that it is trying."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import RetryPolicy, WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    UnpauseActivityRequest,
    UpdateActivityOptionsRequest,
)

from tests.workflows.real import RealSaga, until

PAUSED: Final = PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED


@dataclass(frozen=True)
class Buttons:
    """One run's page in the UI."""

    saga: RealSaga

    async def trying(self, attempts: int = 1) -> PendingActivityInfo:
        """The step that has failed so often, and is tried again."""
        return await self._pending(lambda step: step.attempt > attempts)

    async def pause(self) -> None:
        """Until it is so: an attempt that is under way ends first."""
        await self._service.pause_activity(
            PauseActivityRequest(**await self._named(), reason="ops want to look first")
        )
        await self._pending(lambda step: step.state == PAUSED)

    async def unpause(self) -> None:
        await self._service.unpause_activity(UnpauseActivityRequest(**await self._named()))

    async def reset(self) -> None:
        """Its attempts are counted from one again, the next one at once."""
        await self._service.reset_activity(ResetActivityRequest(**await self._named()))

    async def hurry(self) -> None:
        """Tried every second instead of ever more rarely."""
        await self._change(
            ["retry_policy.initial_interval", "retry_policy.maximum_interval"],
            RetryPolicy(initial_interval=Duration(seconds=1), maximum_interval=Duration(seconds=1)),
        )

    async def give_it(self, attempts: int) -> None:
        """Tried no oftener than that."""
        await self._change(["retry_policy.maximum_attempts"], RetryPolicy(maximum_attempts=attempts))

    @staticmethod
    def next_attempt(step: PendingActivityInfo) -> datetime:
        """When it would have been tried again, and a second for it to be seen."""
        return step.next_attempt_schedule_time.ToDatetime().astimezone() + timedelta(seconds=1)

    async def _change(self, paths: list[str], retry: RetryPolicy) -> None:
        await self._service.update_activity_options(
            UpdateActivityOptionsRequest(
                **await self._named(),
                activity_options=ActivityOptions(retry_policy=retry),
                update_mask=FieldMask(paths=paths),
            )
        )

    async def _pending(self, fits: Callable[[PendingActivityInfo], bool]) -> PendingActivityInfo:
        async def look() -> PendingActivityInfo | None:
            description = await self.saga.handle.describe()
            return next(filter(fits, description.raw_description.pending_activities), None)

        found = await until(look)
        assert found is not None
        return found

    async def _named(self) -> dict[str, Any]:
        step = await self._pending(lambda _: True)
        client = self.saga.env.client
        return {
            "namespace": client.namespace,
            "execution": WorkflowExecution(workflow_id=self.saga.handle.id),
            "identity": "olga",
            "id": step.activity_id,
        }

    @property
    def _service(self) -> Any:
        return self.saga.env.client.workflow_service
