"""One booking twice: in the real workflow with played steps, and in the pure model. The same happens to both."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from models.policy import PaymentPlan, Policy
from models.saga import events, reducer
from models.saga.promising import ANSWERS
from models.states import (
    MONEY_TAKEN,
    BookingStatus,
    DisputeStatus,
    ReportedOutcome,
    Role,
)
from tests.model.shop import WINDOW, Reduce
from tests.workflows.foretold import Foretold, Picture
from tests.workflows.saga import PlayedSaga, Sagas
from tests.workflows.stage import SOON_SECONDS, Trouble, broken
from tests.workflows.talk import OPS
from tests.workflows.world import World
from workflows.orders import RefundOrder
from workflows.parking import Action, Step

HOUR: Final = timedelta(hours=1)
PAID_BY: Final = {
    PaymentPlan.AUTHORIZE_NOW: "requires_capture",
    PaymentPlan.AUTHORIZE_LATER: "setup",
    PaymentPlan.CHARGE_NOW: "succeeded",
}
"""What the intent is once the client has done its part."""

STEPS: Final = ("read_payment", "confirm", "settle", "pay_out", "mirror", "refund", "rebalance", "release")


@dataclass(frozen=True)
class Happening:
    """Hours after the one before, somebody does something; `part` divides an amount."""

    what: str
    hours: int = 0
    role: Role = Role.CLIENT
    part: int = 1


@dataclass
class Twice:
    """Does everything to both."""

    sagas: Sagas
    saga: PlayedSaga
    told: Foretold
    began: datetime
    hours: int = 0
    done: int = 0

    @classmethod
    async def begin(
        cls, sagas: Sagas, policy: Policy, starts_in: timedelta, reduce: Reduce = reducer.reduce
    ) -> "Twice":
        saga = await sagas.start(starts_in=starts_in, **policy.model_dump())
        saga.world.outside.arrives = "paid"
        await saga.opened()
        await saga.quiet()
        began = saga.world.starts_at - starts_in
        return cls(sagas, saga, Foretold.begin(policy, starts_in, began, reduce), began)

    @property
    def world(self) -> World:
        return self.saga.world

    async def happens(self, happening: Happening) -> None:
        """At an instant that no deadline and no look of an earlier one falls on: all of those are whole minutes off."""
        self.hours += happening.hours
        self.done += 1
        instant = self.began + self.hours * HOUR + self.done * timedelta(minutes=7, seconds=11)
        await self.saga.passes_until(instant)
        await self.saga.quiet()
        self.told.until(instant)
        await getattr(self, happening.what)(happening)
        await self.saga.quiet()

    async def ends(self) -> None:
        """Whatever keeps it from its end is decided; then time goes on until it is over."""
        for what in ("may_be_paid", "wins", "sides_with_the_provider", "decides_between_two"):
            await self.happens(Happening(what, hours=1))
        if await self._running():
            await self.saga.ends()
        self.told.until(None)

    def picture(self) -> Picture:
        booking, books = self.world.booking, self.world.books
        return {
            "booking": booking.status,
            "reason": booking.status_reason,
            "payment": booking.payment_status,
            "payout": booking.payout_status,
            "money": [books.captured, books.refunded, books.disputed, books.transferred, books.reversed],
            "transfers": self.world.transferred,
        }

    # --- what happens: until the outcome ------------------------------------------------------------

    async def pays(self, happening: Happening) -> None:
        """And Stripe's webhook comes as often as it likes."""
        if self.world.intent == "requires_payment_method":
            plan = self.told.saga.plan
            self.world.intent = PAID_BY[plan]
            for _ in range(happening.part):
                await self.saga.stripe_says()
            at = self.told.now
            self.told.tell(events.PaymentSays(at, ANSWERS[plan], at + WINDOW), events.Proceed(at))

    async def is_refused(self, _: Happening) -> None:
        """By its bank; the next card is as good as ever."""
        self.world.card_refused = True
        await self._signalled(self.saga.stripe_says())
        await self.saga.quiet()
        self.world.card_refused = False
        self.told.tell(events.CardRefused(self.told.now))

    async def accepts(self, _: Happening) -> None:
        await self._same(self.saga.approve(), events.Answered(self.told.now, accepts=True))

    async def rejects(self, _: Happening) -> None:
        await self._same(self.saga.reject(), events.Answered(self.told.now, accepts=False))

    async def cancels(self, happening: Happening) -> None:
        role = happening.role
        await self._same(self.saga.cancel(role), events.Cancelled(self.told.now, role))

    async def completes(self, happening: Happening) -> None:
        said = events.Reported(self.told.now, ReportedOutcome.COMPLETED, happening.role)
        await self._same(self.saga.complete(happening.role), said)

    async def misses_the_client(self, _: Happening) -> None:
        said = events.Reported(self.told.now, ReportedOutcome.CLIENT_NO_SHOW, Role.PROVIDER)
        await self._same(self.saga.client_missed(), said)

    async def misses_the_provider(self, _: Happening) -> None:
        """During the hold the same words are an objection."""
        at = self.told.now
        claim = events.Reported(at, ReportedOutcome.PROVIDER_NO_SHOW, Role.CLIENT)
        attended = self.told.saga.booking in (BookingStatus.COMPLETED, BookingStatus.NO_SHOW)
        await self._same(self.saga.provider_missed(), events.Objected(at) if attended else claim)

    async def moves(self, happening: Happening) -> None:
        starts_at = self.told.now + 30 * happening.part * HOUR
        moved = events.Rescheduled(self.told.now, happening.role, starts_at)
        await self._same(self.saga.moves_to(starts_at, happening.role), moved)

    # --- captured money -------------------------------------------------------------------------------

    async def gives_back(self, happening: Happening) -> None:
        amount = max(self.told.saga.books.kept, 0) // happening.part // 10 * 10
        name = f"refund {self.done}"
        if amount and await self._ordered(RefundOrder(actor=OPS, request_id=name, amount=amount)):
            assert self.told.tell(events.RefundOrdered(self.told.now, name, amount))

    async def disputes(self, happening: Happening) -> None:
        saga, amount = self.told.saga, max(self.told.saga.books.kept, 0) // happening.part // 10 * 10
        if saga.payment in MONEY_TAKEN and not saga.disputes and amount:
            self.world.outside.dispute_opens(amount)
            await self._money_moves()
            took = (("out", amount),)
            self.told.tell(events.DisputeSays(self.told.now, "dp", amount, DisputeStatus.OPEN, took))

    async def wins(self, _: Happening) -> None:
        await self._decided(DisputeStatus.WON)

    async def loses(self, _: Happening) -> None:
        await self._decided(DisputeStatus.LOST)

    async def _decided(self, status: DisputeStatus) -> None:
        if self.told.saga.disputed:
            amount = self.told.saga.disputes["dp"].amount
            lost = status is DisputeStatus.LOST
            self.world.outside.dispute_ends(lost=amount if lost else 0)
            await self._money_moves()
            moves = (("out", amount),) if lost else (("out", amount), ("back", -amount))
            self.told.tell(events.DisputeSays(self.told.now, "dp", amount, status, moves))

    async def objects(self, _: Happening) -> None:
        await self._same(self.saga.objects(), events.Objected(self.told.now))

    async def sides_with_the_provider(self, _: Happening) -> None:
        if self.told.saga.objected:
            release = self.saga.resolve(Step.OBJECTION, Action.RELEASE)
            await self._same(release, events.Judged(self.told.now))

    async def decides_between_two(self, _: Happening) -> None:
        contradiction = self.told.saga.contradiction
        if contradiction and not self.told.saga.ended:
            release = self.saga.resolve(Step.REPORTS, Action.RELEASE)
            await self._same(release, events.ReportsJudged(self.told.now, contradiction.kind))

    async def extends(self, happening: Happening) -> None:
        hold = self.told.saga.hold
        until = (hold.due_at if hold else self.told.now) + happening.part * 24 * HOUR
        await self._same(self.saga.hold_until(until), events.HoldChanged(self.told.now, until))

    async def releases(self, _: Happening) -> None:
        await self._same(self.saga.pay_now(), events.HoldChanged(self.told.now))

    async def may_not_be_paid(self, _: Happening) -> None:
        self.world.outside.payable = self.told.payable = False

    async def may_be_paid(self, _: Happening) -> None:
        self.world.outside.payable = self.told.payable = True
        await self._signalled(self.saga.account_changes())
        self.told.tell()

    # --- what must make no difference -------------------------------------------------------------------

    async def starts_again(self, _: Happening) -> None:
        """Terminated, and started under the same id."""
        if await self._running():
            begun = self.world.steps().count("reserve")
            await self.saga.terminated()
            self.saga = await self.sagas.begin(self.world)
            await self.world.reached("reserve", begun + 1)

    async def stumbles(self, happening: Happening) -> None:
        """The next call of a step never acts, acts and is not answered, or parks until it is tried again."""
        step = STEPS[self.done % len(STEPS)]
        passing = ApplicationError("made to fail", type="StripeUnavailable")
        kinds = (Trouble(before=passing), Trouble(after=passing), Trouble(before=broken()))
        if not self.world.troubles[step]:
            self.world.troubles[step].append(kinds[happening.part - 1])

    # --- how ------------------------------------------------------------------------------------------------

    async def _same(self, update: Awaitable[object], *happened: events.Event) -> None:
        """Both take it, or neither does; but to say again what is so is fine for the workflow."""
        before = self.picture()
        heard = await self._said(update)
        await self.saga.quiet()
        repeated = heard and self.picture() == before
        foretold = self.told.tell(*happened)
        assert heard == foretold or repeated, f"heard: {heard}, foretold: {foretold}, {happened}"

    async def _said(self, update: Awaitable[object]) -> bool:
        try:
            async with asyncio.timeout(SOON_SECONDS):
                await update
        except (WorkflowUpdateFailedError, RPCError):
            return False
        return True

    async def _signalled(self, signal: Awaitable[None]) -> None:
        if await self._running():
            await signal
        else:
            signal.close()  # type: ignore[attr-defined]

    async def _money_moves(self) -> None:
        """Whoever sees to the money is told."""
        if await self._running():
            await self.saga.told()
        else:
            await (await self.sagas.aftercare(self.world)).ends()

    async def _ordered(self, order: RefundOrder) -> bool:
        if await self._running():
            return await self._said(self.saga.handle.execute_update("refund", order))
        gate = self.world.stops_in("mirror")
        care = await self.sagas.aftercare(self.world)
        asked = await care.asks("refund", order)
        gate.opened.set()
        heard = await self._said(asked.result())
        await care.ends()
        return heard

    async def _running(self) -> bool:
        return (await self.saga.handle.describe()).status is WorkflowExecutionStatus.RUNNING
