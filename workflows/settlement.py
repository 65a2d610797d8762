"""A payment of ours that no live booking knows: it gets the slot if it can, else it goes back, once.

`settlement-{payment_intent}` for every such payment (DESIGN section 9, TRAPS 13).
"""

from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from models.keys import stray_id_for, workflow_id_for
    from workflows.attention import Attention
    from workflows.calls import call
    from workflows.contracts import BOOKINGS_QUEUE, Answer, Resolve, StartBooking
    from workflows.followups import Settlement, SettleStray, Stray, StrayVerdict
    from workflows.parking import Step
    from workflows.steps import SettlementSteps
    from workflows.waiting import uninterrupted, wait_until

FIRST_LOOK: Final = timedelta(seconds=5)
LONGEST_LOOK: Final = timedelta(minutes=5)


@workflow.defn(name="Settlement")
class SettlementWorkflow:
    """What becomes of a payment without a booking."""

    @workflow.init
    def __init__(self, stray: Stray) -> None:
        self._stray = stray
        self._attention = Attention(stray_id_for(stray.payment_intent_id), self._show)
        self._started = False

    @workflow.signal(description="Try a parked step again now")
    def retry(self) -> None:
        """Wake whatever is parked."""
        self._attention.wake()

    @workflow.update(description="Ops: decide about a parked step")
    async def resolve(self, resolve: Resolve) -> Answer:
        """Answer once the decision was taken up."""
        await self._attention.decide(resolve)
        return Answer()

    @resolve.validator
    def _validate_resolve(self, resolve: Resolve) -> None:
        self._attention.check(resolve)

    @workflow.run
    async def run(self, stray: Stray) -> Settlement:
        """Settle it, whatever is cancelled in Temporal: money without an owner is nobody's to leave."""
        return await uninterrupted(self._settle(stray), self._cancelled)

    async def _settle(self, stray: Stray) -> Settlement:
        """Judge it, let a booking try to take its slot, and give back what found none."""
        verdict = await self._judge()
        look = FIRST_LOOK
        while verdict.retake is not None:
            await self._let_it_book(verdict.retake)
            await wait_until(workflow.now() + look, lambda: False, "the booking to take its slot")
            look = min(look * 2, LONGEST_LOOK)
            verdict = await self._judge()
        settlement = await self._conclude(verdict)
        workflow.set_current_details(f"`{stray.payment_intent_id}`: {settlement.why}")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return settlement

    def _cancelled(self) -> None:
        workflow.logger.warning("cancelled in Temporal: the payment is settled all the same")

    async def _judge(self) -> StrayVerdict:
        return await self._attention.perform(
            Step.JUDGE_STRAY,
            lambda _: call(SettlementSteps.judge_stray, self._stray, "find out whose payment it is"),
        )

    async def _let_it_book(self, request: StartBooking) -> None:
        """The booking lives on by itself; whether it got its seat is asked of Postgres."""
        if self._started:
            return
        self._started = True
        try:
            await workflow.start_child_workflow(
                "Booking",
                request,
                id=workflow_id_for(request.booking_id),
                task_queue=BOOKINGS_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Booking {request.booking_id} · paid late",
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("the late payment's booking is there already")

    async def _conclude(self, verdict: StrayVerdict) -> Settlement:
        intent = self._stray.payment_intent_id
        if not verdict.give_back:
            return Settlement(payment_intent_id=intent, why=verdict.why)
        step = SettleStray(payment_intent_id=intent, at=workflow.now())
        return await self._attention.perform(
            Step.GIVE_BACK_STRAY,
            lambda _: call(SettlementSteps.give_back_stray, step, "give the payment back"),
        )

    def _show(self, step: Step | None, message: str, retry_at: datetime | None) -> None:
        del retry_at
        if step is not None:
            workflow.set_current_details(
                f"**ATTENTION** · step `{step}` is parked\n\n{message}\n\n"
                f"`{self._stray.payment_intent_id}` belongs to no live booking. Send update `resolve` with "
                f'`step="{step}"`, `action="retry"`, an actor and a reason; or signal `retry`.'
            )
