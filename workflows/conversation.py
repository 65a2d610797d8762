"""What can be said to a booking, by signal and by update.

Handlers record what was said and wait for it to take effect; they never do any work themselves, so
they need no lock and may arrive at any moment, even before the story has begun.
"""

import contextlib

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from models.states import TERMINAL_BOOKING, BookingStatus, PaymentStatus, ReportedOutcome
    from workflows.attention import Attention
    from workflows.contracts import (
        Answer,
        BookingState,
        Decide,
        Opened,
        PaymentFact,
        Refusal,
        Resolve,
        Step,
        Wish,
    )
    from workflows.wishes import Wishes, check, check_cancel, check_complete, confirming

PAYMENT_UNDECIDED = frozenset({PaymentStatus.PENDING, PaymentStatus.PROCESSING})

WISH_WAITS = frozenset({Step.RESERVE, Step.SETTLE, Step.GIVE_BACK, Step.RELEASE})
"""Parked steps that not even a cancellation before confirmation interrupts."""


class Conversation:
    """The booking as it is known so far, and everybody who may say something to it."""

    def __init__(self, attention: Attention) -> None:
        self._current: BookingState | None = None
        self._refusal: Refusal | None = None
        self._over = False
        self._wishes = Wishes()
        self._attention = attention

    @workflow.signal(description="Stripe says something happened to the payment: it is read again")
    def payment_changed(self, fact: PaymentFact) -> None:
        """Count the news; the story reads the payment itself and never trusts an event's snapshot."""
        del fact
        self._wishes.news += 1

    @workflow.signal(description="Try a parked step again, now")
    def retry(self) -> None:
        """Wake whatever is parked; harmless when nothing is, so a batch may wake thousands."""
        self._attention.wake()

    @workflow.signal(description="What a person wanted while no worker could answer")
    def wished(self, wish: Wish) -> None:
        """Note it as its update would; what the booking does not allow is forgotten."""
        with contextlib.suppress(ApplicationError):
            check(wish.kind, self._current, self._wishes, wish.decide.actor, workflow.now())
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
        await workflow.wait_condition(lambda: self._ended or self._stuck or self._settled_in)
        check_complete(self._current, self._wishes, workflow.now())  # it may have changed meanwhile
        self._wishes.report(ReportedOutcome.COMPLETED, decide, workflow.now(), self._current)
        await workflow.wait_condition(lambda: self._ended or self._stuck)
        return self._answer()

    @complete.validator
    def _validate_complete(self, decide: Decide) -> None:
        del decide
        if self._current is not None:  # a run that is just taking over looks again in the handler
            check_complete(self._current, self._wishes, workflow.now())

    @workflow.update(description="Ops: decide about a parked step (retry, adopt, abort)")
    async def resolve(self, resolve: Resolve) -> Answer:
        """Answer once the decision was taken up."""
        await self._attention.decide(resolve)
        return self._answer()

    @resolve.validator
    def _validate_resolve(self, resolve: Resolve) -> None:
        self._attention.check(resolve)

    def _payment_answered(self, asked: int) -> bool:
        """The news numbered `asked` were read, and what they meant was done."""
        current = self._current
        if self._ended or self._attention.parked is not None:
            return True
        if current is None or current.status is not BookingStatus.PENDING:
            return current is not None
        undecided = current.payment_status in PAYMENT_UNDECIDED and not current.payment_refused
        return self._wishes.news_read >= asked and undecided

    @property
    def _settled_in(self) -> bool:
        """This run knows the booking, and no confirmation is on its way."""
        return self._current is not None and not confirming(self._current)

    @property
    def _stuck(self) -> bool:
        """A wish waits for a person; whoever made it should not wait along, for updates are few."""
        parked = self._attention.parked
        return parked in WISH_WAITS or (parked is not None and not self._wishes.free_of_charge)

    @property
    def _ended(self) -> bool:
        return self._over or (self._current is not None and self._current.status in TERMINAL_BOOKING)

    def _answer(self) -> Answer:
        return Answer(status=self._current.status if self._current else None)
