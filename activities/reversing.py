"""What comes back of a transfer, written down, whoever took it.

Every function runs inside the transaction that records a Stripe object, and is a no-op when the
fact is on the books already.
"""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import books_of, post
from activities.bank_books import arrived, is_at_bank, is_under_way
from activities.records import Records, load
from activities.stripe_movements import Reversal
from models import ledger
from models.holds import payout_after
from models.keys import row_id_for
from models.ledger import JournalKind
from models.payments import Payout, ProviderTransfer, TransferReversal
from models.states import PayoutStatus
from models.transitions import Change, move

ARRIVED = frozenset({PayoutStatus.PAID, PayoutStatus.PARTIALLY_REVERSED})


async def draft_reversal(
    session: AsyncSession, transfer: ProviderTransfer, row_id: UUID, amount: int
) -> None:
    """A reversal on its way; its operation row is committed with it."""
    drafted = await session.get(TransferReversal, row_id)
    if drafted is not None:
        drafted.amount = amount  # an attempt that failed for good may have asked for another
        return
    session.add(await _new(session, transfer, row_id, amount))


async def next_reversal_id(session: AsyncSession, transfer: ProviderTransfer) -> UUID:
    """Our reversal that comes next: one that never reached Stripe is taken up again.

    Counted in one statement: between two of them another run could draft what comes next, and two would be sent.
    """
    made = select(func.count()).where(
        TransferReversal.transfer_row_id == transfer.id,
        TransferReversal.mirrored.is_(False),
        TransferReversal.reversal_id.is_not(None),
    )
    return row_id_for(transfer.id, "reversal", ((await session.scalar(made)) or 0) + 1)


async def taken_back(
    session: AsyncSession, transfer_row: UUID, row_id: UUID, made: Reversal, context: Change
) -> None:
    """Money came back from the provider's account by our doing."""
    transfer = await _locked(session, context, transfer_row)
    reversal = await session.get_one(TransferReversal, row_id, with_for_update=True, populate_existing=True)
    if reversal.reversal_id is None:
        await _count(session, transfer, reversal, made, context)


async def mirror_reversal(session: AsyncSession, transfer_row: UUID, made: Reversal, context: Change) -> None:
    """Money came back because somebody said so in Stripe's dashboard."""
    transfer = await _locked(session, context, transfer_row)
    known = select(TransferReversal.id).where(TransferReversal.reversal_id == made.id)
    if await session.scalar(known) is not None:
        return
    reversal = await _new(session, transfer, row_id_for(made.id, "reversal"), made.amount)
    reversal.mirrored = True
    session.add(reversal)
    await _count(session, transfer, reversal, made, context)


async def _settle_status(session: AsyncSession, rows: Records, payout: Payout, context: Change) -> None:
    """Say how much of what the provider had was taken back; what is with its bank waits for that."""
    after = payout_after(await books_of(session, rows))
    if payout.status in ARRIVED:
        if after is not PayoutStatus.PAID:
            await move(session, payout, after, context)
    elif not is_at_bank(payout) or await is_under_way(session, payout):
        return
    elif after is PayoutStatus.REVERSED:
        await arrived(session, rows, payout, context)  # nothing is left to send to the bank


async def _count(
    session: AsyncSession,
    transfer: ProviderTransfer,
    reversal: TransferReversal,
    made: Reversal,
    context: Change,
) -> None:
    rows = await load(session, context.booking_id, lock=True)
    reversal.reversal_id, reversal.amount = made.id, made.amount
    transfer.amount_reversed += made.amount
    post(session, rows, JournalKind.REVERSAL, ledger.reversal(made.amount), made.id)
    if rows.payout is not None:
        await _settle_status(session, rows, rows.payout, context)


async def _locked(session: AsyncSession, context: Change, transfer_row: UUID) -> ProviderTransfer:
    await load(session, context.booking_id, lock=True)
    return await session.get_one(ProviderTransfer, transfer_row, with_for_update=True, populate_existing=True)


async def _new(
    session: AsyncSession, transfer: ProviderTransfer, row_id: UUID, amount: int
) -> TransferReversal:
    last = await session.scalar(
        select(func.max(TransferReversal.number)).where(TransferReversal.transfer_row_id == transfer.id)
    )
    return TransferReversal(
        id=row_id,
        booking_id=transfer.booking_id,
        transfer_row_id=transfer.id,
        number=(last or 0) + 1,
        amount=amount,
    )
