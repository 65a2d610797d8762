"""The authorization's clock: charge a kept card in time, renew what ends, let go of what is moved.

Card networks let an authorization go after days. What the booking still needs then is captured
early, authorized anew, or authorized again nearer the new date (DESIGN section 5).
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import bookkeeping
from activities.errors import Failure, StepError, StripeFailure
from activities.keeping import Keeping
from activities.operations import Operations, Task
from activities.payment_reading import PaymentReading
from activities.payment_tasks import PaymentTasks, cycle_id
from activities.records import Records, change, load, lock_payment
from activities.renewal import Renewal
from activities.standing import state
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent
from activities.stripe_requests import CancelIntent
from activities.stripe_writes import StripeWrites
from models import clock
from models.announcements import Kind
from models.database import Database
from models.outbox import announce
from models.payments import Payment
from models.states import PaymentStatus
from models.transitions import Change, move
from workflows.contracts import BookingState, Do
from workflows.steps import AuthorizationSteps

REFUSED: Final = frozenset({Failure.CARD_DECLINED, Failure.STRIPE_REJECTED})
"""The bank's no, and a card that is not kept any more: the client can give another."""

UNDECIDED_LOOK: Final = timedelta(hours=1)
"""How long a bank that has not decided is left alone; a webhook tells sooner."""


class AuthorizationActivities(AuthorizationSteps):
    """Implements `AuthorizationSteps`."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._writes = writes
        self._operations = operations
        self._tasks = PaymentTasks(writes)
        self._renewal = Renewal(database, operations, writes)
        self._keeping = Keeping(database, gateway, operations, self._tasks, self._renewal)
        self._reading = PaymentReading(database, gateway, self._keeping)

    @activity.defn
    async def authorize(self, step: Do) -> BookingState:
        """Charge the kept card with nobody there; a refusal starts the time to repair it, once.

        While that time runs, the intent is only read: the client confirms it on session. A charge that
        the bank has not decided yet is looked at again later.
        """
        rows = await self._keeping.rows(step.booking_id)
        context = change(step.booking_id, step.at)
        if _chargeable(rows, step):
            await self._charge(rows, context)
            await self._undecided(step, context)
        elif rows.payment.status is PaymentStatus.SAVED:
            await self._reading.read(rows, context)
        return await self._state(step.booking_id)

    @activity.defn
    async def renew_authorization(self, step: Do) -> BookingState:
        """Authorize anew where the policy says so and the card lets us; else capture now.

        What is captured too early is given back by the outcome. An authorization that turns out to be
        gone is recorded as that.
        """
        rows = await self._keeping.rows(step.booking_id)
        context = change(step.booking_id, step.at)
        if _ending(rows, step):
            anew = rows.policy.authorization_expiry == "reauthorize"
            if not (anew and await self._renewal.authorize(rows, context)):
                await self._renewal.discard(rows)
                whole = rows.payment.amount
                await self._keeping.capture(rows.payment, whole, context, bookkeeping.nothing_more)
        await self._keeping.let_go_of_others(step.booking_id, context)
        return await self._state(step.booking_id)

    @activity.defn
    async def replan_payment(self, step: Do) -> BookingState:
        """Let the authorization go and keep the card: it is charged again nearer the new date."""
        rows = await self._keeping.rows(step.booking_id)
        if rows.payment.replan and rows.booking.outcome_status is None:
            context = change(step.booking_id, step.at)
            try:
                await self._operations.perform(self._letting_go(rows.payment, context))
            except StripeFailure as failure:
                await self._taken_already(rows, failure, context)
        return await self._state(step.booking_id)

    # --- charging a kept card -------------------------------------------------------------------

    async def _charge(self, rows: Records, context: Change) -> None:
        await self._operations.perform(self._tasks.intent(rows))
        try:
            await self._operations.perform(self._tasks.confirmation(rows.payment, context))
        except StripeFailure as failure:
            if failure.failure in REFUSED:
                await self._database.run(lambda session: _refused(session, rows.payment, context))
            elif failure.failure is Failure.UNEXPECTED_STATE:
                await self._overtaken(rows, failure, context)
            else:
                raise

    async def _undecided(self, step: Do, context: Change) -> None:
        """The card was charged and is not authorized: the bank takes its time, or has said no since."""
        rows = await self._keeping.rows(step.booking_id)
        intent = await self._keeping.intent(rows.payment)
        if intent is None or not _chargeable(rows, step):
            return
        await self._reading.accept(rows, intent, context)
        if intent.status == "processing":
            await self._database.run(lambda session: _later(session, rows.payment, context))
        else:
            await self._database.run(lambda session: _refused(session, rows.payment, context))

    async def _overtaken(self, rows: Records, failure: StripeFailure, context: Change) -> None:
        """Somebody else confirmed or cancelled the intent: what it says now counts."""
        now = await self._keeping.rows(rows.booking.id)
        await self._reading.read(now, context)
        if (await self._keeping.rows(rows.booking.id)).payment.status is PaymentStatus.SAVED:
            raise failure

    # --- letting go of what was moved -----------------------------------------------------------

    def _letting_go(self, payment: Payment, context: Change) -> Task[CancelIntent, Intent]:
        async def freeze(session: AsyncSession) -> CancelIntent | None:
            row = await lock_payment(session, payment.booking_id, payment.id)
            if not (row.replan and _stands(row, payment)) or row.payment_intent_id is None:
                return None
            return CancelIntent(payment_intent=row.payment_intent_id)

        async def record(session: AsyncSession, _: Intent) -> None:
            await _replanned(session, payment, context)

        return Task(self._writes.cancel, payment.booking_id, cycle_id(payment), freeze, record)

    async def _taken_already(self, rows: Records, failure: StripeFailure, context: Change) -> None:
        """Somebody captured it meanwhile: there is nothing left to let go of."""
        intent = await self._keeping.intent(rows.payment)
        if failure.failure is not Failure.UNEXPECTED_STATE or intent is None or intent.status != "succeeded":
            raise failure

        async def work(session: AsyncSession) -> None:
            await bookkeeping.record_intent(session, rows.payment.id, intent, context)
            row = await lock_payment(session, rows.booking.id, rows.payment.id)
            row.replan = False

        await self._database.run(work)

    async def _state(self, booking_id: UUID) -> BookingState:
        return await self._database.run(lambda session: state(session, booking_id))


def _chargeable(rows: Records, step: Do) -> bool:
    """The kept card's day has come, and it has not been refused yet."""
    payment = rows.payment
    if payment.status is not PaymentStatus.SAVED or rows.booking.outcome_status is not None:
        return False
    return payment.fix_by is None and payment.authorize_at is not None and payment.authorize_at <= step.at


