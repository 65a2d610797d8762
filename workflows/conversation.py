"""What can be said to a booking, by signal and by update.

Handlers record what was said and wait for it to take effect; they never do any work themselves, so
they need no lock and may arrive at any moment, even before the story has begun.
"""

import contextlib
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from models.states import TERMINAL_BOOKING, BookingStatus, PaymentStatus, ReportedOutcome
    from workflows.checks import asking, check, check_approval, check_cancel, check_report, contradicts
    from workflows.contracts import Answer, Decide, Opened, PaymentFact, Refusal, Wish
    from workflows.orders import HoldOrder, NoShow, Objection, Reschedule
    from workflows.parking import Step
    from workflows.paying import Paymaster
    from workflows.wishes import UNCONFIRMED, Wishes, confirming

PAYMENT_UNDECIDED = frozenset({PaymentStatus.PENDING, PaymentStatus.PROCESSING})

WISH_WAITS = frozenset({Step.RESERVE, Step.SETTLE, Step.GIVE_BACK, Step.RELEASE})
"""Parked steps that not even a cancellation before confirmation interrupts."""

YIELDS = frozenset({Step.AUTHORIZE, Step.RENEW, Step.REPLAN})
"""Parked steps that every outcome interrupts."""


class Conversation(Paymaster):
    """The booking as it is known so far, and everybody who may say something to it."""

    def __init__(self, booking_id: UUID) -> None:
        super().__init__(booking_id)
        self._refusal: Refusal | None = None
        self._wishes = Wishes()

    @workflow.signal(description="Stripe says something happened to the payment: it is read again")
    def payment_changed(self, fact: PaymentFact) -> None:
        """Count the news; the story reads the payment itself and never trusts an event's snapshot."""
        del fact
        self._wishes.news += 1

    @workflow.signal(description="What a person wanted while no worker could answer")
    def wished(self, wish: Wish) -> None:
        """Note it as its update would; what the booking does not allow is forgotten."""
        current = self._current
        if wish.session_id and current and wish.session_id != current.session_id:
            return  # it has moved to another class since it was named
        with contextlib.suppress(ApplicationError):
            actor = wish.decide.actor
            if contradicts(wish.kind, self._current, actor):
                self._errands.add(Objection(actor=actor))
                return
            check(wish.kind, self._current, self._wishes, actor, workflow.now())
            self._wishes.report(wish.kind, wish.decide, workflow.now(), self._current)

    @workflow.update(description="Wait until the booking can be paid, or was refused")
    async def opened(self) -> Opened:
        """Answer the client who is waiting to pay."""
        await workflow.wait_condition(
            lambda: self._ended or (self._current is not None and self._current.payment_opened)
        )
        return Opened(refusal=self._refusal, status=self._current.status if self._current else None)

    @workflow.update(description="Ask Stripe about the payment now")
    async def confirm(self) -> Answer:
        """Answer once Stripe was asked after this call, or the payment was decided before."""
        self._wishes.news += 1
        asked = self._wishes.news
        await workflow.wait_condition(lambda: self._payment_answered(asked))
        return self._answer()

    @workflow.update(description="The provider accepts the booking")
    async def approve(self, decide: Decide) -> Answer:
        """Answer once the booking is confirmed, or that step is parked."""
        del decide
        await self._taken_over()
        check_approval(self._current, self._wishes, accept=True)
        self._wishes.approved = True
        await workflow.wait_condition(
            lambda: self._ended or self._stuck or self._booking.status is BookingStatus.CONFIRMED
        )
        return self._answer()

    @approve.validator
    def _validate_approve(self, decide: Decide) -> None:
        del decide
        self._validate_approval(accept=True)

    @workflow.update(description="The provider rejects the booking: the client's money goes back")
    async def reject(self, decide: Decide) -> Answer:
        """Answer once the booking is rejected and nothing is charged, or that step is parked."""
        await self._taken_over()
        check_approval(self._current, self._wishes, accept=False)
        self._wishes.rejected = self._wishes.rejected or decide.actor
        await workflow.wait_condition(
            lambda: self._ended or self._stuck or self._booking.status is BookingStatus.CONFIRMED
        )
        return self._answer()

    @reject.validator
    def _validate_reject(self, decide: Decide) -> None:
        del decide
        self._validate_approval(accept=False)

    @workflow.update(description="Cancel the booking; money goes back as its policy says")
    async def cancel(self, decide: Decide) -> Answer:
        """Answer once the booking is cancelled and its money settled, or that step is parked."""
        self._wishes.report(ReportedOutcome.CANCELLED, decide, workflow.now(), self._current)
        await workflow.wait_condition(lambda: self._ended or self._stuck)
        return self._answer()

    @cancel.validator
    def _validate_cancel(self, decide: Decide) -> None:
        check_cancel(self._current, self._wishes, decide.actor, workflow.now())

    @workflow.update(description="The session has happened: capture the money")
    async def complete(self, decide: Decide) -> Answer:
        """Answer once the booking is completed and its money captured, or that step is parked."""
        await self._report(ReportedOutcome.COMPLETED, decide)
        return self._answer()

    @complete.validator
    def _validate_complete(self, decide: Decide) -> None:
        self._validate_report(ReportedOutcome.COMPLETED, decide)

    @workflow.update(description="Somebody did not come to the session")
    async def no_show(self, said: NoShow) -> Answer:
        """Answer once it is settled, or noted while the other side may contradict it."""
        await self._taken_over()
        if contradicts(said.kind, self._current, said.actor):
            return await self._ordered(Objection(actor=said.actor))
        await self._report(said.kind, Decide(actor=said.actor))
        return self._answer()

    @no_show.validator
    def _validate_no_show(self, said: NoShow) -> None:
        if not contradicts(said.kind, self._current, said.actor):
            self._validate_report(said.kind, Decide(actor=said.actor))

    @workflow.update(description="Move the booking to another time")
    async def reschedule(self, order: Reschedule) -> Answer:
        """Answer once the new slot is taken and the old one let go, or refuse and change nothing."""
        return await self._ordered(order)

    @reschedule.validator
    def _validate_reschedule(self, order: Reschedule) -> None:
        self._refuse_early(order)

    @workflow.update(name="object", description="The client contests the session: the payout is frozen")
    async def contest(self, objection: Objection) -> Answer:
        """Answer once the payout is frozen."""
        return await self._ordered(objection)

    @contest.validator
    def _validate_contest(self, objection: Objection) -> None:
        self._refuse_early(objection)

    @workflow.update(description="Ops: pay out later, or now")
    async def hold(self, order: HoldOrder) -> Answer:
        """Answer once the hold has changed."""
        return await self._ordered(order)

    @hold.validator
    def _validate_hold(self, order: HoldOrder) -> None:
        self._refuse_early(order)

    @property
    def _behind(self) -> bool:
        """Before the confirmation nobody sees to orders: only what is about to be confirmed may have been."""
        current = self._current
        if current is not None and current.status in UNCONFIRMED:
            return confirming(current) or self._wishes.approved
        return super()._behind

    async def _taken_over(self) -> None:
        """Until this run knows the booking: what it hears before that is looked at then."""
        if self._current is None:
            await workflow.wait_condition(lambda: self._over or self._current is not None)

    def _validate_approval(self, *, accept: bool) -> None:
        if self._current is not None:
            check_approval(self._current, self._wishes, accept=accept)

    async def _report(self, kind: ReportedOutcome, decide: Decide) -> None:
        await workflow.wait_condition(lambda: self._ended or self._stuck or self._settled_in)
        # It may have changed meanwhile.
        check_report(kind, self._current, self._wishes, decide.actor, workflow.now())
        self._wishes.report(kind, decide, workflow.now(), self._current)
        await workflow.wait_condition(lambda: self._ended or self._stuck or self._noted)

    def _validate_report(self, kind: ReportedOutcome, decide: Decide) -> None:
        if self._current is not None:  # a run that is just taking over looks again in the handler
            check_report(kind, self._current, self._wishes, decide.actor, workflow.now())

    def _payment_answered(self, asked: int) -> bool:
        """The news numbered `asked` were read, and what they meant was done."""
        current = self._current
        if self._ended or self._attention.parked is not None:
            return True
        if current is not None and current.fix_by is not None:  # its client repairs the payment
            return self._wishes.news_read >= asked
        if current is None or current.status is not BookingStatus.PENDING:
            return current is not None
        undecided = current.payment_status in PAYMENT_UNDECIDED and not current.payment_refused
        return self._wishes.news_read >= asked and undecided

    @property
    def _settled_in(self) -> bool:
        """This run knows the booking, and no confirmation is on its way."""
        return self._current is not None and not confirming(self._current) and not asking(self._current)

    @property
    def _noted(self) -> bool:
        """What was said is a claim, or contradicts one, and is stored."""
        current = self._current
        if self._wishes.outcome is not None or current is None or current.claim is None:
            return False
        return self._wishes.contradiction is None or current.contradiction is not None

    @property
    def _stuck(self) -> bool:
        """A wish waits for a person; whoever made it should not wait along, for updates are few."""
        parked = self._attention.parked
        if parked is None or parked in YIELDS:
            return False
        return parked in WISH_WAITS or not self._wishes.free_of_charge

    @property
    def _ended(self) -> bool:
        return self._over or (self._current is not None and self._current.status in TERMINAL_BOOKING)
