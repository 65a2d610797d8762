"""The client's money: open the payment, read it, close it, settle what the outcome keeps.

Each activity does one money step whole. What Stripe says is read from the object, never believed
from an event; what it means is written by `activities/bookkeeping.py`.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import bookkeeping, refunding
from activities.decisions import abandon, decide
from activities.errors import Failure, StepError, StripeFailure
from activities.operations import Operations, Task
from activities.records import Records, change, load, lock_payment
from activities.standing import state
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import (
    CancelIntent,
    CaptureIntent,
    CreateCustomer,
    CreateIntent,
    CreateRefund,
    Customer,
    Intent,
    RefundObject,
)
from activities.stripe_writes import StripeWrites
from activities.verification import verify, verify_refunds
from models.bookings import Booking
from models.catalogue import Client
from models.database import Database
from models.keys import row_id_for, transfer_group_for
from models.payments import Payment, Refund
from models.policy import PaymentPlan
from models.states import MONEY_TAKEN, TERMINAL_BOOKING, PaymentStatus, RefundStatus
from models.transitions import Change, move
from workflows.contracts import Abandon, BookingState, Do, Settle
from workflows.steps import PaymentSteps

AWAITING_BANK = frozenset({"processing", "requires_action"})
STANDS = frozenset({"requires_capture", "succeeded"})
PAYMENT_GONE = frozenset({PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})


class PaymentActivities(PaymentSteps):
    """Implements `PaymentSteps`."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._writes = writes
        self._operations = operations

    @activity.defn
    async def open_payment(self, step: Do) -> BookingState:
        """Create the client's Stripe customer, once per client, then this booking's intent."""
        rows = await self._rows(step.booking_id)
        if rows.payment.payment_intent_id is None and rows.booking.status not in TERMINAL_BOOKING:
            await self._operations.perform(self._customer_of(rows))
            await self._operations.perform(self._intent_for(rows), step.adopt)
        return await self._state(step.booking_id)

    @activity.defn
    async def read_payment(self, step: Do) -> BookingState:
        """Record what the intent says now; a payment that is not ours to take never confirms."""
        rows = await self._rows(step.booking_id)
        intent = await self._intent(rows.payment)
        if intent is None:
            return await self._state(step.booking_id)
        verify(intent, rows.payment, livemode=self._gateway.livemode)
        await self._record(rows.payment, intent, change(step.booking_id, step.at))
        refused = rows.policy.strict_payment_failure and intent.refused
        return await self._state(step.booking_id, payment_refused=refused)

    @activity.defn
    async def close_payment(self, step: Do) -> BookingState:
        """The window is over and Stripe decides: a payment that stands wins, else the intent ends.

        A payment that is with the bank or in 3-D Secure gets one more window of grace (TRAPS 8).
        """
        rows = await self._rows(step.booking_id)
        context = change(step.booking_id, step.at)
        intent = await self._intent(rows.payment)
        if intent is not None and intent.status in STANDS:
            verify(intent, rows.payment, livemode=self._gateway.livemode)
            await self._record(rows.payment, intent, context)
        elif intent is not None and intent.status in AWAITING_BANK and _may_wait(rows.booking, step):
            await self._database.run(lambda session: bookkeeping.grant_grace(session, step))
        elif paid := await self._cancel(rows.payment, context, bookkeeping.nothing_more):
            verify(paid, rows.payment, livemode=self._gateway.livemode)
            await self._record(rows.payment, paid, context)
        return await self._state(step.booking_id)

    @activity.defn
    async def give_back(self, step: Abandon) -> BookingState | None:
        """Void or refund whatever the client has paid; safe when nothing was ever opened."""
        if not await self._database.run(lambda session: abandon(session, step)):
            return None
        await self._operations.recover(self._intent_for(await self._rows(step.booking_id)))
        rows = await self._rows(step.booking_id)
        context = change(step.booking_id, step.at, step.actor, step.reason)
        intent = await self._intent(rows.payment)
        if intent is not None:
            # A refund needs its capture on our books first, also one that nobody told us about.
            await self._record(rows.payment, intent, context)
            rows = await self._rows(step.booking_id)
        await self._keep(rows, 0, context, bookkeeping.nothing_more)
        return await self._state(step.booking_id)

    @activity.defn
    async def settle(self, step: Settle) -> BookingState:
        """Store the decision, keep exactly what it keeps, and end the booking with it."""
        rows = await self._database.run(lambda session: decide(session, step))
        booking = rows.booking
        if booking.status not in TERMINAL_BOOKING:
            at = booking.outcome_at or step.outcome.at
            context = change(step.booking_id, at, step.outcome.actor, booking.outcome_reason)
            await self._keep(rows, booking.keep or 0, context, bookkeeping.end)
            await self._database.run(lambda session: bookkeeping.end(session, context))
        ended = await self._state(step.booking_id)
        if ended.status not in TERMINAL_BOOKING:
            raise StepError(Failure.MONEY_NOT_SETTLED, "the decision changed while its money was moved")
        return ended

    # --- keeping, whatever the payment's state -----------------------------------------------

    async def _keep(self, rows: Records, keep: int, context: Change, then: bookkeeping.Then) -> None:
        """Make sure that just `keep` minor units stay; `then` is written with the last of it."""
        payment = rows.payment
        if payment.status in MONEY_TAKEN:
            if refunding.surplus(payment, keep) > 0:
                await self._give_back_captured(payment, keep, context, then)
                # An earlier, smaller refund may have been taken up first.
                await self._keep(await self._rows(payment.booking_id), keep, context, then)
            else:
                await verify_refunds(self._gateway, payment)
        elif keep and payment.status in PAYMENT_GONE:
            raise StepError(
                Failure.AUTHORIZATION_EXPIRED, f"{payment.payment_intent_id} can no longer be captured"
            )
        elif keep:
            await self._operations.perform(self._capture_of(payment, keep, context, then))
        elif paid := await self._cancel(payment, context, then):
            await self._record(payment, paid, context)
            await self._keep(await self._rows(payment.booking_id), keep, context, then)

    async def _cancel(self, payment: Payment, context: Change, then: bookkeeping.Then) -> Intent | None:
        """Cancel the intent; answers the paid one when the client was faster (TRAPS 12)."""
        try:
            await self._operations.perform(self._cancel_of(payment, context, then))
        except StripeFailure as failure:
            intent = await self._intent(payment)
            if failure.failure is not Failure.UNEXPECTED_STATE or intent is None:
                raise
            if intent.status != "succeeded":
                raise
            return intent
        return None

    async def _give_back_captured(
        self, payment: Payment, keep: int, context: Change, then: bookkeeping.Then
    ) -> None:
        row_id = await self._database.run(lambda session: refunding.next_refund_id(session, payment))
        await self._operations.perform(self._refund_of(payment, row_id, keep, context, then))
        refund = await self._database.run(lambda session: session.get(Refund, row_id))
        if refund is not None and refund.status is RefundStatus.FAILED:
            raise StepError(
                Failure.REFUND_FAILED, f"{refund.refund_id} did not reach the client: try another refund"
            )

    # --- the writes -----------------------------------------------------------------------------

    def _customer_of(self, rows: Records) -> Task[CreateCustomer, Customer]:
        async def freeze(session: AsyncSession) -> CreateCustomer | None:
            client = await session.get_one(Client, rows.booking.client_id)
            if client.stripe_customer_id:
                return None
            return CreateCustomer(name=client.name, email=client.email, metadata={"client_id": client.id})

        async def record(session: AsyncSession, customer: Customer) -> None:
            client = await session.get_one(Client, rows.booking.client_id, with_for_update=True)
            client.stripe_customer_id = customer.id

        # One customer per client, so the row behind the key is the client, not the booking.
        row_id = row_id_for(rows.booking.client_id, "customer")
        return Task(self._writes.customer, rows.booking.id, row_id, freeze, record)

    def _intent_for(self, rows: Records) -> Task[CreateIntent, Intent]:
        booking, payment = rows.booking, rows.payment

        async def freeze(session: AsyncSession) -> CreateIntent:
            client = await session.get_one(Client, booking.client_id)
            charge_now = booking.plan is PaymentPlan.CHARGE_NOW
            return CreateIntent(
                amount=payment.amount,
                currency=payment.currency,
                customer=client.stripe_customer_id or "",
                capture_method="automatic" if charge_now else "manual",
                transfer_group=transfer_group_for(booking.id),
                metadata={
                    "booking_id": str(booking.id),
                    "session_id": str(booking.session_id),
                    "service_id": str(booking.service_id),
                    "provider_id": str(booking.provider_id),
                },
            )

        async def record(session: AsyncSession, intent: Intent) -> None:
            row = await lock_payment(session, payment.booking_id, payment.id)
            row.payment_intent_id = intent.id

        return Task(self._writes.intent, booking.id, payment.id, freeze, record)

    def _capture_of(
        self, payment: Payment, keep: int, context: Change, then: bookkeeping.Then
    ) -> Task[CaptureIntent, Intent]:
        async def freeze(_: AsyncSession) -> CaptureIntent:
            return CaptureIntent(payment_intent=payment.payment_intent_id or "", amount=keep)

        async def record(session: AsyncSession, intent: Intent) -> None:
            await bookkeeping.record_intent(session, payment.id, intent, context)
            await then(session, context)

        return Task(self._writes.capture, payment.booking_id, payment.id, freeze, record)

    def _cancel_of(
        self, payment: Payment, context: Change, then: bookkeeping.Then
    ) -> Task[CancelIntent, Intent]:
        async def freeze(session: AsyncSession) -> CancelIntent | None:
            row = await lock_payment(session, payment.booking_id, payment.id)
            if row.payment_intent_id is not None:
                return CancelIntent(payment_intent=row.payment_intent_id)
            await move(session, row, PaymentStatus.VOIDED, context)
            return None

        async def record(session: AsyncSession, intent: Intent) -> None:
            await bookkeeping.record_intent(session, payment.id, intent, context)
            await then(session, context)

        return Task(self._writes.cancel, payment.booking_id, payment.id, freeze, record)

    def _refund_of(
        self, payment: Payment, row_id: UUID, keep: int, context: Change, then: bookkeeping.Then
    ) -> Task[CreateRefund, RefundObject]:
        async def freeze(session: AsyncSession) -> CreateRefund | None:
            # Another run may have given it back since `payment` was read.
            row = await lock_payment(session, payment.booking_id, payment.id)
            surplus = refunding.surplus(row, keep)
            if surplus <= 0:
                return None
            await refunding.draft_refund(session, row, row_id, surplus, context)
            return CreateRefund(payment_intent=payment.payment_intent_id or "", amount=surplus)

        async def record(session: AsyncSession, refund: RefundObject) -> None:
            if await refunding.refunded(session, payment.id, row_id, refund, context):
                await then(session, context)

        return Task(self._writes.refund, payment.booking_id, row_id, freeze, record)

    # --- reading --------------------------------------------------------------------------------

    async def _rows(self, booking_id: UUID) -> Records:
        return await self._database.run(lambda session: load(session, booking_id))

    async def _state(self, booking_id: UUID, *, payment_refused: bool = False) -> BookingState:
        return await self._database.run(
            lambda session: state(session, booking_id, payment_refused=payment_refused)
        )

    async def _intent(self, payment: Payment) -> Intent | None:
        if payment.payment_intent_id is None:
            return None
        return await self._gateway.retrieve_intent(payment.payment_intent_id)

    async def _record(self, payment: Payment, intent: Intent, context: Change) -> None:
        await self._database.run(
            lambda session: bookkeeping.record_intent(session, payment.id, intent, context)
        )


def _may_wait(booking: Booking, step: Do) -> bool:
    """Grace is still to be had, or this step has granted it before and its answer was lost."""
    return not booking.grace_used or step.at < booking.expires_at
