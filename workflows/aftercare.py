"""A booking's money after its workflow has ended: refunds, disputes months later, failed bank payouts.

Reached by signal-with-start, one fact or order at a time; it ends when nobody is owed anything and
nothing is asked, and the next fact starts it again (DESIGN section 3).
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.followups import Aftermath, StartAftercare
    from workflows.paying import Paymaster


@workflow.defn(name="Aftercare")
class AftercareWorkflow(Paymaster):
    """What becomes of a booking's money after its end."""

    @workflow.init
    def __init__(self, start: StartAftercare) -> None:
        super().__init__(start.booking_id)

    @workflow.run
    async def run(self, start: StartAftercare) -> Aftermath:
        """See to the money, whatever is cancelled in Temporal."""
        del start
        return await self._uninterrupted(self._see_to_money())

    async def _see_to_money(self) -> Aftermath:
        await self._mirror()
        if self._booking.attention:  # of a run that was stopped; whatever needs somebody says so again
            await self._attention.clear()
        await self._pay_provider()
        await self._finish()
        return Aftermath(
            booking_id=self._booking_id,
            payment_status=self._booking.payment_status,
            payout_status=self._booking.payout_status,
        )
