"""Oversight on a schedule and on demand: the two workflows that look after everything, by name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from workflows.contracts import AUDIT_ID, BOOKINGS_QUEUE, RECONCILIATION_ID
from workflows.followups import Found

WORKFLOWS: Final = {RECONCILIATION_ID: "Reconciliation", AUDIT_ID: "LedgerAudit"}
EVERY: Final = {RECONCILIATION_ID: timedelta(minutes=5), AUDIT_ID: timedelta(hours=1)}
MISSED: Final = timedelta(minutes=1)
"""What was missed while Temporal was away is not made up for: the next run sees it all."""


async def keep_schedules(client: Client) -> None:
    """Make the schedules be so, whatever an earlier version made of them; every worker may come with this."""
    for schedule_id in WORKFLOWS:
        schedule = _schedule(schedule_id)
        try:
            await client.create_schedule(schedule_id, schedule)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(schedule_id).update(_becomes(schedule))


async def look_now(client: Client, which: str) -> Found:
    """Run `RECONCILIATION_ID` or `AUDIT_ID` now, or join who is running it by hand, and wait for its result.

    Raises:
        WorkflowFailureError: it failed; the next scheduled run tries again.
    """
    handle = await client.start_workflow(
        WORKFLOWS[which],
        id=f"{which}-now",
        task_queue=BOOKINGS_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        result_type=Found,
        static_summary=f"{which}, asked for by a person",
    )
    found: Found = await handle.result()
    return found


def _schedule(schedule_id: str) -> Schedule:
    action = ScheduleActionStartWorkflow(
        WORKFLOWS[schedule_id],
        id=schedule_id,
        task_queue=BOOKINGS_QUEUE,
        static_summary="Stripe, Postgres and Temporal"
        if schedule_id == RECONCILIATION_ID
        else "The invariants of ledger and states",
    )
    return Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY[schedule_id])]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=MISSED),
    )


def _becomes(schedule: Schedule) -> Callable[[ScheduleUpdateInput], ScheduleUpdate]:
    def updated(found: ScheduleUpdateInput) -> ScheduleUpdate:
        """All but whether somebody has paused it."""
        schedule.state = found.description.schedule.state
        return ScheduleUpdate(schedule=schedule)

    return updated
