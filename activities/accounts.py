"""A booking's money as the ledger has it, read in one query; and what others owe to the platform."""

from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.records import Records
from models.books import Books
from models.ledger import Account, JournalKind, LedgerEntry, Side, books_from
from models.payments import ProviderDebt


async def books_of(session: AsyncSession, rows: Records) -> Books:
    """Everything that has happened to the booking's money, in its own currency and minor units."""
    booking = rows.booking
    sums = await _sums(session, booking.id, booking.currency)
    return books_from(sums, booking.currency, rows.policy.platform_fee_bps)


async def _sums(
    session: AsyncSession, booking_id: UUID, currency: str
) -> dict[tuple[JournalKind, Account], int]:
    """Debits less credits, by kind of journal and account."""
    signed = case((LedgerEntry.side == Side.DEBIT, LedgerEntry.amount), else_=-LedgerEntry.amount)
    query = (
        select(LedgerEntry.kind, LedgerEntry.account, func.sum(signed))
        .where(LedgerEntry.booking_id == booking_id, LedgerEntry.currency == currency)
        .group_by(LedgerEntry.kind, LedgerEntry.account)
    )
    return {(kind, account): int(total) for kind, account, total in await session.execute(query)}


async def debts_of(session: AsyncSession, provider_id: UUID, currency: str) -> list[ProviderDebt]:
    """What the provider still owes in `currency`, the oldest first; locked."""
    query = (
        select(ProviderDebt)
        .where(
            ProviderDebt.provider_id == provider_id,
            ProviderDebt.currency == currency,
            ProviderDebt.settled < ProviderDebt.raised,
        )
        .order_by(ProviderDebt.created_at, ProviderDebt.booking_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(await session.scalars(query))
