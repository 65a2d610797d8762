"""A class that was called off, or held: every booking in it is told, until none is left (DESIGN section 2)."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from models.keys import workflow_id_for
    from workflows.attention import reason_of
    from workflows.contracts import BOOKINGS_QUEUE, Decide, Wish
    from workflows.followups import ClassBookings, ClassOrder
    from workflows.policies import ATTEMPT_TIMEOUT
    from workflows.steps import ClassSteps
    from workflows.waiting import uninterrupted

FIRST_LOOK: Final = timedelta(seconds=2)
LONGEST_LOOK: Final = timedelta(hours=12)
"""A dispute may hold one booking up for months; the others settle in seconds."""


@workflow.defn(name="Class")
class ClassWorkflow:
    """Tells a class's bookings what became of it; each of them settles its own money."""

    @workflow.run
    async def run(self, order: ClassOrder) -> ClassBookings:
        """Tell them all, whatever is cancelled in Temporal: a seat in a closed class is nobody's to keep."""
        return await uninterrupted(self._close_and_tell(order), self._cancelled)

    async def _close_and_tell(self, order: ClassOrder) -> ClassBookings:
        """Close the session, then tell whoever still has a seat, again and again, until nobody has."""
        told: dict[UUID, None] = {}
        look = FIRST_LOOK
        while waiting := (await self._close(order)).booking_ids:
            for booking_id in waiting:
                await self._tell(booking_id, order)
            told |= dict.fromkeys(waiting)
            workflow.set_current_details(f"{len(waiting)} bookings still hold a seat: they were told.")
            await workflow.sleep(look, summary="the bookings to settle")
            look = min(look * 2, LONGEST_LOOK)
            # Only here, after the wait: a run that follows tells everybody at once.
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(order)
        return ClassBookings(booking_ids=tuple(sorted(told)))

    def _cancelled(self) -> None:
        workflow.logger.warning("cancelled in Temporal: the bookings are told all the same")

    async def _close(self, order: ClassOrder) -> ClassBookings:
        return await workflow.execute_activity_method(
            ClassSteps.close_class,
            order,
            task_queue=BOOKINGS_QUEUE,
            start_to_close_timeout=ATTEMPT_TIMEOUT,
            summary=f"the class is {order.kind}",
        )

    async def _tell(self, booking_id: UUID, order: ClassOrder) -> None:
        wish = Wish(kind=order.kind, decide=Decide(actor=order.actor), session_id=order.session_id)
        booking = workflow.get_external_workflow_handle(workflow_id_for(booking_id))
        try:
            await booking.signal("wished", wish)
        except FailureError as error:  # its workflow is gone: the reconciler starts it again
            workflow.logger.warning("booking not told", extra={"why": reason_of(error)})
