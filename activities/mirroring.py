"""Bringing our books to where Stripe is: refunds, disputes, reversals and bank payouts, whoever made them.

Level-triggered: every look reads everything, and records what the books lack, each fact in a
transaction of its own. Letting go of an authorization may show as a refund too, but moves no
balance and is none.
"""

from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import bank_books, disputes, refunding, reversing
from activities.errors import UNREADABLE, StripeFailure
from activities.operations import Operations, Task
from activities.stripe_gateway import StripeGateway
from activities.stripe_movements import DisputeObject, PayoutObject, RefundObject, Reversal
from activities.stripe_requests import CreatePayout, CreateRefund, CreateReversal
from activities.stripe_writes import StripeWrites
from models.database import Database
from models.payments import BankPayout, Payment, ProviderTransfer, Refund
from models.records import StripeOperation
from models.states import MONEY_TAKEN, BankPayoutStatus, OperationState, RefundStatus
from models.transitions import Change

log = structlog.get_logger()

IN_DOUBT = frozenset({OperationState.STARTED, OperationState.UNKNOWN})


class Mirror:
    """Reads Stripe and records; sends nothing."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._writes = writes
        self._operations = operations

    async def bring(self, context: Change) -> None:
        """Record everything that the books of the change's booking lack."""
        for payment in await self._database.run(lambda session: _taken(session, context.booking_id)):
            await self._refunds(payment, context)
            await self._disputes(payment, context)
        for transfer in await self._database.run(lambda session: _transfers(session, context.booking_id)):
            await self._reversals(transfer, context)
        await self._bank(context)

    # --- the client's side ----------------------------------------------------------------------

    async def _refunds(self, payment: Payment, context: Change) -> None:
        for refund in await self._gateway.refunds_of(payment.payment_intent_id or ""):
            if await self._database.run(partial(_is_known, found=refund)):
                continue
            operation = await self._in_doubt(refund.metadata.get("op"), self._writes.refund.kind, context)
            if operation is None:
                mirror = partial(refunding.mirror_refund, payment_id=payment.id, made=refund, context=context)
                await self._database.run(mirror)
            else:
                await self._operations.recover(self._refund_of(operation, payment, context))

    async def _disputes(self, payment: Payment, context: Change) -> None:
        async def record(session: AsyncSession, found: DisputeObject) -> None:
            if not await disputes.is_known(session, found):
                await disputes.contested(session, payment.id, found, context)

        for dispute in await self._gateway.disputes_of(payment.payment_intent_id or ""):
            await self._database.run(partial(record, found=dispute))

    # --- the provider's side --------------------------------------------------------------------

    async def _reversals(self, transfer: ProviderTransfer, context: Change) -> None:
        found = await self._gateway.retrieve_transfer(transfer.transfer_id or "")
        if found.amount_reversed == transfer.amount_reversed:
            return
        for reversal in await self._gateway.reversals_of(found.id):
            operation = await self._in_doubt(reversal.metadata.get("op"), self._writes.reversal.kind, context)
            if operation is None:
                mirror = partial(
                    reversing.mirror_reversal, transfer_row=transfer.id, made=reversal, context=context
                )
                await self._database.run(mirror)
            else:
                await self._operations.recover(self._reversal_of(operation, transfer, context))

    async def _bank(self, context: Change) -> None:
        """Every attempt that may have arrived: an earlier one may come back after a later one was made."""
        for attempt in await self._database.run(lambda session: _sent(session, context.booking_id)):
            try:
                await self._attempt(attempt, context)
            except StripeFailure as failure:
                if failure.failure not in UNREADABLE:
                    raise
                log.warning("a payout cannot be read", account=attempt.account, failure=failure.failure)
                await self._database.run(lambda session: bank_books.out_of_reach(session, context))

    async def _attempt(self, attempt: BankPayout, context: Change) -> None:
        if attempt.stripe_payout_id is None:
            await self._operations.recover(bank_task(self._writes, attempt.booking_id, attempt.id, context))
            return
        found = await self._gateway.retrieve_payout(attempt.account, attempt.stripe_payout_id)
        await self._database.run(
            lambda session: bank_books.bank_answered(session, attempt.id, found, context)
        )

    # --- our own, whose answers were lost -------------------------------------------------------

    async def _in_doubt(self, key: str | None, kind: str, context: Change) -> StripeOperation | None:
        """The operation of ours that made an object and does not know it yet."""
        if key is None:
            return None
        operation = await self._database.run(lambda session: session.get(StripeOperation, key))
        ours = operation is not None and (operation.kind, operation.booking_id) == (kind, context.booking_id)
        return operation if ours and operation is not None and operation.state in IN_DOUBT else None

    def _refund_of(
        self, operation: StripeOperation, payment: Payment, context: Change
    ) -> Task[CreateRefund, RefundObject]:
        async def record(session: AsyncSession, made: RefundObject) -> None:
            await refunding.refunded(session, payment.id, operation.row_id, made, context)

        write, booking_id = self._writes.refund, operation.booking_id
        return Task(write, booking_id, operation.row_id, send_nothing, record)

    def _reversal_of(
        self, operation: StripeOperation, transfer: ProviderTransfer, context: Change
    ) -> Task[CreateReversal, Reversal]:
        async def record(session: AsyncSession, made: Reversal) -> None:
            await reversing.taken_back(session, transfer.id, operation.row_id, made, context)

        write, booking_id = self._writes.reversal, operation.booking_id
        return Task(write, booking_id, operation.row_id, send_nothing, record)


def bank_task(
    writes: StripeWrites, booking_id: UUID, row_id: UUID, context: Change
) -> Task[CreatePayout, PayoutObject]:
    """An attempt of ours at the bank, to be recovered; nothing new is sent."""

    async def record(session: AsyncSession, made: PayoutObject) -> None:
        await bank_books.bank_answered(session, row_id, made, context)

    return Task(writes.bank_payout, booking_id, row_id, send_nothing, record)


async def send_nothing(_: AsyncSession) -> None:
    """A task that is only recovered freezes no request."""


async def _taken(session: AsyncSession, booking_id: UUID) -> list[Payment]:
    taken = select(Payment).where(
        Payment.booking_id == booking_id,
        Payment.payment_intent_id.is_not(None),
        Payment.status.in_(MONEY_TAKEN),
    )
    return list(await session.scalars(taken.order_by(Payment.number)))


async def _transfers(session: AsyncSession, booking_id: UUID) -> list[ProviderTransfer]:
    made = select(ProviderTransfer).where(
        ProviderTransfer.booking_id == booking_id, ProviderTransfer.transfer_id.is_not(None)
    )
    return list(await session.scalars(made.order_by(ProviderTransfer.number)))


async def _sent(session: AsyncSession, booking_id: UUID) -> list[BankPayout]:
    sent = select(BankPayout).where(
        BankPayout.booking_id == booking_id, BankPayout.status != BankPayoutStatus.FAILED
    )
    return list(await session.scalars(sent.order_by(BankPayout.number)))


async def _is_known(session: AsyncSession, found: RefundObject) -> bool:
    """Whether our books say all that Stripe does."""
    status = await session.scalar(select(Refund.status).where(Refund.refund_id == found.id))
    if status is RefundStatus.PENDING:
        return not found.failed and found.status != "succeeded"
    return status is RefundStatus.FAILED or (status is RefundStatus.SUCCEEDED and not found.failed)
