"""Everything that can break breaks at once, drawn from a seed, while bookings are under way; then the verdict.

This is a short run. `make chaos` is the long one, and what a failure prints plays the same plan again.
"""

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.client import Client

from sandbox.person import has_payout
from tests.chaos.plan import draw
from tests.chaos.report import as_json
from tests.chaos.run import play
from tests.chaos.witness import witness
from tests.e2e.stacks import MEMORABLE, Stack

BOOKINGS = 20
MINUTES = 0.5
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 10**6))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]

Record = Callable[[str, object], None]


@pytest.mark.fault("X1")
async def test_nothing_is_lost_and_nothing_paid_twice_whatever_breaks(
    run_dir: Path, record_property: Record
) -> None:
    plan = draw(SEED, BOOKINGS, MINUTES)
    print(f"to play this again: {plan.replay}")  # noqa: T201 - pytest shows it
    outcome = await play(plan, run_dir, print)
    record_property("seed", plan.seed)
    record_property("injected", sum(outcome.evidence.injected.values()))
    print(as_json(outcome))  # noqa: T201 - pytest shows it
    if outcome.wrong:
        print(run_dir.with_name(f"{run_dir.name}.log").read_text()[-MEMORABLE:])  # noqa: T201 - same
    assert outcome.wrong == [], plan.replay


@pytest.mark.fault("N1")
async def test_a_second_transfer_made_behind_our_back_would_be_seen(stack: Stack) -> None:
    """The same look at a stack on which the worst has happened: without it, the verdict proves nothing."""
    client, everybody = stack.outside.client, stack.outside
    now = datetime.now(UTC).replace(microsecond=0)
    booking = await client.book(stack.described.services["private_lesson"], now)
    await client.pay(booking["id"])
    await everybody.ops.until(booking["id"], lambda it: it["status"] == "CONFIRMED", "its confirmation")
    await client.complete(booking["id"])
    paid = await everybody.ops.until(booking["id"], has_payout("PAID"), "the payout")
    first = await everybody.stripe.v1.transfers.retrieve_async(paid["payout"]["transfer_id"])
    temporal = await Client.connect(stack.described.temporal_address)
    async with witness(everybody, temporal) as saw:
        assert await saw.violations() == ()
        second = await everybody.stripe.v1.transfers.create_async(
            {
                "amount": 100,
                "currency": first.currency,
                "destination": str(first.destination),
                "transfer_group": f"booking_{booking['id']}",
            }
        )
        seen = await saw.violations()
    assert f"booking {booking['id']}: 2 transfers stand at Stripe" in seen
    assert f"Stripe has -100 of transfer {second.id}, the ledger 0" in seen
