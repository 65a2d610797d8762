"""What one booking costs in history events and billable actions, measured on a real server.

`python -m tests.workflows.budget` plays the happy path, counts, and writes `docs/history-budget.md`;
a test plays it again and compares.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from temporalio.api.enums.v1 import EventType

from activities.stripe_gateway import StripeGateway
from models.database import Database
from tests.support.product import running_product
from tests.support.shop import Shop, open_shop
from tests.workflows.real import Market

PAGE: Final = Path(__file__).parents[2] / "docs" / "history-budget.md"
MOST_EVENTS: Final = 80
MOST_ACTIONS: Final = 25

BILLABLE: Final = {
    "WORKFLOW_EXECUTION_STARTED": "workflow start",
    "ACTIVITY_TASK_SCHEDULED": "activity",
    "WORKFLOW_EXECUTION_SIGNALED": "signal",
    "WORKFLOW_EXECUTION_UPDATE_ACCEPTED": "update",
    "TIMER_STARTED": "timer",
    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES": "search attribute upsert",
}


@dataclass(frozen=True)
class Budget:
    """Counted events by their type, without Temporal's prefix."""

    events: dict[str, int]

    @property
    def total(self) -> int:
        """All events."""
        return sum(self.events.values())

    @property
    def actions(self) -> dict[str, int]:
        """Billable actions by what they are."""
        return {name: self.events.get(event, 0) for event, name in BILLABLE.items()}

    @property
    def total_actions(self) -> int:
        """All billable actions."""
        return sum(self.actions.values())


async def open_budget_shop(database: Database, gateway: StripeGateway) -> Shop:
    """Whose hold is long enough to be told something in it."""
    return await open_shop(database, gateway, policy={"payout_hold": "PT2S"})


async def measure(market: Market, shop: Shop) -> Budget:
    """The happy path, told of every event that Stripe sends about it that is still news."""
    saga, _ = await market.open_at_once(shop, await market.request(shop, timedelta(seconds=-1)))
    await saga.quiet()
    await saga.pays()
    await saga.stripe_says("evt_amount_capturable_updated")
    await saga.quiet()
    await saga.complete()
    await saga.quiet()
    await saga.stripe_says("evt_succeeded")
    await saga.ends()
    history = await saga.handle.fetch_history()
    names = (EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events)
    return Budget(dict(Counter(names)))


def page(budget: Budget) -> str:
    """The page that states the numbers."""
    actions = "\n".join(f"| {name} | {count} |" for name, count in budget.actions.items())
    events = "\n".join(
        f"| `{name}` | {count} |" for name, count in sorted(budget.events.items(), key=lambda one: -one[1])
    )
    return f"""# What a booking costs

Temporal bills *actions* and keeps a *history*. A booking's happy path is allowed {MOST_EVENTS} history events and
{MOST_ACTIONS} billable actions. Measured:

**{budget.total} history events, {budget.total_actions} billable actions.**

## What was played

A real dev server, the product's own worker and activities, Postgres and the sandbox's Stripe:

1. the workflow is started and asked for the checkout in one round trip (update `opened`);
2. the client pays; the webhook's signal `payment_changed` for `payment_intent.amount_capturable_updated`;
3. the session has started: update `complete`, which captures;
4. a second signal, for an event that arrives in the hold;
5. the hold ends, the provider's share is transferred.

Nobody calls `confirm`, no step is tried twice, no 3-D Secure, no approval, no calendar.

## Billable actions

One each for the start, every activity attempt, signal, update, timer and upsert of search attributes.

| action | count |
|---|---|
{actions}
| **all** | **{budget.total_actions}** |

## History events

| event | count |
|---|---|
{events}
| **all** | **{budget.total}** |

Each activity is three events (scheduled, started, completed), and each time the workflow wakes there are
three more for its task. A step that is retried adds an action per attempt and no event; a step that parks adds
a recorded note, a timer and an upsert each time round.

This page is written by `python -m tests.workflows.budget`; `tests/workflows/test_budget.py` plays the path
again and fails when a number here is no longer true.
"""


async def _main() -> None:
    async with running_product() as product:
        shop = await open_budget_shop(product.database, product.gateway)
        measured = await measure(Market(product.env, product.sdk), shop)
    PAGE.write_text(page(measured))


if __name__ == "__main__":
    asyncio.run(_main())
