"""The booking with two of its steps swapped: what no change may do to a running workflow."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.booking import BookingWorkflow
    from workflows.contracts import Ended, StartBooking


@workflow.defn(name="Booking")
class SwappedBookingWorkflow(BookingWorkflow):
    """Confirms before the payment is opened."""

    @workflow.init
    def __init__(self, request: StartBooking) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: StartBooking) -> Ended:
        """As ever."""
        return await super().run(request)

    async def _open_payment(self) -> None:
        await self._confirm()
        await super()._open_payment()
