"""A transfer of the provider's share: computed from the ledger, frozen under its locks, recorded.

The first transfer of a payout carries the payout's own id, as in version 0.1.0; a later one follows
a reversal that turned out to be wrong.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import debts, shares
from activities.accounts import books_of, post
from activities.bank_books import is_manual
from activities.errors import Failure, StepError
from activities.operations import Task
from activities.records import Records, load
from activities.standing import has_open_dispute
from activities.stripe_movements import Transfer
from activities.stripe_requests import CreateTransfer
from activities.stripe_writes import StripeWrites
from models import ledger
from models.catalogue import Provider
from models.keys import row_id_for, transfer_group_for
from models.ledger import JournalKind
from models.payments import Payment, Payout, ProviderTransfer
from models.records import StripeOperation
from models.states import MONEY_TAKEN, OperationState, PayoutStatus
from models.transitions import Change, move

KIND: Final = "transfer"
PAYABLE: Final = frozenset({PayoutStatus.HELD, PayoutStatus.BLOCKED, PayoutStatus.PROCESSING})
FURTHER: Final = frozenset({PayoutStatus.PAID, PayoutStatus.PARTIALLY_REVERSED, PayoutStatus.REVERSED})
"""Where another transfer may follow the ones that were made."""


def is_payable(payout: Payout | None) -> bool:
    """A transfer is to be made, or on its way."""
    return payout is not None and payout.status in PAYABLE and payout.transfer_id is None


async def next_transfer_id(session: AsyncSession, payout: Payout) -> UUID:
    """The transfer that comes next: one that never reached Stripe is taken up again."""
    made = await session.scalar(
        select(func.count()).where(
            ProviderTransfer.payout_id == payout.id, ProviderTransfer.transfer_id.is_not(None)
        )
    )
    return row_id_for(payout.id, KIND, made + 1) if made else payout.id


async def is_in_doubt(session: AsyncSession, row_id: UUID, kind: str = KIND) -> bool:
    """Whether an attempt at this row's write may have happened: it is looked up before anything else."""
    doubtful = select(func.count()).where(
        StripeOperation.kind == kind,
        StripeOperation.row_id == row_id,
        StripeOperation.state.in_((OperationState.STARTED, OperationState.UNKNOWN)),
    )
    return bool((await session.execute(doubtful)).scalar_one())


def transfer_task(
    writes: StripeWrites, booking_id: UUID, row_id: UUID, context: Change
) -> Task[CreateTransfer, Transfer]:
    """The transfer with this row's id."""

    async def freeze(session: AsyncSession) -> CreateTransfer | None:
        return await _freeze(session, row_id, context)

    async def record(session: AsyncSession, made: Transfer) -> None:
        await _record(session, row_id, made, context)

    return Task(writes.transfer, booking_id, row_id, freeze, record)


async def block(session: AsyncSession, row_id: UUID, context: Change) -> None:
    """The provider cannot be paid: wait, unless another run's attempt is on its way."""
    rows = await load(session, context.booking_id, lock=True)
    payout = rows.payout
    if payout is None or await is_in_doubt(session, row_id):
        return
    if payout.status in FURTHER and await _is_next(session, rows, payout, row_id):
        payout.transfer_id = None
        await move(session, payout, PayoutStatus.PROCESSING, context)
    if is_payable(payout):
        since = payout.blocked_at or context.at
        await move(session, payout, PayoutStatus.BLOCKED, context, blocked_at=since)


async def _is_next(session: AsyncSession, rows: Records, payout: Payout, row_id: UUID) -> bool:
    """Whether this very transfer is still to follow those that were made."""
    return row_id == await next_transfer_id(session, payout) and (await books_of(session, rows)).due > 0


async def _freeze(session: AsyncSession, row_id: UUID, context: Change) -> CreateTransfer | None:
    """Compute the transfer from the ledger, under the locks that nothing may change it under."""
    rows = await load(session, context.booking_id, lock=True)
    payout = rows.payout
    if payout is None or not (is_payable(payout) or payout.status in FURTHER):
        return None
    if is_payable(payout) and await has_open_dispute(session, context.booking_id):
        await _stop(session, payout, context)
        return None
    provider = await session.get_one(Provider, payout.provider_id, with_for_update=True)
    await shares.divide(session, rows)
    division = (await books_of(session, rows)).division
    payout.amount, payout.platform_fee = division.provider_share, division.platform_fee
    amount = await _to_move(session, rows, row_id, context)
    if amount <= 0:
        await _nothing_to_transfer(session, rows, payout, context)
        return None
    destination = provider.stripe_account_id or ""
    await _draft(session, payout, row_id, amount, destination)
    payout.stripe_account_id, payout.transfer_id = destination, None
    await move(session, payout, PayoutStatus.PROCESSING, context)
    return CreateTransfer(
        amount=amount,
        currency=payout.currency,
        destination=destination,
        source_transaction=await _charge_for(session, rows, amount),
        transfer_group=transfer_group_for(context.booking_id),
        metadata={"booking_id": str(context.booking_id), "payout_id": str(payout.id)},
    )


