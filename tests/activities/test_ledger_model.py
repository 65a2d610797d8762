"""Random journals, several posted at once, on the real ledger and in the pure books: they agree to the minor unit (FAULTS M3).

`M3_EXAMPLES=200` tries more.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from activities import accounts, shares
from activities.accounts import books_of, next_reference, post
from activities.records import load
from models import ledger
from models.books import Books
from models.ledger import Account, JournalKind, LedgerEntry, Line, Side
from tests.activities.desk import Desk, now
from tests.activities.money_steps import PRICE
from tests.support.properties import costly, examples
from workflows.contracts import Reserve

pytestmark = pytest.mark.fault("M3")

TRIED: Final = examples("M3_EXAMPLES", usual=20, nightly=300)
AT_ONCE: Final = 4
FEE_BPS: Final = 2_000

SIMPLE: Final[dict[str, tuple[JournalKind, Callable[[int], tuple[Line, ...]], dict[str, int]]]] = {
    "transfer": (JournalKind.TRANSFER, ledger.transfer, {"transferred": 1}),
    "reverse": (JournalKind.REVERSAL, ledger.reversal, {"reversed": 1}),
    "net": (JournalKind.NETTING, ledger.netting, {"netted": 1}),
    "owe": (JournalKind.DEBT, ledger.debt, {"raised": 1}),
    "forgive": (JournalKind.DEBT_RELIEF, ledger.debt_relief, {"raised": -1}),
    "waive": (JournalKind.WAIVER, ledger.waiver, {"waived": 1}),
}
"""What is posted once the hold is over, and how the books change by it."""
SHIFTS: Final[dict[str, tuple[JournalKind, str, int]]] = {
    "refund": (JournalKind.REFUND, "refunded", 1),
    "refund fails": (JournalKind.REFUND_FAILURE, "refunded", -1),
    "withdraw": (JournalKind.DISPUTE, "disputed", 1),
    "reinstate": (JournalKind.DISPUTE, "disputed", -1),
}
"""Client money that leaves or comes back at any time."""
REFUSED: Final = ("lopsided", "again", "rewrite", "delete")
"""What the database itself has to refuse."""


@dataclass(frozen=True)
class Op:
    kind: str
    amount: int


OPS: Final = st.builds(Op, st.sampled_from([*SIMPLE, *SHIFTS, "divide", *REFUSED]), st.integers(1, PRICE))
BATCHES: Final = st.lists(st.lists(OPS, min_size=1, max_size=AT_ONCE), min_size=1, max_size=8)


def expected(books: Books) -> dict[Account, int]:
    """Debits less credits of every account that is not zero, by the pure rules alone."""
    parts, allocated = books.division, books.allocated
    platform = parts.platform_fee + books.waived if allocated else books.waived
    due = books.due if allocated else -books.received
    balances = {
        Account.STRIPE_BALANCE: books.kept - books.transferred + books.reversed,
        Account.HELD: 0 if allocated else -max(books.kept, 0),
        Account.PROVIDER_PAYABLE: -due,
        Account.PROVIDER_DEBT: books.raised - books.netted,
        Account.PLATFORM_REVENUE: -platform,
        Account.DISPUTE_LOSSES: parts.loss,
    }
    return {account: amount for account, amount in balances.items() if amount}


async def apply(desk: Desk, booking_id: UUID, op: Op) -> bool:
    """One op in a session of its own, as a step does it; whether it came about."""

    async def work(session: AsyncSession) -> bool:
        rows = await load(session, booking_id, lock=True)
        if op.kind in SHIFTS:
            kind, what, sign = SHIFTS[op.kind]
            await accounts.shift(session, rows, kind, f"x_{uuid4().hex}", **{what: sign * op.amount})
        elif op.kind == "divide":
            await shares.divide(session, rows)
            await session.flush()
            # Where there was nothing to divide there is no journal: what comes back is held again.
            return (await books_of(session, rows)).allocated
        else:
            kind, lines, _ = SIMPLE[op.kind]
            reference = await next_reference(session, rows, kind)
            post(session, rows, kind, lines(op.amount), reference=reference)
        return True

    return await desk.database.run(work)


async def refused(desk: Desk, booking_id: UUID, op: Op) -> None:
    """One op that no code of ours would do; Postgres says no."""

    async def work(session: AsyncSession) -> None:
        rows = await load(session, booking_id, lock=True)
        if op.kind == "lopsided":
            post(session, rows, JournalKind.REFUND, ledger.capture(op.amount)[:1], f"x_{uuid4().hex}")
        elif op.kind == "again":
            post(session, rows, JournalKind.CAPTURE, ledger.capture(op.amount), f"ch_{booking_id}")
        else:
            statement = (
                "UPDATE ledger_entries SET amount = 1"
                if op.kind == "rewrite"
                else "DELETE FROM ledger_entries"
            )
            await session.execute(text(f"{statement} WHERE booking_id = :id"), {"id": booking_id})

    with pytest.raises(DBAPIError, match=r"balance|pk_ledger_entries|append-only"):
        await desk.database.run(work)


async def do_one(desk: Desk, booking_id: UUID, op: Op) -> dict[str, Any]:
    """Do it, and say what the pure books have to make of it."""
    if op.kind in REFUSED:
        await refused(desk, booking_id, op)
        return {}
    done = await apply(desk, booking_id, op)
    if op.kind == "divide":
        return {"allocated": True} if done else {}
    changes = SIMPLE[op.kind][2] if op.kind in SIMPLE else {SHIFTS[op.kind][1]: SHIFTS[op.kind][2]}
    return {what: sign * op.amount for what, sign in changes.items()} if done else {}


def follow(books: Books, changes: dict[str, Any]) -> Books:
    if "allocated" in changes:
        return books.model_copy(update=changes)
    return books.model_copy(update={what: getattr(books, what) + by for what, by in changes.items()})


async def captured(desk: Desk) -> UUID:
    """A booking with the client's money on its books, and nothing else."""
    shop = await desk.shop(amount=PRICE, policy={"platform_fee_bps": FEE_BPS})
    request = await shop.asked(shop.request())
    await desk.activities().bookings.reserve(Reserve(request=request, at=now()))

    async def work(session: AsyncSession) -> None:
        rows = await load(session, request.booking_id, lock=True)
        post(session, rows, JournalKind.CAPTURE, ledger.capture(PRICE), f"ch_{request.booking_id}")

    await desk.database.run(work)
    return request.booking_id