def _ending(rows: Records, step: Do) -> bool:
    """The authorization ends before the outcome is known."""
    payment = rows.payment
    if payment.status is not PaymentStatus.AUTHORIZED or rows.booking.outcome_status is not None:
        return False
    return payment.renew_at is not None and payment.renew_at <= step.at


def _stands(row: Payment, payment: Payment) -> bool:
    """It is still this round's authorization."""
    return row.cycle == payment.cycle and row.status is PaymentStatus.AUTHORIZED


async def _later(session: AsyncSession, payment: Payment, context: Change) -> None:
    """The card's next look is set, so that nobody asks the bank without a pause."""
    row = await lock_payment(session, context.booking_id, payment.id)
    if row.status is PaymentStatus.SAVED and row.fix_by is None:
        row.authorize_at = context.at + UNDECIDED_LOOK


async def _refused(session: AsyncSession, payment: Payment, context: Change) -> None:
    """The client has a while to repair the card; it is set once, and said."""
    rows = await load(session, context.booking_id, lock=True)
    row = await lock_payment(session, context.booking_id, payment.id)
    if row.status is PaymentStatus.SAVED and row.fix_by is None:
        row.fix_by = clock.fix_by(rows.session.starts_at, context.at)
        await session.flush()
        await announce(session, Kind.CARD_REFUSED, context.booking_id, context.at, until=row.fix_by)


async def _replanned(session: AsyncSession, payment: Payment, context: Change) -> None:
    rows = await load(session, context.booking_id, lock=True)
    row = await lock_payment(session, context.booking_id, payment.id)
    if rows.booking.outcome_status is not None:
        # Whoever settles it finds the cancellation unrecorded, and records what it means for an end.
        raise StepError(Failure.MONEY_NOT_SETTLED, "the booking was decided while its payment was let go")
    if _stands(row, payment):
        await move(
            session,
            row,
            PaymentStatus.SAVED,
            context,
            payment_intent_id=None,
            charge_id=None,
            capture_before=None,
            renew_at=None,
            authorize_at=clock.authorize_at(rows.policy, rows.session.starts_at, context.at),
            fix_by=None,
            cycle=row.cycle + 1,
            replan=False,
        )
