"""Every invariant holds for what the product does, and finds what was tampered with (FAULTS 1)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from activities import invariants
from activities.findings import STEP
from models.database import Database
from models.keys import workflow_id_for
from tests.activities.desk import Desk, now
from tests.activities.money_steps import CAPTURE, FORFEIT, GIVE_BACK_REFUND, PAY_OUT, REFUND, VOID, MoneyStep
from tests.activities.tampering import change_booking, change_payment, change_payout
from tests.support.scratch import scratch_database


@pytest.fixture
async def books(database_url: str, desk: Desk) -> AsyncIterator[Desk]:
    """A database of the test's own, whose ledger can be written over."""
    async with scratch_database(database_url) as database:
        yield replace(desk, database=database)


async def rules(database: Database, *busy: UUID) -> set[str]:
    found = await database.run(lambda session: invariants.violations(session, busy))
    return {one.rule.partition(" ")[0] for one in found}


async def tamper(database: Database, *statements: str) -> None:
    """Change rows as nobody could: without triggers and constraints."""

    async with database.engine.connect() as connection:
        await connection.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            await connection.execute(text(statement))
        await connection.execute(text("SET session_replication_role = DEFAULT"))
        await connection.commit()


@pytest.mark.parametrize("step", [CAPTURE, FORFEIT, VOID, REFUND, PAY_OUT], ids=lambda step: step.name)
async def test_what_the_product_does_violates_nothing(books: Desk, step: MoneyStep) -> None:
    booking_id = await step.prepare(books)
    assert await rules(books.database, booking_id) == set()
    await step.act(books.activities(), booking_id)
    # Here nobody waits for the end of the hold, and the audit sees it.
    assert await rules(books.database) == ({"I8"} if step is PAY_OUT else set())


@dataclass(frozen=True)
class Tampering:
    rule: str
    statement: str

    @property
    def name(self) -> str:
        return f"{self.rule}: {self.statement[:60]}"


EARNED = [
    Tampering(
        "I1", "UPDATE ledger_entries SET amount = amount + 1 WHERE kind = 'capture' AND account = 'held'"
    ),
    Tampering("I2", "UPDATE payments SET amount_captured = amount_captured - 1"),
    Tampering("I2", "UPDATE payouts SET status = 'CANCELLED'"),
    Tampering("I4", "UPDATE payments SET status = 'AUTHORIZED'"),
    Tampering("I6", "UPDATE payments SET charge_id = 'ch_other'"),
    Tampering("I7", "UPDATE audit_events SET to_status = 'PAID' WHERE entity = 'payout'"),
    Tampering("I7", "DELETE FROM audit_events WHERE to_status = 'AUTHORIZED'"),
    Tampering(
        "I8",
        "INSERT INTO audit_events (booking_id, entity, entity_id, from_status, to_status, actor_role, at) "
        "SELECT booking_id, 'payout', id, 'HELD', 'PROCESSING', 'system', due_at - interval '1 hour' FROM payouts",
    ),
    Tampering(
        "I9",
        "INSERT INTO ledger_entries (journal_id, line, kind, booking_id, account, side, amount, currency, "
        "stripe_object_id) SELECT gen_random_uuid(), 1, kind, booking_id, account, side, amount, currency, "
        "stripe_object_id FROM ledger_entries WHERE kind = 'capture'",
    ),
    Tampering("I6", "DELETE FROM ledger_entries WHERE kind = 'capture'"),
]


@pytest.mark.parametrize("tampering", EARNED, ids=lambda one: one.name)
async def test_what_was_tampered_with_is_found(books: Desk, tampering: Tampering) -> None:
    await books.earned(await books.shop())
    assert await rules(books.database) == set()
    await tamper(books.database, tampering.statement)
    assert tampering.rule in await rules(books.database)


TRANSFERRED = (
    "INSERT INTO transfers (id, booking_id, payout_id, number, amount, amount_reversed, currency, destination, "
    "transfer_id) SELECT gen_random_uuid(), booking_id, id, {n}, amount, 0, currency, 'acct_1', 'tr_{n}' FROM payouts"
)


