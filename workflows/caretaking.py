"""Captured money: what people order and Stripe reports about it, done one thing at a time.

Facts are only counted: the step behind them reads Stripe.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from models.money import display
from models.states import MONEY_TAKEN
from workflows.calls import call
from workflows.compensation import Abandoned, Interrupted
from workflows.contracts import AccountFact, Actor, Answer, Do, MoneyFact, Resolve
from workflows.errands import Errand, Errands, Order
from workflows.mechanics import Mechanics
from workflows.orders import (
    Changed,
    ChangeHold,
    Contest,
    GiveBack,
    HoldOrder,
    Moving,
    Objection,
    RefundOrder,
    Reschedule,
)
from workflows.parking import Step
from workflows.refusals import refusal_of, refusal_of_verdict
from workflows.steps import BookingSteps, HoldSteps, PayoutSteps, RefundSteps

T = TypeVar("T")


class Caretaker(Mechanics):
    """Sees to captured money, whatever is asked or reported meanwhile."""

    def __init__(self, booking_id: UUID) -> None:
        super().__init__(booking_id)
        self._errands = Errands()
        self._facts = 0
        self._facts_read = 0
        self._account_news = 0
        self._looks = 0

    # --- what can be said ---------------------------------------------------------------------

    @workflow.signal(description="Stripe says something happened to captured money: it is read again")
    def money_changed(self, fact: MoneyFact) -> None:
        """Count the news; a step that is parked may work now."""
        del fact
        self._facts += 1
        self._attention.wake()

    @workflow.signal(description="The provider's account changed: what is blocked is tried again")
    def account_changed(self, fact: AccountFact) -> None:
        """Wake a blocked payout."""
        del fact
        self._account_news += 1
        self._attention.wake()

    @workflow.signal(description="Try a parked step, or a blocked payout, again now")
    def retry(self) -> None:
        """Wake whatever is parked; harmless when nothing is, so a batch may wake thousands."""
        self._attention.wake()

    @workflow.update(description="Give captured money back, in whole or in part")
    async def refund(self, order: RefundOrder) -> Answer:
        """Answer once the money is on its way, or the step is parked."""
        return await self._ordered(order)

    @refund.validator
    def _validate_refund(self, order: RefundOrder) -> None:
        self._refuse_early(order)

    @workflow.update(description="Ops: decide about a parked step, or between people who disagree")
    async def resolve(self, resolve: Resolve) -> Answer:
        """Answer once the decision was taken up."""
        await self._attention.decide(resolve)
        return self._answer()

    @resolve.validator
    def _validate_resolve(self, resolve: Resolve) -> None:
        self._attention.check(resolve)
        if self._current is not None and (refused := refusal_of_verdict(resolve, self._current)):
            raise ApplicationError(refused.detail, type=refused.code)

    async def _ordered(self, order: Order) -> Answer:
        if self._over:
            raise ApplicationError("The booking's workflow has ended.", type="gone")
        errand = self._errands.add(order)
        await workflow.wait_condition(lambda: errand.done or self._over or self._attention.parked is not None)
        if errand.refusal:
            raise ApplicationError(errand.detail, type=errand.refusal)
        return self._answer()

    def _refuse_early(self, order: Order) -> None:
        """Refuse before anything reaches the history; what may be right in a moment is looked at in its turn."""
        if self._current is None or self._behind:
            return
        if refused := refusal_of(order, self._current, workflow.now()):
            raise ApplicationError(refused.detail, type=refused.code)

    @property
    def _behind(self) -> bool:
        """Postgres may say more than this run has heard of, and whoever ordered may have read it there."""
        return self._attention.under_way

    def _answer(self) -> Answer:
        return Answer(status=self._current.status if self._current else None)

    # --- one thing at a time ------------------------------------------------------------------

    @property
    def _something_waits(self) -> bool:
        return bool(self._errands) or self._facts > self._facts_read

    async def _attend(self) -> None:
        """Do the next thing that was asked, or read what was reported."""
        if self._errands:
            await self._run(self._errands.take())
        else:
            await self._mirror()

    async def _mirror(self) -> None:
        read = self._facts
        await self._do(Step.MIRROR, "read refunds, disputes and transfers at Stripe")
        self._facts_read = read

    async def _run(self, errand: Errand) -> None:
        if refused := refusal_of(errand.order, self._booking, workflow.now()):
            errand.refuse(refused.code, refused.detail)
            return
        try:
            changed = await self._carry_out(errand.order)
        except Abandoned:
            errand.refuse("invalid_state", "Ops gave this up.")
            return
        self._stands(changed.booking)
        if changed.refusal:
            errand.refuse(changed.refusal, changed.detail or changed.refusal)
        errand.done = True

    async def _carry_out(self, order: Order) -> Changed:
        perform, at = self._attention.perform, workflow.now()
        match order:
            case RefundOrder():
                return await self._give_back(order)
            case Reschedule():
                now_in = self._booking.session_id
                move = Moving(booking_id=self._booking_id, at=at, order=order, from_session_id=now_in)
                return await perform(
                    Step.RESCHEDULE, lambda _: call(BookingSteps.reschedule, move, "move the booking")
                )
            case Objection():
                contest = Contest(booking_id=self._booking_id, at=at, objection=order)
                frozen = await perform(
                    Step.CONTEST, lambda _: call(HoldSteps.contest, contest, "freeze the payout")
                )
                return Changed(booking=frozen)
            case HoldOrder():
                change = ChangeHold(booking_id=self._booking_id, at=at, order=order)
                held = await perform(
                    Step.CHANGE_HOLD,
                    lambda _: call(HoldSteps.change_hold, change, f"{order.action} the hold"),
                )
                return Changed(booking=held)

    async def _insist(self, step: Step, attempt: Callable[[], Awaitable[T]]) -> T:
        """Take a step that an open dispute may forbid: before it is tried again, Stripe is read."""
        tried = False

        async def informed(_: Resolve | None) -> T:
            nonlocal tried
            if tried:
                await self._catch_up()
            tried = True
            return await attempt()

        return await self._attention.perform(step, informed)

    async def _catch_up(self) -> None:
        taken = self._current is not None and self._current.payment_status in MONEY_TAKEN
        if taken and workflow.patched("catch-up-before-settling-again"):
            read = self._facts
            step = Do(booking_id=self._booking_id, at=workflow.now())
            self._stands(await call(RefundSteps.mirror, step, "has the bank decided?"))
            self._facts_read = read

    async def _give_back(self, order: RefundOrder) -> Changed:
        step = GiveBack(booking_id=self._booking_id, at=workflow.now(), order=order)
        amount = order.amount or self._booking.refundable
        summary = f"refund {display(amount, self._booking.currency)}"
        return await self._attention.perform(Step.REFUND, lambda _: call(RefundSteps.refund, step, summary))

    async def _rebalance(self) -> None:
        """After the transfer the provider has more, or less, than its share is now."""
        try:
            await self._do(
                Step.REBALANCE, "bring the provider's share in line", unless=lambda: bool(self._errands)
            )
        except Interrupted:
            return  # a refund may be what brings it in line
        except Abandoned as waived:
            await self._waive(waived.actor)

    async def _waive(self, actor: Actor) -> None:
        """Leave it with the platform; to give that up too says no more than it said before."""
        step = Do(booking_id=self._booking_id, at=workflow.now(), waive=actor)
        try:
            waived = await self._attention.perform(
                Step.REBALANCE, lambda _: call(PayoutSteps.rebalance, step, "leave it with the platform")
            )
        except Abandoned as again:
            return await self._waive(again.actor)
        self._stands(waived)
        return None