async def _stop(session: AsyncSession, payout: Payout, context: Change) -> None:
    """The client's bank contests after all; an attempt may have failed for good before."""
    if payout.status is PayoutStatus.PROCESSING:
        await move(session, payout, PayoutStatus.BLOCKED, context)
    await shares.freeze(session, payout, context)


async def _to_move(session: AsyncSession, rows: Records, row_id: UUID, context: Change) -> int:
    """What the provider is due, less what pays its debts; a later attempt pays them no second time."""
    due, netted = (await books_of(session, rows)).due, 0
    if due > 0 and await session.get(ProviderTransfer, row_id) is None:
        netted = await debts.net(session, rows, due, context)
    if rows.payout is not None:
        rows.payout.debt_netted += netted
    return due - netted


async def _nothing_to_transfer(session: AsyncSession, rows: Records, payout: Payout, context: Change) -> None:
    """The whole amount was refunded, is the platform's, or has paid the provider's debts."""
    if payout.status in FURTHER:
        return
    if (await books_of(session, rows)).transferred:
        await shares.rest(session, rows, context)
        return
    if payout.amount == 0:
        if payout.status is PayoutStatus.PROCESSING:  # an attempt failed for good before the refund
            await move(session, payout, PayoutStatus.BLOCKED, context)
        await shares.cancel(session, rows, payout, context)
        return
    due = (await books_of(session, rows)).due
    if due < 0:
        await debts.raise_debt(session, rows, -due, context)
    payout.blocked_at = None
    await move(session, payout, PayoutStatus.PROCESSING, context)
    await move(session, payout, PayoutStatus.PAID, context)


async def _draft(session: AsyncSession, payout: Payout, row_id: UUID, amount: int, destination: str) -> None:
    """The transfer's row; an attempt that failed for good may have asked for another amount or account."""
    drafted = await session.get(ProviderTransfer, row_id)
    if drafted is not None:
        drafted.amount, drafted.destination = amount, destination
        return
    last = await session.scalar(
        select(func.max(ProviderTransfer.number)).where(ProviderTransfer.payout_id == payout.id)
    )
    session.add(
        ProviderTransfer(
            id=row_id,
            booking_id=payout.booking_id,
            payout_id=payout.id,
            number=(last or 0) + 1,
            amount=amount,
            amount_reversed=0,
            currency=payout.currency,
            destination=destination,
        )
    )


async def _record(session: AsyncSession, row_id: UUID, made: Transfer, context: Change) -> None:
    rows = await load(session, context.booking_id, lock=True)
    payout = rows.payout
    if payout is None:
        raise AssertionError(f"{made.id} was made for a booking without a payout")
    if await session.get(ProviderTransfer, row_id) is None:  # frozen by version 0.1.0
        await _draft(session, payout, row_id, payout.amount - payout.debt_netted, made.destination)
        await session.flush()
    transfer = await session.get_one(ProviderTransfer, row_id, with_for_update=True, populate_existing=True)
    if made.amount != transfer.amount:
        raise StepError(
            Failure.ADOPTION_REFUSED, f"{made.id} moved {made.amount}, the payout is {transfer.amount}"
        )
    await shares.divide(session, rows)
    post(session, rows, JournalKind.TRANSFER, ledger.transfer(made.amount), made.id)
    transfer.transfer_id = payout.transfer_id = made.id
    payout.blocked_at = None
    await move(session, payout, PayoutStatus.PROCESSING, context)
    if not await is_manual(session, rows):
        await move(session, payout, PayoutStatus.PAID, context)


async def _charge_for(session: AsyncSession, rows: Records, amount: int) -> str | None:
    """The charge that the money came with, as far as it reaches: a transfer cannot move more of it (TRAPS 23).

    Beyond that the platform pays from what is available: a debt was paid that was none.
    """
    found = await books_of(session, rows)
    if amount > found.captured - (found.transferred - found.reversed):
        return None
    taken = select(Payment.charge_id).where(
        Payment.booking_id == rows.booking.id, Payment.status.in_(MONEY_TAKEN)
    )
    return await session.scalar(taken.order_by(Payment.number.desc()).limit(1))
