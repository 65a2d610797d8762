"""Two runs of one step, one of them overtaken by the other in the middle (FAULTS K2, P2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from activities import bookkeeping, refunding
from activities.errors import Failure, StepError
from tests.activities.desk import Desk, abandoned
from tests.activities.later_steps import REVERSE
from tests.activities.money_steps import CAPTURE, GIVE_BACK_REFUND, HALF, REFUND, VOID, MoneyStep
from tests.sandbox.stripe.conftest import until


class Nap:
    """Puts the first caller of a function to sleep before it does anything."""

    def __init__(self, patch: pytest.MonkeyPatch, function: str, module: ModuleType = bookkeeping) -> None:
        self._function: Callable[..., Any] = getattr(module, function)
        self._asleep, self._awake = asyncio.Event(), asyncio.Event()
        patch.setattr(module, function, self._slow)

    async def _slow(self, *arguments: Any, **values: Any) -> Any:
        if not self._asleep.is_set():
            self._asleep.set()
            await self._awake.wait()
        return await self._function(*arguments, **values)

    @asynccontextmanager
    async def taken_by(self, run: Any) -> AsyncIterator[None]:
        """While the block runs, `run` sleeps; then it goes on to its end."""
        sleeper = asyncio.ensure_future(run)
        await self._asleep.wait()
        yield
        self._awake.set()
        await sleeper


@pytest.mark.fault("K2")
async def test_a_run_that_slept_through_anothers_refund_does_not_refund_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await REFUND.prepare(desk)
    nap = Nap(monkeypatch, "next_refund_id", refunding)
    async with nap.taken_by(REFUND.act(desk.activities(), booking_id)):
        await REFUND.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == REFUND.ends


@pytest.mark.fault("K2")
async def test_a_settlement_that_slept_through_an_abort_changes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await REFUND.prepare(desk)
    nap = Nap(monkeypatch, "next_refund_id", refunding)  # it has decided to keep half
    async with nap.taken_by(REFUND.act(desk.activities(), booking_id)):
        await desk.activities().payments.give_back(abandoned(booking_id))
        await desk.activities().bookings.release(abandoned(booking_id))
    assert await desk.picture(booking_id) == replace(GIVE_BACK_REFUND.ends, booking="CANCELLED")


@pytest.mark.fault("K2")
async def test_a_settlement_that_slept_while_its_decision_was_changed_ends_by_the_new_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await REFUND.prepare(desk)
    nap = Nap(monkeypatch, "next_refund_id", refunding)
    async with nap.taken_by(REFUND.act(desk.activities(), booking_id)):
        await desk.activities().payments.give_back(abandoned(booking_id))
    assert await desk.picture(booking_id) == replace(GIVE_BACK_REFUND.ends, booking="CANCELLED")


@pytest.mark.fault("K2")
async def test_a_refund_that_is_recorded_after_its_decision_was_changed_ends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await REFUND.prepare(desk)
    nap = Nap(monkeypatch, "refunded", refunding)  # half has gone back, and is about to be written down
    settling = asyncio.ensure_future(REFUND.act(desk.activities(), booking_id))
    async with nap.taken_by(asyncio.wait([settling])):
        abort = asyncio.ensure_future(desk.activities().payments.give_back(abandoned(booking_id)))
        await until(desk.somebody_waits)
    await abort
    error = settling.exception()
    assert isinstance(error, StepError)
    assert error.failure is Failure.MONEY_NOT_SETTLED
    journals = {**GIVE_BACK_REFUND.ends.journals, "refund": 2}
    ends = replace(GIVE_BACK_REFUND.ends, booking="CONFIRMED", refunds=(HALF, HALF), journals=journals)
    assert await desk.picture(booking_id) == ends


@pytest.mark.fault("P2")
@pytest.mark.parametrize("step", [CAPTURE, VOID, REFUND], ids=lambda step: step.name)
async def test_runs_that_meet_in_the_database_wait_in_line_and_never_deadlock(
    desk: Desk, step: MoneyStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.database.RETRIED", frozenset())  # a deadlock would surface
    booking_id = await step.prepare(desk)
    nap = Nap(monkeypatch, "move")  # the first run holds the payment

    async with nap.taken_by(step.act(desk.activities(), booking_id)):
        second = asyncio.ensure_future(step.act(desk.activities(), booking_id))
        await until(desk.somebody_waits)
    await second
    assert await desk.picture(booking_id) == step.ends


@pytest.mark.fault("K2")
@pytest.mark.parametrize("go", range(10))
async def test_runs_that_draft_the_next_reversal_at_once_send_one(desk: Desk, go: int) -> None:
    """One in four went wrong when its number was read in two statements."""
    del go
    booking_id = await REVERSE.prepare(desk)
    runs = (REVERSE.act(desk.activities(), booking_id) for _ in range(5))
    await asyncio.gather(*runs, return_exceptions=True)
    await REVERSE.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == REVERSE.ends
