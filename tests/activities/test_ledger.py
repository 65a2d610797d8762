"""The ledger's promises are the database's: journals balance, nothing posted changes (DESIGN 5 and 6)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from models import ledger
from models.database import Database
from models.ledger import Account, JournalKind, LedgerEntry, Line
from tests.activities.desk import Desk, number
from tests.support.scratch import scratch_database

CHANGES = {
    "update": "UPDATE ledger_entries SET amount = amount + 1 WHERE booking_id = :booking_id",
    "delete": "DELETE FROM ledger_entries WHERE booking_id = :booking_id",
    "truncate": "TRUNCATE ledger_entries",
}
BALANCED = ledger.capture(5_000)
LOPSIDED = (Line.debit(Account.STRIPE_BALANCE, 5_000), Line.credit(Account.HELD, 4_999))


def post(*journals: list[LedgerEntry]) -> Callable[[AsyncSession], Awaitable[None]]:
    async def work(session: AsyncSession) -> None:
        for journal in journals:
            session.add_all(journal)
        await session.flush()

    return work


def change(how: str, booking_id: UUID) -> Callable[[AsyncSession], Awaitable[None]]:
    async def work(session: AsyncSession) -> None:
        values = {} if how == "truncate" else {"booking_id": booking_id}
        await session.execute(text(CHANGES[how]), values)

    return work


def capture(booking_id: UUID, lines: tuple[Line, ...] = BALANCED) -> list[LedgerEntry]:
    return ledger.entries(JournalKind.CAPTURE, booking_id, "eur", lines, f"ch_{booking_id}")


async def posted(database: Database, booking_id: UUID) -> int:
    total = select(func.coalesce(func.sum(LedgerEntry.amount), 0)).where(LedgerEntry.booking_id == booking_id)
    return await number(database, total)


async def booked(desk: Desk) -> UUID:
    return await desk.reserved(await desk.shop())


async def test_a_journal_that_balances_is_posted(desk: Desk) -> None:
    booking_id = await booked(desk)
    await desk.database.run(post(capture(booking_id)))
    assert await posted(desk.database, booking_id) == 10_000


async def test_a_journal_that_does_not_balance_is_refused_at_commit_and_not_before(desk: Desk) -> None:
    booking_id = await booked(desk)
    flushed = False

    async def lopsided(session: AsyncSession) -> None:
        nonlocal flushed
        await post(capture(booking_id, LOPSIDED))(session)
        flushed = True

    with pytest.raises(IntegrityError, match="does not balance"):
        await desk.database.run(lopsided)
    assert flushed
    assert await posted(desk.database, booking_id) == 0


async def test_currencies_do_not_balance_each_other(desk: Desk) -> None:
    booking_id = await booked(desk)
    mixed = capture(booking_id)
    mixed[0].currency = "usd"
    with pytest.raises(IntegrityError, match="does not balance"):
        await desk.database.run(post(mixed))


async def test_a_line_cannot_be_slipped_into_a_posted_journal(desk: Desk) -> None:
    booking_id = await booked(desk)
    await desk.database.run(post(capture(booking_id)))
    late = capture(booking_id, (*BALANCED, Line.credit(Account.HELD, 1)))[2:]
    with pytest.raises(IntegrityError, match="does not balance"):
        await desk.database.run(post(late))


async def test_the_same_fact_cannot_be_posted_twice(desk: Desk) -> None:
    booking_id = await booked(desk)
    await desk.database.run(post(capture(booking_id)))
    with pytest.raises(IntegrityError, match="pk_ledger_entries"):
        await desk.database.run(post(capture(booking_id)))
    assert await posted(desk.database, booking_id) == 10_000


@pytest.mark.parametrize("amount", [0, -1])
async def test_an_amount_is_positive(desk: Desk, amount: int) -> None:
    booking_id = await booked(desk)
    journal = capture(booking_id)
    for entry in journal:
        entry.amount = amount
    with pytest.raises(IntegrityError, match="ck_ledger_entries_amount"):
        await desk.database.run(post(journal))


@pytest.mark.parametrize("how", CHANGES)
async def test_what_was_posted_is_never_changed(desk: Desk, how: str) -> None:
    booking_id = await booked(desk)
    await desk.database.run(post(capture(booking_id)))
    with pytest.raises(DBAPIError, match="append-only"):
        await desk.database.run(change(how, booking_id))
    assert await posted(desk.database, booking_id) == 10_000


@pytest.mark.fault("N1")
async def test_without_its_triggers_the_ledger_keeps_none_of_these_promises(
    desk: Desk, database_url: str
) -> None:
    disarmed = "ALTER TABLE ledger_entries DISABLE TRIGGER USER"
    async with scratch_database(database_url, disarmed) as scratch:
        booking_id = await booked(replace(desk, database=scratch))
        await scratch.run(post(capture(booking_id, LOPSIDED)))
        assert await posted(scratch, booking_id) == 9_999
        await scratch.run(change("update", booking_id))
        assert await posted(scratch, booking_id) == 10_001
        await scratch.run(change("truncate", booking_id))
        assert await posted(scratch, booking_id) == 0
