"""A confirmed booking until its outcome: the authorization's clock, other times, and contradicting reports."""

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

from models.outcomes import CANCELLED_BY, MISSED_BY
from models.states import PaymentStatus, ReportedOutcome, StatusReason
from workflows.calls import call
from workflows.compensation import Abandoned, Interrupted
from workflows.contracts import SYSTEM, Claim, Outcome, Settle
from workflows.conversation import Conversation
from workflows.parking import Action, Step
from workflows.steps import BookingSteps

PAYMENT_OVER = frozenset({PaymentStatus.VOIDED, PaymentStatus.FAILED, PaymentStatus.EXPIRED})

JUDGING_LOOK: Final = timedelta(days=1)


@dataclass(frozen=True)
class Deadline:
    """An instant by which something happens by itself, and the step that makes it happen."""

    at: datetime
    what: str
    step: Step | None = None


class Attending(Conversation):
    """What a confirmed booking does until somebody says what became of its session."""

    @property
    def _busy(self) -> bool:
        """Something has to be done before the next wait."""
        return (
            self._wishes.news_waiting
            or self._something_waits
            or self._unrecorded is not None
            or self._booking.replan
            or self._time_is_up
        )

    @property
    def _time_is_up(self) -> bool:
        return self._deadline.step is not None and self._due(self._deadline.at)

    async def _see_to_booking(self) -> None:
        """Do what is next: news first, then orders, reports and the authorization's clock."""
        if self._wishes.news_waiting:
            await self._read_payment(StatusReason.AUTHORIZATION_EXPIRED)
        elif self._something_waits:
            await self._attend()
        elif claim := self._unrecorded:
            await self._record(claim)
        elif self._booking.replan:
            await self._unless_decided(Step.REPLAN, "keep the card, let the authorization go")
        elif self._deadline.step is not None:
            await self._keep_time(self._deadline.step)

    async def _wait_for_outcome(self) -> bool:
        if self._contradicted:
            await self._attention.ask(Step.REPORTS, "Client and provider contradict each other.")
        return await self._wait(
            self._deadline.at,
            lambda: self._wishes.outcome is not None or self._busy or self._attention.answered(Step.REPORTS),
            self._deadline.what,
            "decide between the two (update `resolve`), report the outcome themselves, or cancel it"
            if self._contradicted
            else "complete the booking once it has started, report who did not come, move it, or cancel it",
        )

    @property
    def _deadline(self) -> Deadline:
        """The nearest: one timer at a time."""
        booking = self._booking
        awaited, until = "the session's outcome", booking.completion_due_at
        if self._contradicted:  # silence decides nothing between two who have spoken
            awaited, until = "ops to decide between two reports", workflow.now() + JUDGING_LOOK
        deadlines = [Deadline(until, awaited)]
        if booking.fix_by:
            deadlines.append(Deadline(booking.fix_by, "the client to fix the payment", Step.CLOSE_PAYMENT))
        elif booking.authorize_at:
            deadlines.append(Deadline(booking.authorize_at, "the day to charge the card", Step.AUTHORIZE))
        if booking.renew_at:
            deadlines.append(Deadline(booking.renew_at, awaited, Step.RENEW))
        return min(deadlines, key=lambda deadline: deadline.at)

    async def _keep_time(self, step: Step) -> None:
        """An authorization that is due, refused for too long, or about to end."""
        if step is Step.AUTHORIZE:
            await self._unless_decided(step, "charge the saved card")
            self._refuse_dead_payment(StatusReason.AUTHORIZATION_REFUSED)
        elif step is Step.RENEW:
            await self._unless_decided(step, "the authorization ends before the outcome")
            self._refuse_dead_payment(StatusReason.AUTHORIZATION_EXPIRED)
        else:
            await self._do(step, "the card was not fixed in time: ask Stripe")
            self._refuse_dead_payment(StatusReason.AUTHORIZATION_REFUSED)

    async def _unless_decided(self, step: Step, summary: str) -> None:
        """Once the outcome is known, settling it is the better step."""
        with contextlib.suppress(Interrupted):
            await self._do(step, summary, unless=lambda: self._wishes.outcome is not None)

    # --- reports that contradict each other ----------------------------------------------------

    @property
    def _contradicted(self) -> bool:
        return self._booking.contradiction is not None

    @property
    def _unrecorded(self) -> Claim | None:
        """A report that Postgres has still to hear of."""
        wishes, booking = self._wishes, self._booking
        if wishes.claim and not booking.claim:
            return wishes.claim
        if wishes.contradiction and not booking.contradiction:
            return wishes.contradiction
        return None

    async def _record(self, claim: Claim) -> None:
        outcome = Outcome(kind=claim.kind, actor=claim.actor, at=claim.at)
        step = Settle(booking_id=self._booking_id, outcome=outcome)
        noted = await self._attention.perform(
            Step.REPORT, lambda _: call(BookingSteps.report, step, f"note the report: {claim.kind}")
        )
        self._stands(noted)

    def _decided_by_ops(self) -> Outcome | None:
        """Release follows the provider's report, refund the client's; with an amount, that much."""
        contradiction = self._booking.contradiction
        if contradiction is None or not (decision := self._attention.answer(Step.REPORTS)):
            return None
        kind, keep = contradiction.kind, None
        if decision.action is Action.REFUND and decision.amount is None:
            kind = ReportedOutcome.PROVIDER_NO_SHOW
        elif decision.action is Action.REFUND:
            keep = max(self._booking.amount - (decision.amount or 0), 0)
        return Outcome(
            kind=kind, actor=decision.actor, at=workflow.now(), reason=StatusReason.DECIDED_BY_OPS, keep=keep
        )

    def _silence(self) -> Outcome:
        """Nobody contradicted what was claimed; or nobody said anything."""
        if claim := self._booking.claim:
            return Outcome(
                kind=claim.kind, actor=claim.actor, at=workflow.now(), reason=MISSED_BY.get(claim.kind)
            )
        return Outcome(
            kind=ReportedOutcome.COMPLETED,
            actor=SYSTEM,
            at=workflow.now(),
            reason=StatusReason.AUTO_COMPLETED,
        )

    # --- the payment ---------------------------------------------------------------------------

    async def _read_payment(self, over: StatusReason) -> None:
        read = self._wishes.news
        await self._do(Step.READ_PAYMENT, "read the payment at Stripe")
        self._wishes.news_read = read
        self._refuse_dead_payment(over)

    def _refuse_dead_payment(self, reason: StatusReason) -> None:
        if self._booking.payment_status in PAYMENT_OVER:
            raise Abandoned(reason, SYSTEM)
        if self._booking.payment_refused:
            raise Abandoned(StatusReason.PAYMENT_FAILED, SYSTEM)

    def _unwanted(self) -> Abandoned | None:
        """Somebody cancelled before the booking was confirmed: what is under way can stop."""
        outcome = self._wishes.outcome
        if outcome is None or not self._wishes.free_of_charge or self._ended:
            return None
        return Abandoned(CANCELLED_BY[outcome.actor.role], outcome.actor)

    def _rejected(self) -> Abandoned | None:
        actor = self._wishes.rejected
        return Abandoned(StatusReason.REJECTED_BY_PROVIDER, actor) if actor else None

    @property
    def _nobody_spoke(self) -> bool:
        """The grace is over, and silence decides."""
        return not self._contradicted and self._due(self._booking.completion_due_at)

    @staticmethod
    def _due(instant: datetime) -> bool:
        return workflow.now() >= instant
