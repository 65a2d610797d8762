"""What has to be true of a whole stack once all its stories are over."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from sandbox.asking import Json
from sandbox.client import Outside
from tests.e2e.stacks import Stack

CREATING: Final = {
    "customer": "customer",
    "setup": "setup_intent",
    "intent": "payment_intent",
    "refund": "refund",
    "transfer": "transfer",
    "reversal": "transfer_reversal",
    "bank_payout": "payout",
}
"""By our kind of operation, the object of Stripe's that carries its key. The other kinds change one that is there."""

OURS: Final = "WorkflowType IN ('Booking', 'Aftercare', 'Settlement', 'Class')"
KEPT: Final = "WorkflowType IN ('Booking', 'Aftercare', 'Settlement', 'Class', 'Relay')"
"""All but the comparisons, whose next run tries again."""
BROKEN: Final = "ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')"
SOON: Final = 90.0
"""Seconds; a step that died after its booking had ended is tried again after thirty."""


async def objections(stack: Stack) -> list[str]:
    """Everything that is not as if nothing had happened, as sentences."""
    return [
        *await still_open(stack),
        *await _broken(stack),
        *await twice_or_never(stack.outside),
        *await _unanswered(stack.outside),
        *await _found(stack),
    ]


async def still_open(stack: Stack) -> list[str]:
    """Workflows that did not end by themselves, though there was time."""
    try:
        async with asyncio.timeout(SOON):
            while True:
                left = await _listed(stack, f"{OURS} AND ExecutionStatus = 'Running'")
                if not left:
                    return []
                await asyncio.sleep(1)
    except TimeoutError:
        return [f"{one} is still open" for one in left]


async def _broken(stack: Stack) -> list[str]:
    return [f"{one} failed, or was ended" for one in await _listed(stack, f"{KEPT} AND {BROKEN}")]


async def _listed(stack: Stack, query: str) -> list[str]:
    found = await stack.temporal("workflow", "list", "--query", query)
    return [each["execution"]["workflowId"] for each in found]


async def twice_or_never(outside: Outside) -> list[str]:
    """Each decision to make an object at Stripe has made one, and none was made that nobody decided."""
    made = Counter(await _made(outside))
    decided = await _decided(outside)
    found = [
        f"Stripe has {count} of kind {kind} for {key}" for (kind, key), count in made.items() if count > 1
    ]
    found += [f"Stripe has a {kind} for {key}, our books do not" for kind, key in made.keys() - decided]
    found += [f"our books have a {kind} for {key}, Stripe does not" for kind, key in decided - made.keys()]
    return found


async def _unanswered(outside: Outside) -> list[str]:
    """Writes of which nobody wrote down what became of them; a reconciliation would ask only after a while."""
    async with _database(outside) as database:
        rows = await database.fetch(
            "SELECT key, state FROM stripe_operations WHERE state IN ('STARTED', 'UNKNOWN')"
        )
    return [f"{row['key']} is {row['state']} for ever" for row in rows]


async def _made(outside: Outside) -> list[tuple[str, str]]:
    assert outside.control is not None
    objects = await outside.control.list("/objects")
    wanted = set(CREATING.values())
    tagged = [(one["object"], (one.get("metadata") or {}).get("op")) for one in objects]
    return [(kind, key) for kind, key in tagged if key is not None and kind in wanted]


async def _decided(outside: Outside) -> set[tuple[str, str]]:
    async with _database(outside) as database:
        rows = await database.fetch(
            "SELECT kind, key FROM stripe_operations WHERE state = 'SUCCEEDED' AND kind = ANY($1)",
            list(CREATING),
        )
    return {(CREATING[row["kind"]], row["key"]) for row in rows}


@asynccontextmanager
async def _database(outside: Outside) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    database = await asyncpg.connect(outside.stack.database_url.replace("+asyncpg", ""))
    try:
        yield database
    finally:
        await database.close()


async def _found(stack: Stack) -> list[str]:
    """What the reconciler and the audit have to say."""
    for look in ("reconcile", "audit"):
        if (await looked(stack, look))["findings"]:
            return [f"{look} finds {await stack.outside.ops.get('/api/ops/findings')}"]
    return []


async def looked(stack: Stack, look: str) -> Json:
    """What a comparison found, once it has come to its end."""
    async with asyncio.timeout(4 * SOON):
        while True:
            found = await stack.outside.ops.post(f"/api/ops/{look}")
            if found["finished"]:
                return found
