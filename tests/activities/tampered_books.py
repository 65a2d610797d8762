"""For every query of every invariant, books that it has to find: right ones that somebody wrote over."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from activities import invariants
from activities.audit_queries import EDGES, QUERIES, RULES, STUCK
from activities.findings import Observation
from models.keys import workflow_id_for
from tests.activities.desk import Desk, do, now
from tests.activities.money_steps import FORFEIT, PAY_OUT, REFUND, VOID, MoneyStep

AFTER_THE_HOLD: Final = timedelta(hours=73)


async def reserved(desk: Desk) -> UUID:
    return await desk.reserved(await desk.shop())


async def earned(desk: Desk) -> UUID:
    return await desk.earned(await desk.shop())


async def paid_out(desk: Desk) -> UUID:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.activities().payouts.pay_out(do(booking_id, at=now() + AFTER_THE_HOLD))
    return booking_id


async def _played(desk: Desk, step: MoneyStep) -> UUID:
    booking_id = await step.prepare(desk)
    await step.act(desk.activities(), booking_id)
    return booking_id


BASES: Final[Mapping[str, Callable[[Desk], Awaitable[UUID]]]] = {
    "reserved": reserved,
    "earned": earned,
    "paid out": paid_out,
    "voided": lambda desk: _played(desk, VOID),
    "forfeit": lambda desk: _played(desk, FORFEIT),
    "refunded": lambda desk: _played(desk, REFUND),
}
"""Bookings whose books are right."""


@dataclass(frozen=True)
class Tampering:
    """What is written over a base, and which of a rule's queries has to say so."""

    rule: str
    base: str
    statements: tuple[str, ...]
    query: int = 0

    @property
    def name(self) -> str:
        return f"{self.rule}: {self.statements[0][:60]}"


def tampering(rule: str, base: str, *statements: str, query: int = 0) -> Tampering:
    (full,) = [one for one in RULES if f"{one} ".startswith(f"{rule} ")]
    return Tampering(full, base, statements, query)


_COPIED_ENTRY: Final = (
    "INSERT INTO ledger_entries (journal_id, line, kind, booking_id, account, side, amount, currency, "
    "stripe_object_id) SELECT gen_random_uuid(), 1, kind, booking_id, account, side, amount, currency, "
    "stripe_object_id FROM ledger_entries WHERE kind = 'capture'"
)
_OF_NOBODY: Final = (
    "INSERT INTO ledger_entries (journal_id, line, kind, account, side, amount, currency, stripe_object_id) "
    "SELECT '00000000-0000-4000-8000-000000000001', n, 'capture', account, side, 500, 'eur', 'ch_stray' "
    "FROM (VALUES (1, 'stripe_balance', 'debit'), (2, 'held', 'credit')) AS line (n, account, side)"
)
_ANOTHER_TRANSFER: Final = (
    "INSERT INTO transfers (id, booking_id, payout_id, number, amount, amount_reversed, currency, destination, "
    "transfer_id) SELECT gen_random_uuid(), booking_id, id, 2, amount, 0, currency, 'acct_1', 'tr_2' FROM payouts"
)
_TWIN: Final = (
    "INSERT INTO sessions (id, provider_id, provider_no, service_id, status, starts_at, ends_at, capacity) "
    "SELECT gen_random_uuid(), provider_id, provider_no, service_id, status, starts_at, ends_at, capacity "
    "FROM sessions"
)
_ANOTHER_SEAT: Final = (
    "INSERT INTO bookings SELECT (jsonb_populate_record(NULL::bookings, to_jsonb(b) || "
    """jsonb_build_object('id', gen_random_uuid(), 'client_id', 'another'))).* FROM bookings b"""
)
_PAID_EARLY: Final = (
    "INSERT INTO audit_events (booking_id, entity, entity_id, from_status, to_status, actor_role, at) "
    "SELECT booking_id, 'payout', id, 'HELD', 'PROCESSING', 'system', due_at - interval '1 hour' FROM payouts"
)
_UNHEARD: Final = (
    "INSERT INTO stripe_events (id, type, livemode, attempts, received_at) "
    "VALUES ('evt_1', 'charge.refunded', false, 0, now() - interval '2 hours')"
)
_NO_EXCLUSION: Final = "ALTER TABLE sessions DROP CONSTRAINT ex_sessions_provider_time"

