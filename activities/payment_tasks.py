"""The writes that a booking's payment can need, each as a task of one of our rows.

A payment that was re-planned has an intent a round; what is written to it carries the round's id.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities import bookkeeping, refunding
from activities.operations import Task
from activities.records import Records, load, lock_payment
from activities.stripe_movements import RefundObject
from activities.stripe_objects import Customer, Intent, Setup
from activities.stripe_requests import (
    CancelIntent,
    CancelSetup,
    CaptureIntent,
    ConfirmIntent,
    CreateCustomer,
    CreateIntent,
    CreateRefund,
    CreateSetup,
)
from activities.stripe_writes import StripeWrites
from models.bookings import Booking
from models.catalogue import Client
from models.keys import row_id_for, transfer_group_for
from models.payments import Payment
from models.policy import PaymentPlan
from models.states import PaymentStatus
from models.transitions import Change, move


def cycle_id(payment: Payment) -> UUID:
    """The row that the operations of the payment's present intent belong to."""
    return payment.id if payment.cycle == 1 else row_id_for(payment.id, "cycle", payment.cycle)


def metadata_of(booking: Booking) -> dict[str, str]:
    """What an intent says about the booking that it is for."""
    return {
        "booking_id": str(booking.id),
        "session_id": str(booking.session_id),
        "service_id": str(booking.service_id),
        "provider_id": str(booking.provider_id),
    }


async def customer_of(session: AsyncSession, booking: Booking) -> str:
    """The client's customer at Stripe; empty while there is none."""
    return (await session.get_one(Client, booking.client_id)).stripe_customer_id or ""


