"""One booking, from the reserved seat to the provider's payout.

`run` is the platform's side: cancellation and exit. `_story` is the business. What is said to the
booking (`conversation.py`) is only recorded; the story does all the work, one step at a time, and
every step answers with the booking as Postgres has it. Whatever happened to an earlier run, the
story begins by loading the booking and carries on from where it stands (DESIGN section 3).
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from models.money import display
    from models.states import (
        PAYMENT_STANDS,
        TERMINAL_BOOKING,
        BookingStatus,
        ReportedOutcome,
        Role,
        StatusReason,
    )
    from workflows.attending import Attending
    from workflows.calls import UNDOES, call
    from workflows.compensation import Abandoned, Undo, UndoStack
    from workflows.contracts import (
        SYSTEM,
        Abandon,
        Actor,
        Decide,
        Ended,
        Outcome,
        Reserve,
        Settle,
        StartBooking,
    )
    from workflows.parking import Step
    from workflows.steps import BookingSteps, PaymentSteps


@workflow.defn(name="Booking")
class BookingWorkflow(Attending):
    """A client's seat, the money for it, and the provider's share of that money."""

    @workflow.init
    def __init__(self, request: StartBooking) -> None:
        super().__init__(request.booking_id)
        self._undo = UndoStack()

    @workflow.run
    async def run(self, request: StartBooking) -> Ended:
        """Play the story to its end, whatever is cancelled in Temporal."""
        return await self._uninterrupted(self._story(request))

    async def _story(self, request: StartBooking) -> Ended:
        try:
            await self._reserve(request)
            if self._refusal is None:
                await self._open_payment()
                await self._take_payment()
                await self._approval()
                await self._confirm()
                await self._settle(await self._outcome())
        except Abandoned as because:
            await self._attention.withdraw()
            await self._undo.unwind(because)
        await self._pay_provider()
        return await self._leave()

    # --- the story's steps ------------------------------------------------------------------

    async def _reserve(self, request: StartBooking) -> None:
        # Both undos before the first do: the booking may be there already, and paid.
        self._undo.push(self._undoing(Step.RELEASE, "let the seat go"))
        self._undo.push(self._undoing(Step.GIVE_BACK, "give the money back"))
        step = Reserve(request=request, at=workflow.now())
        reserved = await self._attention.perform(
            Step.RESERVE, lambda _: call(BookingSteps.reserve, step, "reserve the seat")
        )
        self._refusal = reserved.refusal
        if reserved.booking:
            self._stands(reserved.booking)
            await self._take_over()

    async def _take_over(self) -> None:
        """Carry on what an earlier run left: its attention is over, its decision to abandon is not."""
        if self._booking.attention:
            await self._attention.clear()
        undone = self._booking.status in TERMINAL_BOOKING or self._booking.status is BookingStatus.CONFIRMED
        if self._booking.outcome_reason and not undone:
            raise Abandoned(self._booking.outcome_reason, SYSTEM)

    async def _open_payment(self) -> None:
        if self._booking.status in TERMINAL_BOOKING or self._booking.payment_opened:
            if self._booking.unread:
                await self._read_payment(StatusReason.PAYMENT_FAILED)
            return
        if because := self._unwanted():
            raise because
        price = display(self._booking.amount, self._booking.currency)
        await self._do(Step.OPEN_PAYMENT, f"open the payment of {price}")

    async def _take_payment(self) -> None:
        while self._booking.status is BookingStatus.PENDING:
            if because := self._unwanted():
                raise because
            if self._booking.payment_status in PAYMENT_STANDS:
                return
            heard = await self._wait(
                self._booking.expires_at,
                lambda: self._wishes.news_waiting or self._unwanted() is not None,
                "the client's payment",
                "cancel the booking",
            )
            if not heard:
                await self._do(Step.CLOSE_PAYMENT, "the payment window is over: ask Stripe")
                self._refuse_dead_payment(StatusReason.PAYMENT_TIMEOUT)
            elif self._wishes.news_waiting:
                await self._read_payment(StatusReason.PAYMENT_FAILED)

    async def _approval(self) -> None:
        """The provider accepts or rejects; silence counts as no, and nobody stays charged for it."""
        if self._booking.status is BookingStatus.PENDING and self._booking.wants_approval:
            await self._do(Step.ASK_APPROVAL, "ask the provider")
        while self._booking.status is BookingStatus.AWAITING_APPROVAL:
            if because := self._unwanted() or self._rejected():
                raise because
            if self._wishes.approved:
                return
            if self._wishes.news_waiting:
                await self._read_payment(StatusReason.AUTHORIZATION_EXPIRED)
                continue
            heard = await self._wait(
                self._booking.approval_due_at or workflow.now(),
                lambda: self._wishes.answered_approval or self._wishes.news_waiting or bool(self._unwanted()),
                "the provider's approval",
                "cancel the booking",
            )
            if not heard:
                raise Abandoned(StatusReason.APPROVAL_TIMEOUT, SYSTEM)

    async def _confirm(self) -> None:
        if self._booking.status in (BookingStatus.PENDING, BookingStatus.AWAITING_APPROVAL):
            await self._do(Step.CONFIRM, "confirm the booking")

    async def _outcome(self) -> Outcome:
        """The first word that decides it; silence until the grace ends means completed."""
        while self._booking.status is BookingStatus.CONFIRMED and self._booking.reported_outcome is None:
            if because := self._unwanted():
                raise because
            self._refuse_dead_payment(StatusReason.AUTHORIZATION_EXPIRED)
            if outcome := self._wishes.outcome or self._decided_by_ops():
                await self._attention.withdraw()
                return outcome
            if self._busy:
                await self._see_to_booking()
            elif not await self._wait_for_outcome() and self._nobody_spoke:
                break
        return self._wishes.outcome or self._silence()

    async def _settle(self, outcome: Outcome) -> None:
        if self._booking.status is not BookingStatus.CONFIRMED:
            return
        self._wishes.outcome = outcome
        step = Settle(booking_id=self._booking_id, outcome=outcome)
        settled = await self._insist(
            Step.SETTLE, lambda: call(PaymentSteps.settle, step, f"settle: {outcome.kind}")
        )
        self._stands(settled)
        if settled.status not in TERMINAL_BOOKING:
            self._refuse_dead_payment(StatusReason.AUTHORIZATION_EXPIRED)

    async def _leave(self) -> Ended:
        """Say how it ended, answer whoever still waits, and see to what was said meanwhile."""
        if self._current is None:
            self._over = True
            self._console.ended(None)
            await workflow.wait_condition(workflow.all_handlers_finished)
            return Ended(booking_id=self._booking_id, refusal=self._refusal)
        self._console.show(self._current)
        await self._finish()
        return Ended(
            booking_id=self._booking_id, status=self._current.status, reason=self._current.status_reason
        )

    # --- mechanics --------------------------------------------------------------------------

    def _undoing(self, step: Step, summary: str) -> Undo:
        async def undo(because: Abandoned) -> None:
            message = Abandon(
                booking_id=self._booking_id,
                at=workflow.now(),
                reason=because.reason,
                actor=because.actor,
            )
            undone = await self._insist(step, lambda: call(UNDOES[step], message, summary))
            if undone:
                self._stands(undone)

        return undo

    def _unopenable(self) -> Abandoned | None:
        if workflow.now() >= self._booking.expires_at:
            return Abandoned(StatusReason.PAYMENT_UNAVAILABLE, SYSTEM)
        return self._unwanted()

    def _cancelled_in_temporal(self) -> None:
        decided = self._current is not None and self._current.status in TERMINAL_BOOKING
        if self._wishes.outcome or decided:
            super()._cancelled_in_temporal()
        else:
            pending = self._current is None or self._current.status is not BookingStatus.CONFIRMED
            ops = Decide(actor=Actor(role=Role.OPS), unconfirmed=pending)
            self._wishes.report(ReportedOutcome.CANCELLED, ops, workflow.now(), self._current)
