"""Yesterday's bookings go on with the next `make up` on the same directory."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.asking import Json
from sandbox.demo import figures
from sandbox.demo.audit import findings
from sandbox.demo.stage import Pace, Stage
from tests.e2e.stacks import Stack, running

pytestmark = [pytest.mark.e2e, pytest.mark.fault("K3"), pytest.mark.timeout(120)]

PACE = Pace(payment_window=timedelta(minutes=2), payout_hold=timedelta(seconds=4))


def stage_of(stack: Stack) -> Stage:
    return Stage(stack.outside, stack.outside.client, PACE, lambda _: None)


async def held(stage: Stage) -> Json:
    booking = await stage.book()
    await stage.pay(booking)
    await stage.complete(booking)
    return await stage.client.see(booking["id"])


async def unsaid(stage: Stage) -> Json:
    """Paid, and its session with its grace ends while no stack runs, or soon after."""
    booking = await stage.book(timedelta(seconds=-55))
    await stage.pay(booking)
    return await stage.client.see(booking["id"])


async def unpaid(stage: Stage) -> Json:
    return await stage.book(timedelta(days=1), payment_window=timedelta(seconds=2))


async def test_the_next_stack_carries_on_with_the_bookings_of_the_last(run_dir: Path) -> None:
    async with running(run_dir) as stack:
        # A stage has one provider, whose time is sold once.
        first, second, third, fourth = (stage_of(stack) for _ in range(4))
        waiting, holding, silent, forgotten = await asyncio.gather(
            first.book(), held(second), unsaid(third), unpaid(fourth)
        )
    assert (waiting["status"], waiting["payment"]["status"]) == ("PENDING", "PENDING")
    assert (holding["status"], holding["payout"]["status"]) == ("COMPLETED", "HELD")
    assert (silent["status"], silent["payment"]["status"]) == ("CONFIRMED", "AUTHORIZED")
    assert forgotten["status"] == "PENDING"

    async with running(run_dir) as stack:
        stage = stage_of(stack)
        await stage.pay(waiting)
        await stage.complete(waiting)
        bookings = [waiting, holding, silent, forgotten]
        ended = [await stage.ended(booking, "its end") for booking in bookings]
        states = [(it["status"], it["payout"] and it["payout"]["status"]) for it in ended]
        assert states == [("COMPLETED", "PAID")] * 3 + [("CANCELLED", None)]
        found = await figures.gather(stack.outside, ended)
        assert [findings(each) for each in found] == [[]] * len(ended)
        for booking in ended:
            execution = await stack.closed(booking["workflow_id"])
            assert execution["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED"