async def on_the_books(desk: Desk, booking_id: UUID) -> tuple[Books, dict[Account, int]]:
    """What Postgres has, read as the product reads it, and account by account."""

    async def work(session: AsyncSession) -> tuple[Books, dict[Account, int]]:
        read = await books_of(session, await load(session, booking_id))
        balances: Counter[Account] = Counter()
        entries = await session.scalars(select(LedgerEntry).where(LedgerEntry.booking_id == booking_id))
        for entry in entries:
            balances[entry.account] += entry.amount if entry.side is Side.DEBIT else -entry.amount
        return read, {account: amount for account, amount in balances.items() if amount}

    return await desk.database.run(work)


@pytest.mark.timeout(60 + 5 * TRIED)
@costly(TRIED)
@given(batches=BATCHES)
async def test_the_ledger_says_what_the_pure_books_say_whatever_was_posted_at_once(
    busy_desk: Desk, batches: list[list[Op]]
) -> None:
    booking_id = await captured(busy_desk)
    books = Books(currency="eur", fee_bps=FEE_BPS, captured=PRICE)
    for ops in batches:
        for changes in await asyncio.gather(*(do_one(busy_desk, booking_id, op) for op in ops)):
            books = follow(books, changes)
        read, balances = await on_the_books(busy_desk, booking_id)
        assert read == books
        assert balances == expected(books)
        assert sum(balances.values()) == 0


async def test_a_ledger_that_is_off_by_one_does_not_agree(busy_desk: Desk) -> None:
    booking_id = await captured(busy_desk)
    await apply(busy_desk, booking_id, Op("refund", 1_000))
    read, balances = await on_the_books(busy_desk, booking_id)
    wrong = follow(read, {"refunded": 1})
    assert balances == expected(read) != expected(wrong)
