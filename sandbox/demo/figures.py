"""Gathers what the audit compares: the ledger from Postgres, objects from Stripe, the booking from the API."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import asyncpg
import stripe

from sandbox.asking import Json
from sandbox.client import Outside
from sandbox.demo.audit import AtStripe, Entry, Figures
from sandbox.errors import SandboxError

LEDGER: Final = """
    SELECT journal_id::text, kind, account, side, amount, currency, stripe_object_id
    FROM ledger_entries WHERE booking_id = $1 ORDER BY posted_at, journal_id, line
"""
INTENTS: Final = """
    SELECT payment_intent_id, booking_id::text FROM payments
    WHERE payment_intent_id IS NOT NULL
"""
CUSTOMER: Final = """
    SELECT stripe_customer_id FROM clients JOIN bookings ON bookings.client_id = clients.id
    WHERE bookings.id = $1
"""

Moved = tuple[str, str, int]
"""A kind, an object, and what arrived on our balance by it."""


class LedgerUnreadable(SandboxError):
    """The database of the stack cannot be reached from here."""


async def gather(outside: Outside, bookings: list[Json]) -> list[Figures]:
    """The figures of ended bookings, in their order.

    Raises:
        LedgerUnreadable: Postgres does not let us.
    """
    try:
        database = await asyncpg.connect(outside.stack.database_url.replace("+asyncpg", ""))
    except (OSError, asyncpg.PostgresError) as error:
        raise LedgerUnreadable(f"The ledger cannot be read: {error}") from error
    try:
        gathering = _Gathering(outside, database)
        return [await gathering.figures(booking) for booking in bookings]
    finally:
        await database.close()


class _Gathering:
    """Stripe's lists are consistent, its search is not: everything is listed, a customer's intents once."""

    def __init__(self, outside: Outside, database: Any) -> None:
        self._outside = outside
        self._sdk = outside.stripe
        self._database = database
        self._intents: dict[str, list[stripe.PaymentIntent]] = {}
        self._owners: dict[str, str] = {}

    async def figures(self, booking: Json) -> Figures:
        lines = await self._database.fetch(LEDGER, booking["id"])
        return Figures(booking, tuple(Entry(**line) for line in lines), await self._at_stripe(booking))

    async def _at_stripe(self, booking: Json) -> AtStripe:
        provider = await self._outside.ops.get(f"/api/providers/{booking['provider_id']}")
        intents = await self._intents_of(booking["id"])
        moved = [each for intent in intents for each in await self._of_intent(intent.id)]
        group = {"transfer_group": f"booking_{booking['id']}", "limit": 100}
        transfers = (await self._sdk.v1.transfers.list_async(group)).data  # type: ignore[arg-type]
        for transfer in transfers:
            moved.append(("transfer", transfer.id, -transfer.amount))
            reversals = await self._sdk.v1.transfers.reversals.list_async(transfer.id, {"limit": 100})
            moved += [("reversal", each.id, each.amount) for each in reversals.data]
        return AtStripe(
            intents=tuple(str(intent.status) for intent in intents),
            moved=_by_kind(moved),
            destinations=tuple(str(transfer.destination) for transfer in transfers),
            provider_account=provider["stripe_account_id"],
        )

    async def _intents_of(self, booking_id: str) -> list[stripe.PaymentIntent]:
        """All that were ever made for the booking; one that came late may have become another booking's."""
        customer = await self._database.fetchval(CUSTOMER, booking_id)
        if customer is None:
            return []
        if customer not in self._intents:
            page = await self._sdk.v1.payment_intents.list_async({"customer": customer, "limit": 100})
            self._intents[customer] = [intent async for intent in page.auto_paging_iter()]
            self._owners = dict(await self._database.fetch(INTENTS))
        return [
            intent
            for intent in self._intents[customer]
            if self._owners.get(intent.id, _meant_for(intent)) == booking_id
        ]

    async def _of_intent(self, intent_id: str) -> list[Moved]:
        of_it = {"payment_intent": intent_id, "limit": 100}
        charges = await self._sdk.v1.charges.list_async(
            {**of_it, "expand": ["data.balance_transaction"]}  # type: ignore[arg-type]
        )
        refunds = await self._sdk.v1.refunds.list_async(of_it)  # type: ignore[arg-type]
        disputes = await self._sdk.v1.disputes.list_async(of_it)  # type: ignore[arg-type]
        return [*_captured(charges.data), *_refunded(refunds.data), *_disputed(disputes.data)]


def _captured(charges: Iterable[stripe.Charge]) -> Iterator[Moved]:
    for charge in charges:
        if charge.captured:
            yield "capture", charge.id, charge.amount_captured
            posted = charge.balance_transaction
            if isinstance(posted, stripe.BalanceTransaction):
                yield "stripe_fee", posted.id, -posted.fee


def _refunded(refunds: Iterable[stripe.Refund]) -> Iterator[Moved]:
    for refund in refunds:
        # Letting an authorization go may show as a refund too: it moves no balance, so it is no money.
        if refund.status == "pending" or refund.balance_transaction:
            yield "refund", refund.id, -refund.amount
        if getattr(refund, "failure_balance_transaction", None):
            yield "refund_failure", refund.id, refund.amount


def _disputed(disputes: Iterable[stripe.Dispute]) -> Iterator[Moved]:
    for dispute in disputes:
        for posted in dispute.balance_transactions:
            yield "dispute", posted.id, posted.amount
            if posted.fee:
                yield "dispute_fee", posted.id, -posted.fee


def _by_kind(moved: Iterable[Moved]) -> dict[str, dict[str, int]]:
    kinds: dict[str, dict[str, int]] = {}
    for kind, name, amount in moved:
        kinds.setdefault(kind, {})[name] = amount
    return kinds


def _meant_for(intent: stripe.PaymentIntent) -> str | None:
    metadata: dict[str, str] = intent.to_dict().get("metadata") or {}
    return metadata.get("booking_id")
