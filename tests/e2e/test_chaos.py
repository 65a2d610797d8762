"""Everything that can break breaks at once, drawn from a seed, while bookings are under way; then the verdict.

This is a short run. `make chaos` is the long one, and what a failure prints plays the same plan again.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.demo.stage import CURRENCY
from tests.chaos.plan import draw
from tests.chaos.report import as_json
from tests.chaos.run import play
from tests.chaos.witness import Witness
from tests.e2e.stacks import MEMORABLE

BOOKINGS = 20
MINUTES = 0.5
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 10**6))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]


@pytest.mark.fault("X1")
async def test_nothing_is_lost_and_nothing_paid_twice_whatever_breaks(
    run_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    plan = draw(SEED, BOOKINGS, MINUTES)
    print(f"to play this again: {plan.replay}")  # noqa: T201 - pytest shows it
    outcome = await play(plan, run_dir, print, then=a_second_transfer_would_be_seen)
    record_property("seed", plan.seed)
    record_property("injected", sum(outcome.evidence.injected.values()))
    print(as_json(outcome))  # noqa: T201 - pytest shows it
    if outcome.wrong:
        print(run_dir.with_name(f"{run_dir.name}.log").read_text()[-MEMORABLE:])  # noqa: T201 - same
    assert outcome.wrong == [], plan.replay


async def a_second_transfer_would_be_seen(saw: Witness) -> None:
    """Without this, a verdict that looks away would pass as well: the worst is done behind the product's back."""
    paid = next(row.id for row in await saw.rows() if row.payout == "PAID")
    booking = await saw.everybody.ops.see(paid)
    transfers = saw.everybody.stripe.v1.transfers
    first = await transfers.retrieve_async(booking["payout"]["transfer_id"])
    assert saw.everybody.control is not None
    await saw.everybody.control.post("/balance", amount=10_000_000, currency=CURRENCY)
    second = await transfers.create_async(
        {
            "amount": 100,
            "currency": CURRENCY,
            "destination": str(first.destination),
            "transfer_group": f"booking_{paid}",
        }
    )
    seen = await saw.violations()
    assert f"booking {paid}: 2 transfers stand at Stripe" in seen
    assert f"Stripe has -100 of transfer {second.id}, the ledger 0" in seen
