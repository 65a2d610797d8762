"""The client's money: open the payment, read it, close it, settle what the outcome keeps.

Each activity does one money step whole. What Stripe says is read from the object, never believed
from an event; what it means is written by `activities/bookkeeping.py`.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import bookkeeping
from activities.decisions import abandon, decide
from activities.errors import Failure, StepError
from activities.keeping import Keeping
from activities.operations import Operations
from activities.payment_reading import PaymentReading
from activities.payment_tasks import PaymentTasks
from activities.records import Records, change
from activities.renewal import Renewal
from activities.standing import state
from activities.stripe_gateway import StripeGateway
from activities.stripe_writes import StripeWrites
from models.bookings import Booking
from models.database import Database
from models.payments import Payment
from models.policy import PaymentPlan
from models.states import TERMINAL_BOOKING, BookingStatus, PaymentStatus
from models.transitions import Change
from workflows.contracts import Abandon, BookingState, Do, Settle
from workflows.steps import PaymentSteps

AWAITING_BANK = frozenset({"processing", "requires_action"})
STANDS = frozenset({"requires_capture", "succeeded"})


class PaymentActivities(PaymentSteps):
    """Implements `PaymentSteps`."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._operations = operations
        self._tasks = PaymentTasks(writes)
        renewal = Renewal(database, operations, writes)
        self._keeping = Keeping(database, gateway, operations, self._tasks, renewal)
        self._reading = PaymentReading(database, gateway, self._keeping)

    @activity.defn
    async def open_payment(self, step: Do) -> BookingState:
        """Create the client's Stripe customer, once per client, then what the booking's plan asks for."""
        rows = await self._keeping.rows(step.booking_id)
        if _unopened(rows.payment) and rows.booking.status not in TERMINAL_BOOKING:
            await self._operations.perform(self._tasks.customer(rows))
            if rows.booking.plan is PaymentPlan.AUTHORIZE_LATER:
                await self._operations.perform(self._tasks.setup(rows), step.adopt)
            else:
                await self._operations.perform(self._tasks.intent(rows), step.adopt)
        return await self._state(step.booking_id)

    @activity.defn
    async def read_payment(self, step: Do) -> BookingState:
        """Record what Stripe says now; a payment that is not ours to take never confirms."""
        rows = await self._keeping.rows(step.booking_id)
        refused = await self._reading.read(rows, change(step.booking_id, step.at))
        # A kept card that is refused on its day may be repaired, however strict the policy is before that.
        final = rows.policy.strict_payment_failure and rows.booking.status is BookingStatus.PENDING
        return await self._state(step.booking_id, payment_refused=refused and final)

    @activity.defn
    async def close_payment(self, step: Do) -> BookingState:
        """A window is over and Stripe decides: a payment that stands wins, else the intent ends.

        A payment that is with the bank or in 3-D Secure gets one more window of grace (TRAPS 8); a card
        that was to be repaired gets none, for the session is near.
        """
        rows = await self._keeping.rows(step.booking_id)
        context = change(step.booking_id, step.at)
        if rows.payment.payment_intent_id is None and rows.payment.setup_intent_id is not None:
            await self._close_setup(rows, step, context)
        elif rows.payment.status is not PaymentStatus.SAVED or _unrepaired(rows.payment, step):
            await self._close_intent(rows, step, context)
        payment = (await self._keeping.rows(step.booking_id)).payment
        if payment.status in bookkeeping.PAYMENT_GONE:
            await self._keeping.recover_cancellation(payment, context)
        return await self._state(step.booking_id)

    @activity.defn
    async def give_back(self, step: Abandon) -> BookingState | None:
        """Void or refund whatever the client has paid; safe when nothing was ever opened."""
        if not await self._database.run(lambda session: abandon(session, step)):
            return None
        context = change(step.booking_id, step.at, step.actor, step.reason)
        rows = await self._keeping.rows(step.booking_id)
        await self._operations.recover(self._tasks.setup(rows))
        await self._operations.recover(self._tasks.intent(rows))
        rows = await self._keeping.rows(step.booking_id)
        intent = await self._keeping.intent(rows.payment)
        if intent is not None:
            # A refund needs its capture on our books first, also one that nobody told us about.
            await self._keeping.record(rows.payment, intent, context)
        await self._keeping.let_go_of_others(step.booking_id, context)
        await self._keeping.keep(step.booking_id, 0, context, bookkeeping.nothing_more)
        return await self._state(step.booking_id)

    @activity.defn
    async def settle(self, step: Settle) -> BookingState:
        """Store the decision, keep exactly what it keeps, and end the booking with it.

        When what should be kept cannot be had any more, the booking stays as it is and its payment
        says why: the saga then lets it go.
        """
        rows = await self._database.run(lambda session: decide(session, step))
        booking = rows.booking
        if booking.status not in TERMINAL_BOOKING:
            at = booking.outcome_at or step.outcome.at
            context = change(step.booking_id, at, step.outcome.actor, booking.outcome_reason)
            await self._keeping.let_go_of_others(step.booking_id, context)
            await self._keeping.keep(step.booking_id, booking.keep or 0, context, bookkeeping.end)
            await self._database.run(lambda session: bookkeeping.end(session, context))
        ended = await self._state(step.booking_id)
        if ended.status in TERMINAL_BOOKING or ended.payment_status in bookkeeping.PAYMENT_GONE:
            return ended
        raise StepError(Failure.MONEY_NOT_SETTLED, "the decision changed while its money was moved")

    # --- closing --------------------------------------------------------------------------------

    async def _close_intent(self, rows: Records, step: Do, context: Change) -> None:
        intent = await self._keeping.intent(rows.payment)
        if intent is not None and intent.status in STANDS:
            await self._reading.accept(rows, intent, context)
        elif intent is not None and intent.status in AWAITING_BANK and _may_wait(rows.booking, step):
            await self._database.run(lambda session: bookkeeping.grant_grace(session, step))
        elif paid := await self._keeping.cancel(rows.payment, context, bookkeeping.nothing_more):
            await self._reading.accept(rows, paid, context)

    async def _close_setup(self, rows: Records, step: Do, context: Change) -> None:
        if rows.payment.status is not PaymentStatus.PENDING:
            return
        waiting = await self._reading.read_setup(rows, context) in AWAITING_BANK
        if waiting and _may_wait(rows.booking, step):
            await self._database.run(lambda session: bookkeeping.grant_grace(session, step))
        elif (await self._keeping.rows(step.booking_id)).payment.status is PaymentStatus.PENDING:
            await self._keeping.end_setup(rows.payment, context)

    async def _state(self, booking_id: UUID, *, payment_refused: bool = False) -> BookingState:
        async def work(session: AsyncSession) -> BookingState:
            return await state(session, booking_id, payment_refused=payment_refused)

        return await self._database.run(work)


def _unopened(payment: Payment) -> bool:
    """Neither an intent nor a SetupIntent, and no kept card that makes them unnecessary."""
    opened = payment.payment_intent_id is not None or payment.setup_intent_id is not None
    return not opened and payment.status is PaymentStatus.PENDING


def _unrepaired(payment: Payment, step: Do) -> bool:
    """The client was given until now to repair a refused card."""
    return payment.fix_by is not None and payment.fix_by <= step.at


def _may_wait(booking: Booking, step: Do) -> bool:
    """Grace is still to be had, or this step has granted it before and its answer was lost."""
    if booking.status is not BookingStatus.PENDING:
        return False
    return not booking.grace_used or step.at < booking.expires_at
