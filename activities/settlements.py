"""Payments that no live booking knows: a booking may be made of them, else they go back, once."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import bookkeeping, refunding, stray_books
from activities.errors import Failure, StepError, StripeFailure
from activities.operations import Operations, Task
from activities.payment_tasks import PaymentTasks
from activities.records import change, load
from activities.routing import GONE
from activities.stray_payments import (
    Known,
    being_made,
    has_it,
    is_ours,
    known,
    read_stray,
    retake,
    stands,
    takes_place,
)
from activities.stripe_gateway import StripeGateway
from activities.stripe_lists import Listed
from activities.stripe_movements import RefundObject
from activities.stripe_objects import Intent
from activities.stripe_requests import CancelIntent, CreateRefund
from activities.stripe_writes import StripeWrites
from activities.verification import verify_refunds
from models.bookings import BookingRequest
from models.database import Database
from models.keys import row_id_for, stray_id_for
from models.payments import Payment, Refund
from models.states import PaymentStatus, RefundStatus
from models.transitions import Change, created
from workflows.contracts import StartBooking
from workflows.followups import Settlement, SettleStray, Stray, StrayVerdict
from workflows.steps import SettlementSteps


class SettlementActivities(SettlementSteps):
    """Implements `SettlementSteps`."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        writes: StripeWrites,
        operations: Operations,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._writes = writes
        self._operations = operations
        self._tasks = PaymentTasks(writes)
        self._now = now

    @activity.defn
    async def judge_stray(self, step: Stray) -> StrayVerdict:
        """What the payment is good for; asked again, it says the same until something has become of it."""
        intent = await self._read(step.payment_intent_id)
        if intent is None:
            return StrayVerdict(why="not a payment of ours")
        await self._recover_void(intent)
        return await self._database.run(lambda session: self._judge(session, intent))

    @activity.defn
    async def give_back_stray(self, step: SettleStray) -> Settlement:
        """Void what is authorized, refund what was taken; done before, it does nothing.

        Raises:
            StepError: of kind MONEY_NOT_SETTLED, the money is on its way, or its maker is not done with
                it; REFUND_FAILED, it came back.
        """
        intent = await self._read(step.payment_intent_id)
        if intent is None:
            return Settlement(payment_intent_id=step.payment_intent_id, why="not a payment of ours")
        found = await self._database.run(lambda session: _known(session, intent))
        booking_id = found.rows.booking.id if found else None
        why = await self._give_back(intent, found, step.at)
        return Settlement(
            payment_intent_id=intent.id, booking_id=booking_id, given_back=why != HAS_IT, why=why
        )

    async def _read(self, intent_id: str) -> Intent | None:
        intent = await read_stray(self._gateway, intent_id)
        return intent if intent and is_ours(intent, livemode=self._gateway.livemode) else None

    # --- judging ----------------------------------------------------------------------------

    async def _judge(self, session: AsyncSession, intent: Intent) -> StrayVerdict:
        found = await _known(session, intent)
        if found and has_it(found):
            return StrayVerdict(why=HAS_IT)
        if intent.status == "canceled":
            return StrayVerdict(why="there is no money in it")
        if found is None or takes_place(found) or not stands(intent):
            return StrayVerdict(give_back=True, why="no booking has asked for it")
        request = await session.get(BookingRequest, stray_id_for(intent.id))
        if request is not None and request.refusal is not None:
            return StrayVerdict(give_back=True, why=f"the time could not be had: {request.refusal}")
        wanted = await retake(session, intent, found, self._now())
        if isinstance(wanted, str):
            return StrayVerdict(give_back=True, why=wanted)
        await _ask(session, wanted)
        return StrayVerdict(retake=wanted, why="the time is still free")

    # --- giving back --------------------------------------------------------------------------

    async def _give_back(self, intent: Intent, found: Known | None, at: datetime) -> str:
        if found and has_it(found):
            return await self._gone_back(found.payment)
        if intent.status == "processing":
            raise StepError(Failure.MONEY_NOT_SETTLED, f"{intent.id} is with the bank")
        if intent.status not in ("canceled", "succeeded"):
            intent = await self._void(intent)
        if intent.status == "canceled":
            await self._recover_void(intent)
            return "voided"
        if found and _fits(found, intent):
            await self._refund_on_books(intent, found, at)
        else:
            await self._refund_off_books(intent)
        return "refunded"

    async def _gone_back(self, payment: Payment | None) -> str:
        """Whether the payment that a booking has went back whole, and arrived."""
        if payment is None or payment.status is not PaymentStatus.REFUNDED:
            return HAS_IT
        await self._database.run(lambda session: _arrived(session, payment.id))
        return "refunded"

    async def _void(self, intent: Intent) -> Intent:
        """Cancel the intent; answers it as it is then, which is paid when the client was faster."""
        try:
            await self._operations.perform(self._voiding(intent))
        except StripeFailure as failure:
            if failure.failure is not Failure.UNEXPECTED_STATE:
                raise
        now = await self._gateway.retrieve_intent(intent.id)
        if now.status not in ("canceled", "succeeded"):
            raise StepError(Failure.MONEY_NOT_SETTLED, f"{intent.id} is {now.status}")
        return now

    async def _recover_void(self, intent: Intent) -> None:
        """A void that died before it was recorded happened all the same; without one there is nothing to do."""
        if intent.status == "canceled":
            await self._operations.recover(self._voiding(intent))

    def _voiding(self, intent: Intent) -> Task[CancelIntent, Intent]:
        owner = stray_id_for(intent.id)

        async def freeze(_: AsyncSession) -> CancelIntent:
            return CancelIntent(payment_intent=intent.id)

        async def record(_: AsyncSession, __: Intent) -> None:
            """Nothing was taken, so there is nothing to write but that it was done."""

        return Task(self._writes.cancel, owner, row_id_for(owner, "payment"), freeze, record)

    async def _refund_on_books(self, intent: Intent, found: Known, at: datetime) -> None:
        """The booking that it was meant for shows that it was taken, and that it went back."""
        context = change(found.rows.booking.id, at, reason="late payment")
        payment = await self._database.run(lambda session: _take_on(session, intent, context))
        await verify_refunds(self._gateway, payment)
        if refunding.surplus(payment, 0) > 0:
            row_id = await self._database.run(lambda session: refunding.next_refund_id(session, payment))
            await self._operations.perform(self._tasks.refund_whole(payment, row_id, context))
        await self._database.run(lambda session: _arrived(session, payment.id))

    async def _refund_off_books(self, intent: Intent) -> None:
        """No booking can have it on its books: the ledger alone says that it came and went."""
        refunds = await self._post(intent)
        left = intent.amount_received - sum(refund.amount for refund in refunds if refund.is_live)
        if left > 0:
            await self._operations.perform(await self._refund_without_booking(intent, refunds, left))
            refunds = await self._post(intent)
        for refund in refunds:
            if refund.status in ("pending", "requires_action"):
                raise StepError(Failure.MONEY_NOT_SETTLED, f"{refund.id} is on its way to the client")
        if sum(refund.amount for refund in refunds if refund.is_live) < intent.amount_received:
            raise StepError(Failure.REFUND_FAILED, f"a refund of {intent.id} did not reach the client")

    async def _post(self, intent: Intent) -> list[Listed]:
        refunds = [refund async for refund in self._gateway.lists.refunds(payment_intent=intent.id)]

        async def work(session: AsyncSession) -> None:
            await stray_books.one_at_a_time(session, intent.id)
            await stray_books.post_capture(session, intent)
            await stray_books.post_refunds(session, intent, refunds)

        await self._database.run(work)
        return refunds

    async def _refund_without_booking(
        self, intent: Intent, refunds: list[Listed], left: int
    ) -> Task[CreateRefund, RefundObject]:
        owner = stray_id_for(intent.id)
        failed = await self._database.run(
            lambda session: stray_books.refunds_that_failed(session, owner, refunds)
        )

        async def freeze(_: AsyncSession) -> CreateRefund:
            return CreateRefund(payment_intent=intent.id, amount=left)

        async def record(session: AsyncSession, refund: RefundObject) -> None:
            await stray_books.one_at_a_time(session, intent.id)
            if refund.status not in ("failed", "canceled"):
                await stray_books.post_refund(session, intent, refund.id, refund.amount)

        return Task(self._writes.refund, owner, row_id_for(owner, "refund", failed + 1), freeze, record)


