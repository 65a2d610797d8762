"""What runs on a schedule: comparing Stripe, Postgres and Temporal, and auditing the ledger."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import STRIPE_QUEUE
    from workflows.followups import Found
    from workflows.policies import OVERSIGHT_RETRY, OVERSIGHT_TIMEOUT, RELAY_HEARTBEAT
    from workflows.steps import OversightSteps


@workflow.defn(name="Reconciliation")
class ReconciliationWorkflow:
    """Every 5 minutes, and on demand."""

    @workflow.run
    async def run(self) -> Found:
        """One comparison; what cannot be made good becomes a finding."""
        found = await workflow.execute_activity_method(
            OversightSteps.reconcile,
            task_queue=STRIPE_QUEUE,
            start_to_close_timeout=OVERSIGHT_TIMEOUT,
            heartbeat_timeout=RELAY_HEARTBEAT,
            retry_policy=OVERSIGHT_RETRY,
            summary="Stripe, Postgres and Temporal",
        )
        workflow.set_current_details(_told(found))
        return found


@workflow.defn(name="LedgerAudit")
class LedgerAuditWorkflow:
    """Hourly, and on demand."""

    @workflow.run
    async def run(self) -> Found:
        """Check every invariant once."""
        found = await workflow.execute_activity_method(
            OversightSteps.audit,
            task_queue=STRIPE_QUEUE,
            start_to_close_timeout=OVERSIGHT_TIMEOUT,
            heartbeat_timeout=RELAY_HEARTBEAT,
            retry_policy=OVERSIGHT_RETRY,
            summary="the invariants of ledger and states",
        )
        workflow.set_current_details(_told(found))
        return found


def _told(found: Found) -> str:
    repaired = ", ".join(f"{count} {what}" for what, count in sorted(found.repaired.items()) if count)
    return f"Made good: {repaired or 'nothing'}. Open findings: {found.findings}."