async def test_a_second_transfer_of_one_booking_is_found(books: Desk) -> None:
    await books.earned(await books.shop())
    await tamper(books.database, TRANSFERRED.format(n=1))
    assert "I3" not in await rules(books.database)
    await tamper(books.database, TRANSFERRED.format(n=2))
    assert "I3" in await rules(books.database)


async def test_a_cancelled_booking_that_keeps_more_than_was_decided_is_found(books: Desk) -> None:
    booking_id = await VOID.prepare(books)
    await VOID.act(books.activities(), booking_id)
    await tamper(books.database, "UPDATE payments SET status = 'CAPTURED', amount_captured = 5000")
    assert "I4" in await rules(books.database)


async def test_a_refund_of_more_than_came_is_found(books: Desk) -> None:
    booking_id = await REFUND.prepare(books)
    await REFUND.act(books.activities(), booking_id)
    more = "UPDATE ledger_entries SET amount = amount * 3 WHERE kind = 'refund'"
    await tamper(books.database, more)
    assert {"I11", "I2"} <= await rules(books.database)


async def test_two_sessions_at_one_time_are_found(books: Desk) -> None:
    await books.reserved(await books.shop())
    twin = (
        "INSERT INTO sessions (id, provider_id, provider_no, service_id, status, starts_at, ends_at, capacity) "
        "SELECT gen_random_uuid(), provider_id, provider_no, service_id, status, starts_at, ends_at, capacity "
        "FROM sessions"
    )
    assert await rules(books.database) == set()
    unguarded = "ALTER TABLE sessions DROP CONSTRAINT ex_sessions_provider_time"
    await tamper(books.database, unguarded, twin)
    assert await rules(books.database) == {"I5"}


async def test_a_journal_of_no_booking_that_holds_money_is_found(books: Desk) -> None:
    orphan = (
        "INSERT INTO ledger_entries (journal_id, line, kind, account, side, amount, currency, stripe_object_id) "
        "SELECT '00000000-0000-4000-8000-000000000001', n, 'capture', account, side, 500, 'eur', 'ch_stray' "
        "FROM (VALUES (1, 'stripe_balance', 'debit'), (2, 'held', 'credit')) AS line (n, account, side)"
    )
    await tamper(books.database, orphan)
    assert await rules(books.database) == {"I2"}


# --- I10 ----------------------------------------------------------------------------------------


async def stuck(desk: Desk, *open_ids: str, later: timedelta = timedelta(0)) -> list[str]:
    found = await desk.database.run(lambda session: invariants.stuck(session, open_ids, now() + later))
    return [one.detail for one in found]


async def test_a_booking_without_a_workflow_is_stuck_unless_somebody_was_asked(books: Desk) -> None:
    booking_id = await books.reserved(await books.shop())
    soon = invariants.SETTLED + timedelta(minutes=1)
    assert await stuck(books) == []
    assert await stuck(books, later=soon) == ["no workflow looks after the booking"]
    assert await stuck(books, workflow_id_for(booking_id), later=soon) == []
    await change_booking(books, booking_id, attention_step=STEP)
    assert await stuck(books, later=soon) == ["no workflow looks after the booking"]
    await change_booking(books, booking_id, attention_step="settle")
    assert await stuck(books, later=soon) == []


@pytest.mark.parametrize("status", ["HELD", "BLOCKED"])
async def test_a_payout_that_is_overdue_is_stuck_and_one_that_is_blocked_waits(
    books: Desk, status: str
) -> None:
    booking_id = await books.earned(await books.shop())
    await change_payout(books, booking_id, status=status)
    late = timedelta(hours=72) + invariants.SLA + timedelta(minutes=1)
    details = await stuck(books, workflow_id_for(booking_id), later=late)
    assert [detail.partition(",")[0] for detail in details] == (
        ["the booking is COMPLETED"] if status == "HELD" else []
    )


async def test_what_is_at_work_is_not_asked_to_have_finished(books: Desk) -> None:
    booking_id = await GIVE_BACK_REFUND.prepare(books)
    await GIVE_BACK_REFUND.act(books.activities(), booking_id)
    await change_booking(books, booking_id, status="CANCELLED", status_reason="payment_timeout", keep=0)
    await change_payment(books, booking_id, status="AUTHORIZED")
    assert "I4" in await rules(books.database)
    assert "I4" not in await rules(books.database, booking_id)
