"""Gathers what the audit compares: the ledger from Postgres, objects from Stripe, the booking from the API."""

from typing import Any, Final

import asyncpg
import stripe

from sandbox.client import Json, Outside
from sandbox.demo.audit import AtStripe, Entry, Figures, Moved
from sandbox.errors import SandboxError

LEDGER: Final = """
    SELECT journal_id::text, kind, account, side, amount, currency, stripe_object_id
    FROM ledger_entries WHERE booking_id = $1 ORDER BY posted_at, journal_id, line
"""


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
        return [
            Figures(booking, await _ledger(database, booking["id"]), await _at_stripe(outside, booking))
            for booking in bookings
        ]
    finally:
        await database.close()


async def _ledger(database: Any, booking_id: str) -> tuple[Entry, ...]:
    return tuple(Entry(**row) for row in await database.fetch(LEDGER, booking_id))


async def _at_stripe(outside: Outside, booking: Json) -> AtStripe:
    """Stripe's lists are consistent, its search is not: everything is listed."""
    sdk, intent_id = outside.stripe, booking["payment"]["payment_intent_id"]
    provider = await outside.ops.get(f"/api/providers/{booking['provider_id']}")
    group = f"booking_{booking['id']}"
    transfers = await sdk.v1.transfers.list_async({"transfer_group": group, "limit": 100})
    found = AtStripe(
        transfers=tuple(map(_transfer, transfers.data)), provider_account=provider["stripe_account_id"]
    )
    if intent_id is None:
        return found
    charges = await sdk.v1.charges.list_async({"payment_intent": intent_id, "limit": 100})
    refunds = await sdk.v1.refunds.list_async({"payment_intent": intent_id, "limit": 100})
    return AtStripe(
        intents=await _intents(sdk, intent_id, booking["id"]),
        captured=tuple(
            Moved(charge.id, charge.amount_captured, charge.currency)
            for charge in charges.data
            if charge.captured
        ),
        refunds=tuple(
            Moved(refund.id, refund.amount, refund.currency)
            for refund in refunds.data
            # Letting an authorization go may show as a refund too: it moves no balance, so it is no money.
            if refund.status == "pending" or (refund.status == "succeeded" and refund.balance_transaction)
        ),
        transfers=found.transfers,
        provider_account=found.provider_account,
    )


async def _intents(sdk: stripe.StripeClient, intent_id: str, booking_id: str) -> tuple[str, ...]:
    """The statuses of all intents that were ever made for the booking."""
    known = await sdk.v1.payment_intents.retrieve_async(intent_id)
    page = await sdk.v1.payment_intents.list_async({"customer": str(known.customer), "limit": 100})
    return tuple(
        [str(intent.status) async for intent in page.auto_paging_iter() if _booking_of(intent) == booking_id]
    )


def _booking_of(intent: stripe.PaymentIntent) -> str | None:
    metadata: dict[str, str] = intent.to_dict().get("metadata") or {}
    return metadata.get("booking_id")


def _transfer(transfer: stripe.Transfer) -> Moved:
    return Moved(
        transfer.id, transfer.amount, transfer.currency, transfer.amount_reversed, str(transfer.destination)
    )
