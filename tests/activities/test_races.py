"""Two runs of one step, one of them overtaken by the other in the middle (FAULTS K2)."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from activities import bookkeeping
from tests.activities.desk import Desk
from tests.activities.money_steps import REFUND


async def test_a_run_that_slept_through_anothers_refund_does_not_refund_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await REFUND.prepare(desk)
    number_of = bookkeeping.next_refund_id
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> UUID:
        asleep.set()
        await awake.wait()
        return await number_of(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(bookkeeping, "next_refund_id", slow)
        zombie = asyncio.ensure_future(REFUND.act(desk.activities(), booking_id))
        await asleep.wait()
    await REFUND.act(desk.activities(), booking_id)
    awake.set()
    await zombie
    assert await desk.picture(booking_id) == REFUND.ends
