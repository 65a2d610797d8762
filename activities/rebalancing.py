"""After the transfer: what the provider had and what its share is now are brought in line again.

Too much is taken back: out of what ops had left with the platform, then from the transfer as far as
the connected account bears it, and the rest is a debt. Too little is paid: first out of the
booking's own debt, then by another transfer. What somebody reversed in Stripe's dashboard is not
paid again without the word of ops.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import debts, reversing, shares
from activities.accounts import books_of, next_reference, post
from activities.errors import UNREADABLE, Failure, StepError, StripeFailure
from activities.operations import Operations, Task
from activities.records import Records, load
from activities.standing import is_unbalanced
from activities.stripe_gateway import StripeGateway
from activities.stripe_movements import Funds, Reversal
from activities.stripe_requests import CreateReversal
from activities.stripe_writes import StripeWrites
from activities.transferring import FURTHER, next_transfer_id
from models import ledger
from models.books import recovery
from models.database import Database
from models.ledger import JournalKind
from models.payments import ProviderTransfer, TransferReversal
from models.transitions import Change

ROUNDS: Final = 20
"""More reversals than a booking has transfers: a bound, so that a bug does not take money for ever."""

SHORT: Final = frozenset({Failure.INSUFFICIENT_BALANCE, Failure.PROVIDER_NOT_PAYABLE})
"""How Stripe says that an account bears no such reversal."""


class Rebalancing:
    """Takes back, relieves, and says which transfer is to be made."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._writes = writes
        self._operations = operations

    async def bring(self, context: Change, *, insist: bool = False) -> UUID | None:
        """Bring the books in line; answers the transfer that is still to be made for it.

        Raises:
            StripeFailure: a reversal was refused, or its answer was lost.
            StepError: of kind UNEXPECTED_STATE, what is due is for ops to decide.
        """
        await self._take_back(context)
        return await self._database.run(lambda session: _give(session, context, insist=insist))

    async def waive(self, context: Change) -> None:
        """Leave with the platform what is due to the provider, by decision of ops."""

        async def work(session: AsyncSession) -> None:
            rows = await load(session, context.booking_id, lock=True)
            if not is_unbalanced(rows, await books_of(session, rows)):
                return
            await shares.divide(session, rows)
            due = (await books_of(session, rows)).due
            if due > 0:
                await _waive(session, rows, due)

        await self._database.run(work)

    # --- taking back ----------------------------------------------------------------------------

    async def _take_back(self, context: Change) -> None:
        """Reverse what the account bears, one transfer after the other; the rest becomes a debt."""
        await self._database.run(lambda session: _unwaive(session, context))
        for _ in range(ROUNDS):
            transfer = await self._database.run(lambda session: _reversible(session, context))
            if transfer is None or not await self._reverse(transfer, context):
                break
        await self._database.run(lambda session: _owe(session, context))

    async def _reverse(self, transfer: ProviderTransfer, context: Change) -> bool:
        """One reversal; False when the account bears none.

        Funds of the transfer that are pending at Stripe may be reachable: it is asked for them once,
        and takes no for an answer.
        """
        funds = await self._funds(transfer)
        row_id = await self._database.run(lambda session: reversing.next_reversal_id(session, transfer))
        reachable = funds.available + max(funds.pending, 0)
        if reachable > funds.available:
            try:
                return await self._take(transfer, row_id, reachable, context)
            except StripeFailure as failure:
                if failure.failure not in SHORT:
                    raise
        return await self._take(transfer, row_id, funds.available, context)

    async def _funds(self, transfer: ProviderTransfer) -> Funds:
        """What the account has; one that left does not say, but a reversal may still reach it (TRAPS 31)."""
        try:
            return await self._gateway.funds_of(transfer.destination, transfer.currency)
        except StripeFailure as failure:
            if failure.failure not in UNREADABLE:
                raise
            return Funds(available=0, pending=transfer.amount - transfer.amount_reversed)

    async def _take(self, transfer: ProviderTransfer, row_id: UUID, available: int, context: Change) -> bool:
        await self._operations.perform(self._task(transfer, row_id, available, context))
        made = await self._database.run(lambda session: session.get(TransferReversal, row_id))
        return made is not None and made.reversal_id is not None

    def _task(
        self, transfer: ProviderTransfer, row_id: UUID, available: int, context: Change
    ) -> Task[CreateReversal, Reversal]:
        async def freeze(session: AsyncSession) -> CreateReversal | None:
            rows = await load(session, context.booking_id, lock=True)
            row = await session.get_one(
                ProviderTransfer, transfer.id, with_for_update=True, populate_existing=True
            )
            left = row.amount - row.amount_reversed
            amount = recovery(await books_of(session, rows), left, available).reverse
            if amount <= 0:
                return None
            await reversing.draft_reversal(session, row, row_id, amount)
            return CreateReversal(transfer=row.transfer_id or "", amount=amount)

        async def record(session: AsyncSession, made: Reversal) -> None:
            await reversing.taken_back(session, transfer.id, row_id, made, context)

        return Task(self._writes.reversal, context.booking_id, row_id, freeze, record)


