"""Round every activity: its booking in the logs, its failure in the closed vocabulary."""

from typing import Any

import structlog
from structlog.contextvars import bound_contextvars
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.errors import to_application_error

log = structlog.get_logger()


class StepInterceptor(Interceptor):
    """For the worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Wrap an activity."""
        return _Step(next)


class _Step(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        info = activity.info()
        with bound_contextvars(
            step=info.activity_type,
            attempt=info.attempt,
            booking_id=(info.workflow_id or "").removeprefix("booking-"),
            correlation_id=info.workflow_run_id,
        ):
            try:
                return await super().execute_activity(input)
            except Exception as error:
                failure = to_application_error(error)
                if failure is None:
                    raise
                meter = activity.metric_meter().with_additional_attributes({"failure": failure.type or ""})
                meter.create_counter("booking_step_failures", "Failed attempts at a step").add(1)
                log.warning("step failed", failure=failure.type, message=failure.message)
                raise failure from None
