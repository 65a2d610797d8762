"""The provider's money: held, frozen while it is contested, paid out, and blocked while it cannot be.

The booking's own workflow does this from the outcome to the payout, `aftercare-{booking}` does it
for whatever comes later.
"""

from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

from models.money import display
from models.states import PAYOUT_OPEN, PayoutStatus
from workflows.calls import call
from workflows.caretaking import Caretaker
from workflows.compensation import Abandoned, Interrupted
from workflows.contracts import BookingState, Resolve
from workflows.orders import Judge, RefundOrder, Verdict
from workflows.parking import Action, Step
from workflows.steps import HoldSteps

FROZEN_LOOK: Final = timedelta(days=1)
"""A frozen payout asks Stripe this often by itself: a dispute may end without our hearing of it."""
BLOCKED_LOOK: Final = timedelta(hours=6)
BANK_LOOK: Final = timedelta(seconds=30)
"""First look at a payout that waits for funds or for its bank; doubling, at most `BLOCKED_LOOK`."""
TRY_IN_VAIN: Final = 12


class Paymaster(Caretaker):
    """Pays the provider, and sees to whatever comes up on the way."""

    async def _pay_provider(self) -> None:
        """Hold the provider's share, pay it out, and see to whatever comes up meanwhile."""
        while self._current is not None:
            if self._attention.asked is not self._question:
                await self._attention.withdraw()
            if self._something_waits:
                await self._attend()
            elif self._current.unbalanced:
                await self._rebalance()
            elif self._held:
                await self._hold()
            elif self._current.payout_status in PAYOUT_OPEN:
                await self._pay_out()
            else:
                return

    async def _finish(self) -> None:
        """Say how it ended, answer whoever still waits, and see to what was said meanwhile."""
        while not workflow.all_handlers_finished() or self._something_waits:
            await self._pay_provider()
            self._console.ended(self._current)
            await workflow.wait_condition(lambda: workflow.all_handlers_finished() or self._something_waits)
        self._over = True
        self._console.ended(self._current)

    @property
    def _question(self) -> Step | None:
        """What ops have to decide as the payout stands; asked where it is waited for."""
        booking = self._booking
        if booking.payout_status is PayoutStatus.FROZEN and booking.objected:
            return Step.OBJECTION
        return Step.PAY_OUT if self._escalated else None

    @property
    def _escalated(self) -> bool:
        """The payout has been blocked for longer than the policy lets it be."""
        booking = self._booking
        blocked = booking.payout_status is PayoutStatus.BLOCKED
        return blocked and booking.escalate_at is not None and workflow.now() >= booking.escalate_at

    @property
    def _held(self) -> bool:
        """The payout is not to be made yet."""
        booking = self._booking
        if booking.payout_status is PayoutStatus.FROZEN:
            return True
        due = booking.payout_due_at
        return booking.payout_status is PayoutStatus.HELD and due is not None and workflow.now() < due

    async def _hold(self) -> None:
        booking = self._booking
        if booking.payout_status is PayoutStatus.FROZEN:
            await self._stay_frozen(booking)
        elif booking.payout_due_at:
            await self._wait(
                booking.payout_due_at,
                lambda: self._something_waits,
                "the end of the payout hold",
                "extend or release the hold (update `hold`), refund (update `refund`); else the transfer "
                "follows by itself",
            )

    async def _stay_frozen(self, booking: BookingState) -> None:
        """Until a dispute is decided at Stripe, or ops decide about an objection."""
        if booking.objected:
            await self._attention.ask(Step.OBJECTION, "The client contests the session: release or refund?")
        heard = await self._wait(
            workflow.now() + FROZEN_LOOK,
            lambda: self._something_waits or self._attention.answered(Step.OBJECTION),
            "the end of a dispute" if booking.disputed else "a decision about the objection",
            "decide about the objection (update `resolve`)"
            if booking.objected
            else "nothing: the bank decides",
        )
        if decision := self._attention.answer(Step.OBJECTION):
            await self._judge(decision)
        elif not heard:
            await self._mirror()

    async def _judge(self, decision: Resolve) -> None:
        """Give back what ops decided, then let the hold run on."""
        at, give_back = workflow.now(), 0
        if decision.action is Action.REFUND:
            give_back = self._booking.refundable if decision.amount is None else decision.amount
        if give_back and not await self._given_back(decision, give_back):
            return  # the question stays open
        verdict = Verdict(actor=decision.actor, reason=decision.reason, give_back=give_back)
        step = Judge(booking_id=self._booking_id, at=at, verdict=verdict)
        judged = await self._attention.perform(
            Step.CHANGE_HOLD, lambda _: call(HoldSteps.judge, step, f"objection: {decision.action}")
        )
        self._stands(judged)

    async def _given_back(self, decision: Resolve, amount: int) -> bool:
        # Derived from the objection: a run that decides it again orders the same refund.
        objected_at = self._booking.objected_at or workflow.now()
        request_id = f"objection:{objected_at.isoformat()}"
        try:
            given = await self._give_back(
                RefundOrder(actor=decision.actor, request_id=request_id, amount=amount)
            )
        except Abandoned:  # the refund was parked, and ops gave it up
            return False
        self._stands(given.booking)
        return given.refusal is None

    async def _pay_out(self) -> None:
        """One round: transfer, send to the bank, and wait for whoever stands in the way."""
        news, wakes = self._account_news, self._attention.wakes
        decision = self._attention.answer(Step.PAY_OUT)
        if not self._booking.at_bank:
            share = display(self._booking.payout_amount or 0, self._booking.currency)
            adopt = decision.object_id if decision else None
            try:
                await self._do(
                    Step.PAY_OUT,
                    f"transfer {share} to the provider",
                    adopt,
                    unless=lambda: bool(self._errands),
                )
            except Interrupted:
                await self._mirror()  # what was ordered is judged by how the payout stands now
                return
        if self._booking.at_bank:
            await self._do(Step.SEND_TO_BANK, "send the transfer to the provider's bank")
        if self._booking.payout_status in (PayoutStatus.BLOCKED, PayoutStatus.PROCESSING):
            await self._wait_for_payout(news, wakes)
        else:
            self._looks = 0

    async def _wait_for_payout(self, news: int, wakes: int) -> None:
        """Until there is more than the `news` and `wakes` before the attempt; else a look now and then."""
        booking = self._booking
        blocked = booking.payout_status is PayoutStatus.BLOCKED
        if self._escalated:
            message = f"The provider could not be paid until {booking.escalate_at:%Y-%m-%d %H:%M} UTC."
            await self._attention.ask(Step.PAY_OUT, message)
        await self._wait(
            self._next_look(booking),
            lambda: (
                self._something_waits
                or self._account_news != news
                or self._attention.wakes != wakes
                or self._attention.answered(Step.PAY_OUT)
            ),
            "the provider's account to be payable" if blocked else "the provider's bank",
            "signal `retry` once the provider's account is in order" if blocked else "nothing: Stripe tells",
        )

    def _next_look(self, booking: BookingState) -> datetime:
        self._looks = min(self._looks + 1, TRY_IN_VAIN)
        if booking.payout_status is PayoutStatus.PROCESSING:
            return workflow.now() + min(BANK_LOOK * (1 << (self._looks - 1)), BLOCKED_LOOK)
        look = workflow.now() + BLOCKED_LOOK
        return look if booking.escalate_at is None or self._escalated else min(look, booking.escalate_at)
