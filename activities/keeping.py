"""Settling, whatever the payment has come to: just so much of it stays, and the rest goes back.

Completion, no-show, forfeit, cancellation, rejection and every undo go through `keep`.
"""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities import bookkeeping, refunding
from activities.errors import Failure, StepError, StripeFailure
from activities.mirroring import Mirror
from activities.operations import Operations
from activities.payment_tasks import PaymentTasks
from activities.records import Records, load
from activities.renewal import Renewal
from activities.standing import has_open_dispute
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent, Setup
from models.database import Database
from models.payments import Payment, Refund
from models.states import MONEY_TAKEN, PaymentStatus, RefundStatus
from models.transitions import Change

LET_GO: Final = frozenset({Failure.UNEXPECTED_STATE, Failure.AUTHORIZATION_EXPIRED})
"""How Stripe answers a capture of what is not authorized any more."""


class Keeping:
    """Captures, voids and refunds until the client's money is where a decision wants it."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        operations: Operations,
        tasks: PaymentTasks,
        renewal: Renewal,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._operations = operations
        self._tasks = tasks
        self._renewal = renewal
        self._mirror = Mirror(database, gateway, tasks.writes, operations)

    async def keep(self, booking_id: UUID, keep: int, context: Change, then: bookkeeping.Then) -> None:
        """Make sure that no more than `keep` minor units stay; `then` is written with the last of it.

        An authorization that turns out to be gone is recorded as that, and nothing is kept.

        Raises:
            StepError: of kind DISPUTE_OPEN, what should go back is contested.
        """
        rows = await self.rows(booking_id)
        payment = rows.payment
        if payment.status in MONEY_TAKEN:
            # Nothing is decided from books that Stripe has overtaken.
            await self._mirror.bring(Change(booking_id, context.at, run_id=context.run_id))
            rows = await self.rows(booking_id)
            too_much = refunding.surplus(rows.payment, keep) > 0
            if too_much and await self._give_back_captured(rows, keep, context, then):
                # An earlier, smaller refund may have been taken up first.
                await self.keep(booking_id, keep, context, then)
        elif payment.status in bookkeeping.PAYMENT_GONE:
            await self.recover_cancellation(payment, context)
        elif keep:
            await self.capture(payment, keep, context, then)
            if refunding.surplus((await self.rows(booking_id)).payment, keep) > 0:
                # A capture of the whole was under way before this was decided.
                await self.keep(booking_id, keep, context, then)
        elif paid := await self.cancel(payment, context, then):
            await self.record(payment, paid, context)
            await self.keep(booking_id, keep, context, then)

    async def capture(self, payment: Payment, amount: int, context: Change, then: bookkeeping.Then) -> None:
        """Capture `amount` minor units; an authorization that is gone is recorded as gone."""
        try:
            await self._operations.perform(self._tasks.capture(payment, amount, context, then))
        except StripeFailure as failure:
            if failure.failure not in LET_GO:
                raise
            intent = await self.intent(payment)
            if intent is None or intent.status != "canceled":
                raise
            await self.record(payment, intent, context)

    async def cancel(self, payment: Payment, context: Change, then: bookkeeping.Then) -> Intent | None:
        """Let the payment go; answers the paid intent when the client was faster (TRAPS 12)."""
        if payment.status is PaymentStatus.PENDING and payment.payment_intent_id is None:
            await self.end_setup(payment, context)
        try:
            await self._operations.perform(self._tasks.cancel(payment, context, then))
        except StripeFailure as failure:
            intent = await self.intent(payment)
            if failure.failure is not Failure.UNEXPECTED_STATE or intent is None:
                raise
            if intent.status != "succeeded":
                raise
            return intent
        return None

    async def end_setup(self, payment: Payment, context: Change) -> None:
        """Cancel the SetupIntent, if there is one; a card that was kept meanwhile is recorded as kept."""
        if payment.setup_intent_id is None:
            return
        try:
            await self._operations.perform(self._tasks.cancel_setup(payment, context))
        except StripeFailure as failure:
            setup = await self._gateway.retrieve_setup(payment.setup_intent_id)
            if failure.failure is not Failure.UNEXPECTED_STATE or setup.status != "succeeded":
                raise
            await self.record_setup(payment, setup, context)

    async def recover_cancellation(self, payment: Payment, context: Change) -> None:
        """Write down what came of a cancellation whose answer was lost: news may have ended the payment before.

        Without this its operation would stand without a result for ever.
        """
        await self._operations.recover(self._tasks.cancel_setup(payment, context))
        await self._operations.recover(self._tasks.cancel(payment, context, bookkeeping.nothing_more))

    async def let_go_of_others(self, booking_id: UUID, context: Change) -> None:
        """Void what a newer authorization has replaced, and a new one whose making was lost.

        What somebody captured of the old one goes back: the new one is what the booking is paid with.

        Raises:
            StepError: of kind DISPUTE_OPEN or REFUND_FAILED, it could not go back.
        """
        rows = await self.rows(booking_id)
        await self._renewal.discard(rows)
        for older in await self._database.run(lambda session: bookkeeping.superseded(session, rows)):
            if older.status is not PaymentStatus.AUTHORIZED:
                await self._give_back_whole(older, context)
            elif paid := await self.cancel(older, context, bookkeeping.nothing_more):
                await self.record(older, paid, context)
                await self._give_back_whole(older, context)

    async def _give_back_captured(
        self, rows: Records, keep: int, context: Change, then: bookkeeping.Then
    ) -> bool:
        """Refund what is too much; False when there is nothing that could still go back."""
        await self._refuse_contested(rows.booking.id)
        payment = rows.payment
        if await self._database.run(lambda session: bookkeeping.surplus(session, rows, keep)) <= 0:
            return False
        row_id = await self._database.run(lambda session: refunding.next_refund_id(session, payment))
        await self._operations.perform(self._tasks.refund(payment, row_id, keep, context, then))
        await self._check_sent(row_id)
        return True

    async def _give_back_whole(self, payment: Payment, context: Change) -> None:
        """Refund what is left of a payment whose place another one has taken."""
        await self._mirror.bring(context)
        await self._refuse_contested(payment.booking_id)
        row_id = await self._database.run(lambda session: refunding.next_refund_id(session, payment))
        await self._operations.perform(self._tasks.refund_whole(payment, row_id, context))
        await self._check_sent(row_id)

    async def _refuse_contested(self, booking_id: UUID) -> None:
        if await self._database.run(lambda session: has_open_dispute(session, booking_id)):
            raise StepError(Failure.DISPUTE_OPEN, "what should go back is contested: it waits for the bank")

    async def _check_sent(self, row_id: UUID) -> None:
        refund = await self._database.run(lambda session: session.get(Refund, row_id))
        if refund is not None and refund.status is RefundStatus.FAILED:
            raise StepError(
                Failure.REFUND_FAILED, f"{refund.refund_id} did not reach the client: try another refund"
            )

    # --- reading --------------------------------------------------------------------------------

    async def rows(self, booking_id: UUID) -> Records:
        """The booking as it stands."""
        return await self._database.run(lambda session: load(session, booking_id))

    async def intent(self, payment: Payment) -> Intent | None:
        """What Stripe says of the payment now; None while it has no intent."""
        if payment.payment_intent_id is None:
            return None
        return await self._gateway.retrieve_intent(payment.payment_intent_id)

    async def record(self, payment: Payment, intent: Intent, context: Change) -> None:
        """Write down what an intent says."""

        async def work(session: AsyncSession) -> None:
            await bookkeeping.record_intent(session, payment.id, intent, context)

        await self._database.run(work)

    async def record_setup(self, payment: Payment, setup: Setup, context: Change) -> None:
        """Write down what a SetupIntent says."""

        async def work(session: AsyncSession) -> None:
            await bookkeeping.record_setup(session, payment.id, setup, context)

        await self._database.run(work)
