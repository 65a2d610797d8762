"""Authorizing anew: the kept card is authorized again before the network lets the first one go.

The new payment row is written when its authorization stands, and only then is the old one voided.
Until then the new intent is known by its operations alone; whoever settles the booking cancels one
that was left behind. A row and a cancellation exclude each other, under the booking's lock.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import bookkeeping
from activities.errors import Failure, StripeFailure
from activities.operations import Operations, Task
from activities.payment_tasks import customer_of, intent_request
from activities.records import Records, load
from activities.stripe_objects import Intent
from activities.stripe_requests import CancelIntent, ConfirmIntent, CreateIntent
from activities.stripe_writes import StripeWrites
from models.database import Database
from models.keys import row_id_for
from models.payments import Payment
from models.records import StripeOperation
from models.states import OperationState, PaymentStatus
from models.transitions import Change, created

REFUSED: Final = frozenset({Failure.CARD_DECLINED, Failure.STRIPE_REJECTED, Failure.UNEXPECTED_STATE})
"""The bank's no, a card that is not kept any more, and an intent that somebody cancelled meanwhile."""


class Renewal:
    """A second authorization beside a first that is about to end."""

    def __init__(self, database: Database, operations: Operations, writes: StripeWrites) -> None:
        self._database = database
        self._operations = operations
        self._writes = writes

    async def authorize(self, rows: Records, context: Change) -> bool:
        """Authorize the kept card again; False when it is refused, or there is none."""
        if rows.payment.payment_method_id is None:
            return False
        await self._operations.perform(self._intent(rows))
        try:
            await self._operations.perform(self._confirmation(rows, context))
        except StripeFailure as failure:
            if failure.failure not in REFUSED:
                raise
        now = await self._database.run(lambda session: load(session, rows.booking.id))
        return now.payment.number > rows.payment.number

    async def discard(self, rows: Records) -> None:
        """Cancel a new intent that no row stands for; nothing where none was made."""
        if rows.policy.authorization_expiry == "reauthorize":
            await self._operations.recover(self._intent(rows))
            await self._operations.perform(self._cancellation(rows))

    def _intent(self, rows: Records) -> Task[CreateIntent, Intent]:
        async def freeze(session: AsyncSession) -> CreateIntent | None:
            if not _renewable(await load(session, rows.booking.id, lock=True), rows.payment):
                return None
            return intent_request(rows, await customer_of(session, rows.booking))

        async def record(_: AsyncSession, __: Intent) -> None:
            """The operation itself remembers the intent."""

        return Task(self._writes.intent, rows.booking.id, _next_id(rows), freeze, record)

    def _confirmation(self, rows: Records, context: Change) -> Task[ConfirmIntent, Intent]:
        async def freeze(session: AsyncSession) -> ConfirmIntent | None:
            intent_id = await self._pending(session, rows)
            if intent_id is None:
                return None
            return ConfirmIntent(
                payment_intent=intent_id, payment_method=rows.payment.payment_method_id or ""
            )

        async def record(session: AsyncSession, intent: Intent) -> None:
            if intent.status == "requires_capture" and await self._pending(session, rows):
                await _replace(session, rows, intent, context)

        return Task(self._writes.confirm, rows.booking.id, _next_id(rows), freeze, record)

    def _cancellation(self, rows: Records) -> Task[CancelIntent, Intent]:
        async def freeze(session: AsyncSession) -> CancelIntent | None:
            await load(session, rows.booking.id, lock=True)
            if await session.get(Payment, _next_id(rows)) is not None:
                return None
            intent_id = await self._made(session, rows)
            return CancelIntent(payment_intent=intent_id) if intent_id else None

        async def record(_: AsyncSession, __: Intent) -> None:
            """Nothing is authorized by it any more, and no row ever said that it was."""

        return Task(self._writes.cancel, rows.booking.id, _next_id(rows), freeze, record)

    async def _pending(self, session: AsyncSession, rows: Records) -> str | None:
        """The new intent, while it may still take the old one's place."""
        now = await load(session, rows.booking.id, lock=True)
        cancelled = select(StripeOperation.key).where(
            StripeOperation.kind == self._writes.cancel.kind, StripeOperation.row_id == _next_id(rows)
        )
        if not _renewable(now, rows.payment) or await session.scalar(cancelled.limit(1)):
            return None
        return await self._made(session, rows)

    async def _made(self, session: AsyncSession, rows: Records) -> str | None:
        made = select(StripeOperation.object_id).where(
            StripeOperation.kind == self._writes.intent.kind,
            StripeOperation.row_id == _next_id(rows),
            StripeOperation.state == OperationState.SUCCEEDED,
        )
        return await session.scalar(made)


def _next_id(rows: Records) -> UUID:
    return row_id_for(rows.booking.id, "payment", rows.payment.number + 1)


def _renewable(now: Records, payment: Payment) -> bool:
    """Nothing has been decided, and the authorization is still the one that is to be replaced."""
    undecided = now.booking.outcome_status is None
    return undecided and now.payment.id == payment.id and now.payment.status is PaymentStatus.AUTHORIZED


async def _replace(session: AsyncSession, rows: Records, intent: Intent, context: Change) -> None:
    old = rows.payment
    payment = Payment(
        id=_next_id(rows),
        booking_id=old.booking_id,
        number=old.number + 1,
        status=PaymentStatus.PENDING,
        amount=old.amount,
        currency=old.currency,
        payment_intent_id=intent.id,
        payment_method_id=old.payment_method_id,
    )
    created(session, payment, context)
    await session.flush()
    await bookkeeping.record_intent(session, payment.id, intent, context)
