"""The relay: one long-running activity that delivers what is left in the inbox."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import BOOKINGS_QUEUE
    from workflows.policies import RELAY_HEARTBEAT, RELAY_LIFE, RELAY_RETRY
    from workflows.steps import RelaySteps

LIVES_PER_RUN = 24


@workflow.defn(name="Relay")
class RelayWorkflow:
    """A singleton that never ends; the activity heartbeats, so a dead worker is noticed in seconds."""

    @workflow.run
    async def run(self) -> None:
        """Keep one relay activity alive, for ever."""
        workflow.set_current_details("Delivers Stripe events that are still waiting in `stripe_events`.")
        for _ in range(LIVES_PER_RUN):
            await workflow.execute_activity_method(
                RelaySteps.relay_inbox,
                task_queue=BOOKINGS_QUEUE,
                start_to_close_timeout=RELAY_LIFE * 2,
                heartbeat_timeout=RELAY_HEARTBEAT,
                retry_policy=RELAY_RETRY,
                summary="deliver the inbox",
            )
        workflow.continue_as_new()