class PaymentTasks:
    """Makes the tasks; `Operations` performs them."""

    def __init__(self, writes: StripeWrites) -> None:
        self.writes = writes

    # --- opening --------------------------------------------------------------------------------

    def customer(self, rows: Records) -> Task[CreateCustomer, Customer]:
        """The client's Stripe customer, once per client."""

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
        return Task(self.writes.customer, rows.booking.id, row_id, freeze, record)

    def setup(self, rows: Records) -> Task[CreateSetup, Setup]:
        """A SetupIntent: the client's card is kept now."""
        booking, payment = rows.booking, rows.payment

        async def freeze(session: AsyncSession) -> CreateSetup:
            return CreateSetup(customer=await customer_of(session, booking), metadata=metadata_of(booking))

        async def record(session: AsyncSession, setup: Setup) -> None:
            row = await lock_payment(session, booking.id, payment.id)
            row.setup_intent_id = setup.id

        return Task(self.writes.setup, booking.id, payment.id, freeze, record)

    def intent(self, rows: Records) -> Task[CreateIntent, Intent]:
        """The PaymentIntent of this round: for the client to confirm, or for the card that is kept."""
        booking, payment = rows.booking, rows.payment

        async def freeze(session: AsyncSession) -> CreateIntent | None:
            row = await lock_payment(session, booking.id, payment.id)
            if row.status not in bookkeeping.UNPAID or row.cycle != payment.cycle:
                return None
            return intent_request(rows, await customer_of(session, booking))

        async def record(session: AsyncSession, intent: Intent) -> None:
            row = await lock_payment(session, booking.id, payment.id)
            if row.cycle == payment.cycle:
                row.payment_intent_id = intent.id

        return Task(self.writes.intent, booking.id, cycle_id(payment), freeze, record)

    # --- authorizing, capturing, letting go -----------------------------------------------------

    def confirmation(self, payment: Payment, context: Change) -> Task[ConfirmIntent, Intent]:
        """The kept card is charged with nobody there; after a refusal it is the client's turn."""

        async def freeze(session: AsyncSession) -> ConfirmIntent | None:
            rows = await load(session, payment.booking_id, lock=True)
            row = await lock_payment(session, payment.booking_id, payment.id)
            waiting = row.status is PaymentStatus.SAVED and row.fix_by is None
            if not waiting or rows.booking.outcome_status is not None:
                return None
            if row.payment_intent_id is None or row.payment_method_id is None:
                return None
            return ConfirmIntent(payment_intent=row.payment_intent_id, payment_method=row.payment_method_id)

        async def record(session: AsyncSession, intent: Intent) -> None:
            await bookkeeping.record_intent(session, payment.id, intent, context)

        return Task(self.writes.confirm, payment.booking_id, cycle_id(payment), freeze, record)

    def capture(
        self, payment: Payment, amount: int, context: Change, then: bookkeeping.Then
    ) -> Task[CaptureIntent, Intent]:
        """Capture `amount` minor units; the rest is let go."""

        async def freeze(_: AsyncSession) -> CaptureIntent:
            return CaptureIntent(payment_intent=payment.payment_intent_id or "", amount=amount)

        async def record(session: AsyncSession, intent: Intent) -> None:
            await bookkeeping.record_intent(session, payment.id, intent, context)
            await then(session, context)

        return Task(self.writes.capture, payment.booking_id, cycle_id(payment), freeze, record)

    def cancel(self, payment: Payment, context: Change, then: bookkeeping.Then) -> Task[CancelIntent, Intent]:
        """Cancel the intent; a payment that has none is voided by us alone."""

        async def freeze(session: AsyncSession) -> CancelIntent | None:
            row = await lock_payment(session, payment.booking_id, payment.id)
            if row.payment_intent_id is not None:
                return CancelIntent(payment_intent=row.payment_intent_id)
            await move(session, row, PaymentStatus.VOIDED, context)
            return None

        async def record(session: AsyncSession, intent: Intent) -> None:
            await bookkeeping.record_intent(session, payment.id, intent, context)
            await then(session, context)

        return Task(self.writes.cancel, payment.booking_id, cycle_id(payment), freeze, record)

    def cancel_setup(self, payment: Payment, context: Change) -> Task[CancelSetup, Setup]:
        """Cancel a SetupIntent that no card was given to."""

        async def freeze(_: AsyncSession) -> CancelSetup:
            return CancelSetup(setup_intent=payment.setup_intent_id or "")

        async def record(session: AsyncSession, setup: Setup) -> None:
            await bookkeeping.record_setup(session, payment.id, setup, context)

        return Task(self.writes.cancel_setup, payment.booking_id, payment.id, freeze, record)

    def refund(
        self, payment: Payment, row_id: UUID, keep: int, context: Change, then: bookkeeping.Then
    ) -> Task[CreateRefund, RefundObject]:
        """Give back what is more than `keep` minor units."""

        async def freeze(session: AsyncSession) -> CreateRefund | None:
            # Another run may have given it back since `payment` was read.
            rows = await load(session, payment.booking_id, lock=True)
            surplus = await bookkeeping.surplus(session, rows, keep)
            if surplus <= 0:
                return None
            await refunding.draft_refund(session, rows.payment, row_id, surplus, context)
            return CreateRefund(payment_intent=payment.payment_intent_id or "", amount=surplus)

        async def record(session: AsyncSession, refund: RefundObject) -> None:
            if await refunding.refunded(session, payment.id, row_id, refund, context):
                await then(session, context)

        return Task(self.writes.refund, payment.booking_id, row_id, freeze, record)

    def refund_whole(
        self, payment: Payment, row_id: UUID, context: Change
    ) -> Task[CreateRefund, RefundObject]:
        """Give back what is left of a payment that its booking is not paid with."""

        async def freeze(session: AsyncSession) -> CreateRefund | None:
            row = await lock_payment(session, payment.booking_id, payment.id)
            left = refunding.surplus(row, 0)
            if left <= 0:
                return None
            await refunding.draft_refund(session, row, row_id, left, context)
            return CreateRefund(payment_intent=payment.payment_intent_id or "", amount=left)

        async def record(session: AsyncSession, refund: RefundObject) -> None:
            await refunding.refunded(session, payment.id, row_id, refund, context)

        return Task(self.writes.refund, payment.booking_id, row_id, freeze, record)


def intent_request(rows: Records, customer: str) -> CreateIntent:
    """The PaymentIntent that the booking's plan asks for.

    A card that is used for the first time is kept with it, because a booking that is moved, or whose
    authorization ends too early, has it charged again (DESIGN section 5).
    """
    plan, payment = rows.booking.plan, rows.payment
    first_use = plan is PaymentPlan.AUTHORIZE_NOW and payment.payment_method_id is None
    return CreateIntent(
        amount=payment.amount,
        currency=payment.currency,
        customer=customer,
        capture_method="automatic" if plan is PaymentPlan.CHARGE_NOW else "manual",
        transfer_group=transfer_group_for(rows.booking.id),
        setup_future_usage="off_session" if first_use else None,
        metadata=metadata_of(rows.booking),
    )