async def _unbalanced(session: AsyncSession, context: Change) -> Records | None:
    rows = await load(session, context.booking_id, lock=True)
    return rows if is_unbalanced(rows, await books_of(session, rows)) else None


async def _unwaive(session: AsyncSession, context: Change) -> None:
    """What the platform kept of the provider's share is the first to go back."""
    rows = await _unbalanced(session, context)
    if rows is None:
        return
    books = await books_of(session, rows)
    part = min(books.waived, -books.due)
    if part > 0:
        await _waive(session, rows, -part)


async def _waive(session: AsyncSession, rows: Records, amount: int) -> None:
    reference = await next_reference(session, rows, JournalKind.WAIVER)
    post(session, rows, JournalKind.WAIVER, ledger.waiver(amount), reference=reference)


async def _reversible(session: AsyncSession, context: Change) -> ProviderTransfer | None:
    """The transfer to take from, the latest first; None when nothing is to be taken or left."""
    rows = await _unbalanced(session, context)
    if rows is None or (await books_of(session, rows)).due >= 0:
        return None
    left = select(ProviderTransfer).where(
        ProviderTransfer.booking_id == context.booking_id,
        ProviderTransfer.transfer_id.is_not(None),
        ProviderTransfer.amount_reversed < ProviderTransfer.amount,
    )
    return await session.scalar(left.order_by(ProviderTransfer.number.desc()).limit(1))


async def _owe(session: AsyncSession, context: Change) -> None:
    """What could not be taken back, the provider owes."""
    rows = await _unbalanced(session, context)
    if rows is None:
        return
    due = (await books_of(session, rows)).due
    if due < 0:
        await debts.raise_debt(session, rows, -due, context)


async def _give(session: AsyncSession, context: Change, *, insist: bool) -> UUID | None:
    """Relieve the booking's debt of what is due; the rest is to be transferred."""
    rows = await _unbalanced(session, context)
    if rows is None:
        return None
    books, payout = await books_of(session, rows), rows.payout
    if books.held <= 0:
        return None
    if payout is None or payout.status not in FURTHER:
        raise StepError(
            Failure.UNEXPECTED_STATE,
            f"{books.held} came back after everything had been given back: refund again (update `refund`),"
            " or leave it with the platform (abort)",
        )
    if not insist and await _taken_by_hand(session, payout.id):
        raise StepError(
            Failure.UNEXPECTED_STATE,
            f"{books.due} were reversed in Stripe's dashboard: pay them again, or leave them with the platform",
        )
    relieved = await debts.relieve(session, rows, books.due, context)
    return await next_transfer_id(session, payout) if books.due > relieved else None


async def _taken_by_hand(session: AsyncSession, payout_id: UUID) -> bool:
    """Whether somebody reversed the latest transfer in Stripe's dashboard."""
    latest = (
        select(ProviderTransfer.id)
        .where(ProviderTransfer.payout_id == payout_id, ProviderTransfer.transfer_id.is_not(None))
        .order_by(ProviderTransfer.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    by_hand = select(func.count()).where(
        TransferReversal.transfer_row_id == latest, TransferReversal.mirrored.is_(True)
    )
    return bool((await session.execute(by_hand)).scalar_one())
