"""One booking, from the reserved seat to the provider's payout.

`run` is the platform's side: cancellation and exit. `_story` is the business. What is said to the
booking (`conversation.py`) is only recorded; the story does all the work, one step at a time, and
every step answers with the booking as Postgres has it. Whatever happened to an earlier run, the
story begins by loading the booking and carries on from where it stands (DESIGN section 3).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from models.money import display
    from models.states import (
        PAYMENT_STANDS,
        TERMINAL_BOOKING,
        BookingStatus,
        PaymentStatus,
        PayoutStatus,
        ReportedOutcome,
        Role,
        StatusReason,
    )
    from workflows.attention import Attention
    from workflows.calls import DOES, UNDOES, call
    from workflows.compensation import Abandoned, Undo, UndoStack
    from workflows.console import Console
    from workflows.contracts import (
        SYSTEM,
        Abandon,
        Actor,
        BookingState,
        Decide,
        Do,
        Ended,
        Outcome,
        Reserve,
        Settle,
        StartBooking,
        Step,
    )
    from workflows.conversation import Conversation
    from workflows.steps import BookingSteps, PaymentSteps
    from workflows.waiting import wait_until
    from workflows.wishes import CANCELLED_BY

PAYMENT_OVER = frozenset({PaymentStatus.VOIDED, PaymentStatus.FAILED, PaymentStatus.EXPIRED})
PAYOUT_OPEN = frozenset({PayoutStatus.HELD, PayoutStatus.PROCESSING, PayoutStatus.BLOCKED})


@workflow.defn(name="Booking")
class BookingWorkflow(Conversation):
    """A client's seat, the money for it, and the provider's share of that money."""

    @workflow.init
    def __init__(self, request: StartBooking) -> None:
        super().__init__(Attention(request.booking_id, self._show_attention))
        self._request = request
        self._console = Console()
        self._undo = UndoStack()

    @workflow.run
    async def run(self, request: StartBooking) -> Ended:
        """Play the story; a Temporal cancellation is a wish like any other, not an interruption."""
        story = asyncio.create_task(self._story(request))
        while not story.done():
            try:
                await asyncio.shield(story)
            except asyncio.CancelledError:
                self._cancelled_in_temporal()
        return story.result()

    async def _story(self, request: StartBooking) -> Ended:
        try:
            await self._reserve(request)
            if self._refusal is None:
                await self._open_payment()
                await self._take_payment()
                await self._confirm()
                await self._settle(await self._outcome())
        except Abandoned as because:
            await self._undo.unwind(because)
        await self._hold()
        await self._pay_out()
        ended = self._end(request)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return ended

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

    async def _confirm(self) -> None:
        if self._booking.status is BookingStatus.PENDING:
            await self._do(Step.CONFIRM, "confirm the booking")

    async def _outcome(self) -> Outcome:
        """The first word that decides it; silence until the grace ends means completed."""
        while self._booking.status is BookingStatus.CONFIRMED and self._booking.reported_outcome is None:
            if because := self._unwanted():
                raise because
            heard = await self._wait(
                self._booking.completion_due_at,
                lambda: self._wishes.outcome is not None or self._wishes.news_waiting,
                "the session's outcome",
                "complete the booking once it has started, or cancel it",
            )
            if self._wishes.outcome or not heard:
                break
            await self._read_payment(StatusReason.AUTHORIZATION_EXPIRED)
        silence = Outcome(
            kind=ReportedOutcome.COMPLETED,
            actor=SYSTEM,
            at=workflow.now(),
            reason=StatusReason.AUTO_COMPLETED,
        )
        return self._wishes.outcome or silence

    async def _settle(self, outcome: Outcome) -> None:
        if self._booking.status is not BookingStatus.CONFIRMED:
            return
        self._wishes.outcome = outcome
        step = Settle(booking_id=self._request.booking_id, outcome=outcome)
        settled = await self._attention.perform(
            Step.SETTLE, lambda _: call(PaymentSteps.settle, step, f"settle: {outcome.kind}")
        )
        self._stands(settled)

    async def _hold(self) -> None:
        if self._current and self._current.payout_status is PayoutStatus.HELD and self._current.payout_due_at:
            due = self._current.payout_due_at
            await self._wait(
                due, lambda: False, "the end of the payout hold", "nothing: the transfer follows by itself"
            )

    async def _pay_out(self) -> None:
        if self._current and self._current.payout_status in PAYOUT_OPEN:
            share = display(self._current.payout_amount or 0, self._current.currency)
            await self._do(Step.PAY_OUT, f"transfer {share} to the provider")

    def _end(self, request: StartBooking) -> Ended:
        self._over = True
        self._console.ended(self._current)
        if self._current is None:
            return Ended(booking_id=request.booking_id, refusal=self._refusal)
        self._console.show(self._current)
        return Ended(
            booking_id=request.booking_id, status=self._current.status, reason=self._current.status_reason
        )

    # --- mechanics --------------------------------------------------------------------------

    @property
    def _booking(self) -> BookingState:
        if self._current is None:
            raise AssertionError("no step runs before the seat is reserved")
        return self._current

    def _stands(self, booking: BookingState) -> None:
        """The one place where the booking's state changes here and in the UI."""
        self._current = booking
        self._console.show(booking, self._attention.parked)

    async def _do(self, step: Step, summary: str) -> None:
        async def attempt(adopt: str | None) -> BookingState:
            message = Do(booking_id=self._request.booking_id, at=workflow.now(), adopt=adopt)
            return await call(DOES[step], message, summary)

        # A payment that cannot even be opened holds its seat no longer than one nobody makes.
        opening = step is Step.OPEN_PAYMENT
        interruption = self._unopenable if opening else self._unwanted
        look_at = self._booking.expires_at if opening else None
        self._stands(await self._attention.perform(step, attempt, interruption, look_at))

    def _undoing(self, step: Step, summary: str) -> Undo:
        async def undo(because: Abandoned) -> None:
            message = Abandon(
                booking_id=self._request.booking_id,
                at=workflow.now(),
                reason=because.reason,
                actor=because.actor,
            )
            undone = await self._attention.perform(step, lambda _: call(UNDOES[step], message, summary))
            if undone:
                self._stands(undone)

        return undo

    def _unwanted(self) -> Abandoned | None:
        """Somebody cancelled before the booking was confirmed: what is under way can stop."""
        outcome = self._wishes.outcome
        if outcome is None or not self._wishes.free_of_charge:
            return None
        return Abandoned(CANCELLED_BY[outcome.actor.role], outcome.actor)

    @property
    def _unconfirmed(self) -> bool:
        return self._current is None or self._current.status is BookingStatus.PENDING

    def _unopenable(self) -> Abandoned | None:
        if workflow.now() >= self._booking.expires_at:
            return Abandoned(StatusReason.PAYMENT_UNAVAILABLE, SYSTEM)
        return self._unwanted()

    async def _wait(self, until: datetime, ready: Callable[[], bool], what: str, can: str) -> bool:
        self._console.waiting(self._booking, what, until, can)
        return await wait_until(until, ready, what)

    def _show_attention(self, step: Step | None, message: str, retry_at: datetime) -> None:
        self._console.show(self._current, step)
        if step:
            self._console.parked(self._current, step, message, retry_at)

    def _cancelled_in_temporal(self) -> None:
        decided = self._current is not None and self._current.status in TERMINAL_BOOKING
        if self._wishes.outcome or decided:
            self._console.show(self._current, self._attention.parked or "cancellation")
            workflow.logger.warning("cancelled in Temporal after its outcome: the saga carries on")
        else:
            ops = Decide(actor=Actor(role=Role.OPS), unconfirmed=self._unconfirmed)
            self._wishes.report(ReportedOutcome.CANCELLED, ops, workflow.now(), self._current)
