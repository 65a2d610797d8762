"""Reads from outside what became of everything: Postgres, Stripe by its SDK, Temporal, and what the API finds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import stripe
from sqlalchemy import text
from temporalio.client import Client

from activities import invariants, lost_runs
from models.database import Database
from sandbox.asking import Json, NotInTime
from sandbox.client import Outside
from sandbox.demo import figures
from sandbox.demo.audit import Figures, findings
from tests.chaos.verdict import Row

ROWS: Final = """
SELECT b.id::text, b.status, p.status AS payout,
    CASE WHEN b.attention_step IS NULL OR b.attention_step = 'reconciliation' THEN NULL
        ELSE b.attention_step || ': ' || b.attention_message END AS attention
FROM bookings b LEFT JOIN payouts p ON p.booking_id = b.id ORDER BY b.created_at
"""
REFUSED: Final = """
SELECT r.booking_id::text FROM booking_requests r
WHERE r.refusal IS NOT NULL OR (r.created_at > now() - CAST(:forgotten AS interval)
    AND NOT EXISTS (SELECT FROM bookings b WHERE b.id = r.booking_id))
"""
"""A request whose run was terminated before it had a seat is called off when reconciliation forgets it."""
DUE: Final = """
SELECT count(*) FROM stripe_events WHERE handled_at IS NULL AND next_attempt_at < now() + interval '5 seconds'
"""
"""An event that nobody could be told is tried again after ten minutes at the latest: I10 is about the others."""
POSTED: Final = """
SELECT kind, stripe_object_id,
    sum(CASE WHEN side = 'debit' THEN amount ELSE -amount END)::bigint AS moved
FROM ledger_entries
WHERE account = 'stripe_balance' AND kind IN ('capture', 'refund', 'refund_failure', 'transfer', 'reversal')
GROUP BY kind, stripe_object_id
"""

SAGAS: Final = "WorkflowType IN ('Booking', 'Aftercare', 'Settlement', 'Class')"
NEVER: Final = "ExecutionStatus IN ('Failed', 'TimedOut')"
PAGE: Final[Any] = {"limit": 100}
LOOKS_FOR: Final = 120.0
"""Seconds that a look which ops ask for may take."""

Moved = dict[tuple[str, str], int]
"""By kind and object: what came to the platform's balance; below zero, what left it."""


@dataclass(frozen=True)
class Witness:
    """Where everything can be read."""

    everybody: Outside
    temporal: Client
    database: Database

    async def rows(self) -> tuple[Row, ...]:
        """Every booking that there is, whoever made it."""
        return tuple(Row(*row) for row in await self._ask(ROWS))

    async def refused(self) -> frozenset[str]:
        """Requests that no booking came of, or will."""
        return frozenset(row[0] for row in await self._ask(REFUSED, forgotten=lost_runs.FORGOTTEN))

    async def due(self) -> int:
        """Events that are about to be delivered."""
        return int((await self._ask(DUE))[0][0])

    async def open_workflows(self) -> tuple[str, ...]:
        """Whatever still runs for a booking or a payment."""
        return await self._workflows(f"{SAGAS} AND ExecutionStatus = 'Running'")

    async def failed_workflows(self) -> tuple[str, ...]:
        """Sagas that ended as none may. A look that failed is another thing: its schedule repeats it."""
        return await self._workflows(f"{SAGAS} AND {NEVER}")

    async def violations(self) -> tuple[str, ...]:
        """Everything that should not be, wherever it is seen."""
        return (
            *await self._invariants(),
            *await self._totals(),
            *await self._booking_by_booking(),
            *await self._found_by_ops(),
        )

    async def _invariants(self) -> list[str]:
        open_ids = await self.open_workflows()
        async with self.database.transaction() as session:
            seen = await invariants.violations(session)
            seen += await invariants.stuck(session, open_ids, datetime.now(UTC))
        return [f"{one.rule}: {one.detail} ({one.subject})" for one in seen]

    async def _totals(self) -> list[str]:
        """Every object of money at Stripe against every journal, whosever they are."""
        posted = {(kind, name): int(moved) for kind, name, moved in await self._ask(POSTED)}
        return different(posted, await moved_at(self.everybody.stripe))

    async def _booking_by_booking(self) -> list[str]:
        """What the demo checks of each of its bookings; and no booking is paid out by two transfers."""
        over = [row.id for row in await self.rows() if row.is_over]
        bookings: list[Json] = [await self.everybody.ops.see(one) for one in over]
        return [
            f"booking {found.booking['id']}: {sentence}"
            for found in await figures.gather(self.everybody, bookings)
            for sentence in wrong_with(found)
        ]

    async def _found_by_ops(self) -> list[str]:
        """What `reconcile` and `audit` find when they are asked through the API."""
        for look in ("reconcile", "audit"):
            await self._finished(look)
        page = await self.everybody.ops.get("/api/ops/findings?limit=100")
        return [f"finding: {one['rule']}: {one['detail']} ({one['subject']})" for one in page["items"]]

    async def _finished(self, look: str) -> None:
        deadline = time.monotonic() + LOOKS_FOR
        while not (await self.everybody.ops.post(f"/api/ops/{look}"))["finished"]:
            if time.monotonic() > deadline:
                raise NotInTime(f"{look} did not end in {LOOKS_FOR:.0f} s.")
            await asyncio.sleep(1)

    async def _ask(self, query: str, **values: timedelta) -> list[Any]:
        async with self.database.transaction() as session:
            return list(await session.execute(text(query), values))

    async def _workflows(self, query: str) -> tuple[str, ...]:
        return tuple(sorted([found.id async for found in self.temporal.list_workflows(query)]))


def different(posted: Moved, at_stripe: Moved) -> list[str]:
    """What Stripe and the ledger do not agree on."""
    return [
        f"Stripe has {at_stripe.get(one, 0)} of {one[0]} {one[1]}, the ledger {posted.get(one, 0)}"
        for one in sorted(posted.keys() | at_stripe.keys())
        if posted.get(one) != at_stripe.get(one)
    ]


def wrong_with(found: Figures) -> list[str]:
    """What the demo finds in a booking's figures; and no more than one of its transfers may stand."""
    standing = len(found.stripe.destinations) - len(found.stripe.moved.get("reversal", {}))
    twice = [f"{standing} transfers stand at Stripe"] if standing > 1 else []
    return twice + findings(found)


async def moved_at(sdk: stripe.StripeClient) -> Moved:
    """Everything that moved the platform's balance, but for fees and disputes, which are seen by booking."""
    moved: Moved = {}
    async for charge in (await sdk.v1.charges.list_async(PAGE)).auto_paging_iter():
        if charge.captured:
            moved["capture", charge.id] = charge.amount_captured
    async for refund in (await sdk.v1.refunds.list_async(PAGE)).auto_paging_iter():
        if refund.status == "pending" or refund.balance_transaction:
            moved["refund", refund.id] = -refund.amount
        if getattr(refund, "failure_balance_transaction", None):
            moved["refund_failure", refund.id] = refund.amount
    async for transfer in (await sdk.v1.transfers.list_async(PAGE)).auto_paging_iter():
        moved["transfer", transfer.id] = -transfer.amount
        reversals = await sdk.v1.transfers.reversals.list_async(transfer.id, PAGE)
        moved |= {("reversal", each.id): each.amount for each in reversals.data}
    return moved


@asynccontextmanager
async def witness(everybody: Outside, temporal: Client) -> AsyncIterator[Witness]:
    """Look into the stack's own database."""
    database = Database.connect(everybody.stack.database_url)
    try:
        yield Witness(everybody, temporal, database)
    finally:
        await database.close()