HAS_IT = "its booking has it"


async def _known(session: AsyncSession, intent: Intent) -> Known | None:
    """The booking behind the payment.

    Raises:
        StepError: of kind MONEY_NOT_SETTLED, its maker is not done with it.
    """
    if await being_made(session, intent):
        raise StepError(Failure.MONEY_NOT_SETTLED, f"{intent.id} is just being made")
    return await known(session, intent)


def _fits(found: Known, intent: Intent) -> bool:
    """Whether the booking can show the payment without mixing it with another one."""
    latest = found.rows.payment
    free = latest.status in GONE or latest.payment_intent_id == intent.id
    return free and not takes_place(found) and intent.currency == found.rows.booking.currency


async def _ask(session: AsyncSession, wanted: StartBooking) -> None:
    """Remember the request, as the API does, so that its refusal can be remembered, too."""
    asked = insert(BookingRequest).values(
        booking_id=wanted.booking_id,
        client_id=wanted.client_id,
        fingerprint=f"late payment {wanted.payment_intent_id}",
    )
    await session.execute(asked.on_conflict_do_nothing())


async def _take_on(session: AsyncSession, intent: Intent, context: Change) -> Payment:
    """Put a captured payment on the books of the booking that it was meant for."""
    rows = await load(session, context.booking_id, lock=True)
    by_intent = select(Payment).where(Payment.payment_intent_id == intent.id).with_for_update()
    payment = (await session.scalars(by_intent)).one_or_none()
    if payment is None or payment.status in GONE:
        if payment is not None:
            payment.payment_intent_id = None  # its operation remembers it; an end is for ever
            payment.charge_id = None
            await session.flush()
        number = rows.payment.number + 1
        payment = Payment(
            id=row_id_for(rows.booking.id, "payment", number),
            booking_id=rows.booking.id,
            number=number,
            status=PaymentStatus.PENDING,
            amount=intent.amount,
            currency=intent.currency,
            payment_intent_id=intent.id,
        )
        created(session, payment, context)
        await session.flush()
    await bookkeeping.record_intent(session, payment.id, intent, context)
    return payment


async def _arrived(session: AsyncSession, payment_id: UUID) -> None:
    refunds = await session.scalars(select(Refund).where(Refund.payment_id == payment_id))
    found = {refund.status: refund.refund_id for refund in refunds}
    if RefundStatus.PENDING in found:
        raise StepError(
            Failure.MONEY_NOT_SETTLED, f"{found[RefundStatus.PENDING]} is on its way to the client"
        )
    payment = await session.get_one(Payment, payment_id)
    if refunding.surplus(payment, 0) > 0:
        raise StepError(Failure.REFUND_FAILED, "the refund did not reach the client")