TAMPERINGS: Final = (
    tampering("I1", "earned", "UPDATE ledger_entries SET amount = amount + 1 WHERE account = 'held'"),
    tampering("I1", "earned", "UPDATE ledger_entries SET currency = 'usd' WHERE account = 'held'"),
    tampering("I2 books", "earned", "UPDATE payments SET amount_captured = amount_captured - 1"),
    tampering("I2 books", "refunded", "UPDATE payments SET amount_refunded = amount_refunded - 1"),
    tampering("I2 books", "paid out", "UPDATE transfers SET transfer_id = NULL"),
    tampering("I2 nothing", "earned", "UPDATE payouts SET status = 'CANCELLED'"),
    tampering("I2 nothing", "earned", _OF_NOBODY, query=1),
    tampering("I3", "paid out", "UPDATE ledger_entries SET amount = amount * 2 WHERE kind = 'transfer'"),
    tampering("I3", "paid out", _ANOTHER_TRANSFER, query=1),
    tampering("I4", "voided", "UPDATE payments SET status = 'CAPTURED', amount_captured = 5000"),
    tampering("I4", "earned", "UPDATE payments SET status = 'AUTHORIZED'", query=1),
    tampering("I5", "reserved", _NO_EXCLUSION, _TWIN),
    tampering("I5", "reserved", _ANOTHER_SEAT, query=1),
    tampering("I6", "earned", "DELETE FROM ledger_entries WHERE kind = 'capture'"),
    tampering("I6", "refunded", "UPDATE ledger_entries SET amount = amount + 1 WHERE kind = 'refund'"),
    tampering("I6", "earned", "UPDATE payments SET charge_id = 'ch_other'", query=1),
    tampering("I6", "paid out", "UPDATE transfers SET transfer_id = 'tr_other'", query=1),
    tampering("I7", "earned", "UPDATE audit_events SET to_status = 'PAID' WHERE entity = 'payout'"),
    tampering("I7", "earned", "DELETE FROM audit_events WHERE to_status = 'AUTHORIZED'"),
    tampering("I7", "paid out", "UPDATE payouts SET status = 'HELD'"),
    tampering("I8", "earned", _PAID_EARLY),
    tampering("I9", "earned", _COPIED_ENTRY),
    tampering("I10", "reserved", "UPDATE bookings SET expires_at = now() - interval '2 hours'"),
    tampering("I10", "earned", "UPDATE payouts SET due_at = now() - interval '2 hours'"),
    tampering("I10", "reserved", _UNHEARD),
    tampering("I10", "reserved", "UPDATE bookings SET id = gen_random_uuid(), created_at = '2020-01-01'"),
    tampering("I11", "refunded", "UPDATE ledger_entries SET amount = amount * 3 WHERE kind = 'refund'"),
    tampering(
        "I11",
        "paid out",
        "UPDATE ledger_entries SET amount = amount + 1 WHERE kind = 'transfer' AND side = 'debit'",
        query=1,
    ),
)
"""Each has to be found by the very query, whatever else it breaks besides."""


async def found(session: AsyncSession, wanted: Tampering, booking_id: UUID) -> list[Observation]:
    """What the query of a tampering sees while the booking's workflow runs, and is not at work."""
    if wanted.rule == STUCK:
        return await invariants.stuck(session, [workflow_id_for(booking_id)], now())
    if wanted.rule == EDGES:
        return [one for one in await invariants.violations(session) if one.rule == EDGES]
    return await invariants._ask(session, wanted.rule, QUERIES[wanted.rule][wanted.query], busy=[])


async def write_over(session: AsyncSession, *statements: str) -> None:
    """Change rows as nobody could, without triggers and foreign keys, until the transaction ends."""
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in statements:
        await session.execute(text(statement))
