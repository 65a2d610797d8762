"""Every invariant holds for what the product does, and finds what was tampered with (FAULTS 1)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities import invariants
from activities.audit_queries import EDGES, QUERIES, RULES, STUCK
from activities.findings import STEP
from models.database import Database
from models.keys import workflow_id_for
from tests.activities.desk import Desk, now
from tests.activities.money_steps import CAPTURE, FORFEIT, GIVE_BACK_REFUND, PAY_OUT, REFUND, VOID, MoneyStep
from tests.activities.tampered_books import BASES, TAMPERINGS, Tampering, found, write_over
from tests.activities.tampering import change_booking, change_payment, change_payout
from tests.support.scratch import scratch_database

Base = tuple[Database, UUID]
"""A booking whose books are right, alone in its database."""


@pytest.fixture
async def books(database_url: str, desk: Desk) -> AsyncIterator[Desk]:
    """A database of the test's own, whose ledger can be written over."""
    async with scratch_database(database_url) as database:
        yield replace(desk, database=database)


async def rules(database: Database, *busy: UUID) -> set[str]:
    found = await database.run(lambda session: invariants.violations(session, busy))
    return {one.rule.partition(" ")[0] for one in found}


async def tamper(database: Database, *statements: str) -> None:
    await database.run(lambda session: write_over(session, *statements))


@pytest.mark.parametrize("step", [CAPTURE, FORFEIT, VOID, REFUND, PAY_OUT], ids=lambda step: step.name)
async def test_what_the_product_does_violates_nothing(books: Desk, step: MoneyStep) -> None:
    booking_id = await step.prepare(books)
    assert await rules(books.database, booking_id) == set()
    await step.act(books.activities(), booking_id)
    # Here nobody waits for the end of the hold, and the audit sees it.
    assert await rules(books.database) == ({"I8"} if step is PAY_OUT else set())


# --- every query can fail -------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def bases(database_url: str, busy_desk: Desk) -> AsyncIterator[Callable[[str], Awaitable[Base]]]:
    """Each base in a database of its own, made once: what is written over it is rolled back."""
    made: dict[str, Base] = {}
    async with AsyncExitStack() as opened:

        async def base(name: str) -> Base:
            if name not in made:
                database = await opened.enter_async_context(scratch_database(database_url))
                desk = replace(busy_desk, database=database)
                made[name] = database, await BASES[name](desk)
            return made[name]

        yield base


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda one: one.name)
async def test_what_was_tampered_with_is_found_by_its_query(
    bases: Callable[[str], Awaitable[Base]], tampering: Tampering
) -> None:
    database, booking_id = await bases(tampering.base)
    async with AsyncSession(database.engine) as session:
        assert await found(session, tampering, booking_id) == []
        await write_over(session, *tampering.statements)
        seen = await found(session, tampering, booking_id)
        await session.rollback()
    assert {one.rule for one in seen} == {tampering.rule}


def test_no_query_of_any_rule_is_left_without_a_tampering() -> None:
    queries = {(rule, place) for rule, each in QUERIES.items() for place in range(len(each))}
    asked = {(one.rule, one.query) for one in TAMPERINGS}
    assert queries | {(EDGES, 0), (STUCK, 0)} == asked
    assert {rule for rule, _ in asked} == set(RULES)


def test_every_invariant_of_the_list_has_its_rule() -> None:
    assert {rule.partition(" ")[0] for rule in RULES} == {f"I{number}" for number in range(1, 12)}


async def test_what_one_tampering_breaks_is_seen_by_the_whole_audit(books: Desk) -> None:
    booking_id = await REFUND.prepare(books)
    await REFUND.act(books.activities(), booking_id)
    await tamper(books.database, "UPDATE ledger_entries SET amount = amount * 3 WHERE kind = 'refund'")
    assert {"I11", "I2"} <= await rules(books.database)


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
