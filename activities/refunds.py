"""Captured money on its way back to the client: what people order, and what Stripe says went back."""

from itertools import count
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import refunding
from activities.accounts import books_of
from activities.errors import Failure, StepError, StripeFailure
from activities.mirroring import Mirror
from activities.operations import Operations, Task
from activities.records import change, load, lock_payment
from activities.standing import has_open_dispute, state
from activities.stripe_gateway import StripeGateway
from activities.stripe_movements import RefundObject
from activities.stripe_requests import CreateRefund
from activities.stripe_writes import StripeWrites
from models.database import Database
from models.keys import row_id_for
from models.money import step as smallest
from models.payments import Payment, Refund
from models.states import MONEY_TAKEN, RefundStatus
from models.transitions import Change
from workflows.contracts import BookingState, Do
from workflows.orders import Changed, GiveBack, RefundOrder
from workflows.steps import RefundSteps

ORDERED = "ordered"
DISPUTED = "charge_disputed"
"""Stripe's code: the charge's money is with the client's bank."""


class Refused(Exception):
    """The order cannot be carried out, and nothing was: a problem code, and the sentence to it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def contested() -> Refused:
    """A refund while a dispute is open would pay twice (TRAPS 30)."""
    return Refused("dispute_open", "The payment is disputed: the bank decides first.")


class RefundActivities(RefundSteps):
    """Implements `RefundSteps`."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._writes = writes
        self._operations = operations
        self._mirror = Mirror(database, gateway, writes, operations)

    @activity.defn
    async def mirror(self, step: Do) -> BookingState:
        """Read everything that may have happened to captured money, and record what our books lack."""
        await self._mirror.bring(change(step.booking_id, step.at))
        return await self._state(step.booking_id)

    @activity.defn
    async def refund(self, step: GiveBack) -> Changed:
        """Give money back as a person ordered, once per request, whatever is retried.

        Raises:
            StepError: of kind REFUND_FAILED, Stripe took the refund on and could not send it.
        """
        context = change(step.booking_id, step.at, step.order.actor, ORDERED)
        await self._mirror.bring(change(step.booking_id, step.at))
        try:
            row_id = await self._give_back(step.order, context)
        except Refused as refused:
            booking = await self._state(step.booking_id)
            return Changed(booking=booking, refusal=refused.code, detail=refused.detail)
        refund = await self._database.run(lambda session: session.get(Refund, row_id))
        if refund is not None and refund.status is RefundStatus.FAILED:
            raise StepError(
                Failure.REFUND_FAILED, f"{refund.refund_id} did not reach the client: try another refund"
            )
        return Changed(booking=await self._state(step.booking_id))

    async def _give_back(self, order: RefundOrder, context: Change) -> UUID:
        payment, row_id = await self._database.run(lambda session: _row_of(session, order, context))
        try:
            await self._operations.perform(self._task(payment, row_id, order, context))
        except StripeFailure as failure:
            if failure.code != DISPUTED:
                raise
            await self._mirror.bring(context)
            raise contested() from None
        return row_id

    def _task(
        self, payment: Payment, row_id: UUID, order: RefundOrder, context: Change
    ) -> Task[CreateRefund, RefundObject]:
        async def freeze(session: AsyncSession) -> CreateRefund:
            amount = await _allowed(session, payment, order, context)
            row = await lock_payment(session, context.booking_id, payment.id)
            await refunding.draft_refund(session, row, row_id, amount, context)
            return CreateRefund(payment_intent=payment.payment_intent_id or "", amount=amount)

        async def record(session: AsyncSession, made: RefundObject) -> None:
            await refunding.refunded(session, payment.id, row_id, made, context)

        return Task(self._writes.refund, context.booking_id, row_id, freeze, record)

    async def _state(self, booking_id: UUID) -> BookingState:
        return await self._database.run(lambda session: state(session, booking_id))


async def _row_of(session: AsyncSession, order: RefundOrder, context: Change) -> tuple[Payment, UUID]:
    """The refund that this order made, or makes; one that Stripe could not send is followed by another.

    Raises:
        Refused: there is nothing to give back.
    """
    taken = select(Payment).where(Payment.booking_id == context.booking_id, Payment.status.in_(MONEY_TAKEN))
    payments = list(await session.scalars(taken.order_by(Payment.number.desc())))
    for payment in payments:
        row_id, found = await _attempt(session, payment, order)
        if found:
            return payment, row_id
    for payment in payments:
        if refunding.surplus(payment, 0) > 0:
            return payment, row_id_for(payment.id, f"refund:{order.request_id}")
    raise Refused("invalid_state", "There is no captured money that could go back.")


async def _attempt(session: AsyncSession, payment: Payment, order: RefundOrder) -> tuple[UUID, bool]:
    for number in count(1):
        row_id = row_id_for(payment.id, f"refund:{order.request_id}", number)
        refund = await session.get(Refund, row_id)
        if refund is None or refund.status is not RefundStatus.FAILED:
            return row_id, refund is not None or number > 1
    raise AssertionError("unreachable")


async def _allowed(session: AsyncSession, payment: Payment, order: RefundOrder, context: Change) -> int:
    """How much goes back, in minor units, decided under the lock that nothing may change it under.

    Raises:
        Refused: contested, nothing left, too much, or no amount that Stripe can move.
    """
    rows = await load(session, context.booking_id, lock=True)
    row = await lock_payment(session, context.booking_id, payment.id)
    if await has_open_dispute(session, context.booking_id):
        raise contested()
    left = min((await books_of(session, rows)).kept, refunding.surplus(row, 0))
    if left <= 0:
        raise Refused("invalid_state", "Everything that was captured has gone back.")
    amount = left if order.amount is None else order.amount
    unit = smallest(payment.currency)
    if not 0 < amount <= left or amount % unit:
        raise Refused("validation_failed", f"Between {unit} and {left} can be refunded, in steps of {unit}.")
    return amount
