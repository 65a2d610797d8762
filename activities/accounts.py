"""A booking's money as the ledger has it, read in one query and shifted by journals; and what providers owe."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.records import Records
from models import ledger
from models.books import Books
from models.ledger import Account, JournalKind, LedgerEntry, Line, Side, books_from
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


def post(
    session: AsyncSession,
    rows: Records,
    kind: JournalKind,
    lines: Sequence[Line],
    object_id: str | None = None,
    *,
    reference: str | None = None,
) -> None:
    """Add a journal in the booking's currency; `entries` says what it is named for."""
    booking = rows.booking
    session.add_all(ledger.entries(kind, booking.id, booking.currency, lines, object_id, reference=reference))


async def shift(
    session: AsyncSession,
    rows: Records,
    kind: JournalKind,
    object_id: str,
    *,
    refunded: int = 0,
    disputed: int = 0,
) -> None:
    """Client money leaves, or comes back when the amounts are below zero; the booking must be locked."""
    before = await books_of(session, rows)
    after = before.model_copy(
        update={"refunded": before.refunded + refunded, "disputed": before.disputed + disputed}
    )
    post(session, rows, kind, ledger.shift(before, after), object_id)


async def is_posted(session: AsyncSession, kind: JournalKind, object_id: str) -> bool:
    """Whether a Stripe object is on the books already."""
    found = select(func.count()).where(LedgerEntry.kind == kind, LedgerEntry.stripe_object_id == object_id)
    return bool((await session.execute(found)).scalar_one())


async def next_reference(session: AsyncSession, rows: Records, kind: JournalKind) -> str:
    """The name of the booking's next journal of a kind that no Stripe object stands behind."""
    count = func.count(LedgerEntry.journal_id.distinct())
    posted = select(count).where(LedgerEntry.booking_id == rows.booking.id, LedgerEntry.kind == kind)
    return f"{rows.booking.id}:{(await session.execute(posted)).scalar_one() + 1}"
