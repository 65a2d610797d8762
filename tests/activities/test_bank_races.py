"""Two runs of one attempt at the bank, one of them late: the share leaves the account once (TRAPS 26, 31)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from activities import bank_payouts, invariants
from activities.operations import Operations
from models.keys import workflow_id_for
from models.payments import BankPayout
from models.states import BankPayoutStatus, PayoutStatus
from tests.activities.afterwards import (
    MANUAL,
    drain,
    ordered,
    paid_out,
    payout_of,
    rebalanced,
    rows_of,
)
from tests.activities.desk import Desk, do, now
from tests.activities.money_steps import PRICE, SHARE

LATER = timedelta(hours=4)


class Pause:
    """Stops the first call of a function until it is let go."""

    def __init__(self, function: Callable[..., Any], only: Callable[..., bool] = lambda *_: True) -> None:
        self._function, self._only = function, only
        self.reached, self.over = asyncio.Event(), asyncio.Event()

    def __get__(self, owner: object, _: type) -> Callable[..., Any]:
        return lambda *arguments, **values: self(owner, *arguments, **values)

    async def __call__(self, *arguments: Any, **values: Any) -> Any:
        if self._only(*arguments) and not self.reached.is_set():
            self.reached.set()
            await self.over.wait()
        return await self._function(*arguments, **values)


async def two_of_one_account(desk: Desk) -> tuple[UUID, UUID]:
    """Both shares are in the account; the bank answers another day."""
    await desk.control.ask("POST", "/settings", payout_delay="P30D")
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    return await paid_out(desk, shop), await paid_out(desk, shop, LATER)


async def refused_once(desk: Desk) -> None:
    await desk.control.fault("fail_before", "/v1/payouts", status=400, code="balance_insufficient")


async def send(desk: Desk, booking_id: UUID) -> PayoutStatus | None:
    return (await desk.activities().payouts.send_to_bank(do(booking_id))).payout_status


async def attempts(desk: Desk, booking_id: UUID) -> list[tuple[BankPayoutStatus, int]]:
    return [(one.status, one.amount) for one in await rows_of(desk, BankPayout, booking_id)]


async def at_stripe(desk: Desk) -> list[int]:
    return [one["amount"] for one in await desk.control.objects("payout")]


async def test_a_refusal_does_not_give_up_what_another_run_has_sent_since(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id, _ = await two_of_one_account(desk)
    pause = Pause(bank_payouts._give_up)
    monkeypatch.setattr(bank_payouts, "_give_up", pause)
    await refused_once(desk)
    late = asyncio.create_task(send(desk, booking_id))
    await pause.reached.wait()
    await send(desk, booking_id)
    pause.over.set()
    await late
    await send(desk, booking_id)
    assert await attempts(desk, booking_id) == [(BankPayoutStatus.PENDING, SHARE)]
    assert await at_stripe(desk) == [SHARE]


async def test_an_attempt_that_was_given_up_meanwhile_is_not_carried_on_with(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id, _ = await two_of_one_account(desk)
    giving_up = Pause(bank_payouts._give_up)
    monkeypatch.setattr(bank_payouts, "_give_up", giving_up)
    await refused_once(desk)
    first = asyncio.create_task(send(desk, booking_id))
    await giving_up.reached.wait()
    going_on = Pause(Operations.perform, lambda _, task, *__: task.write.kind == "bank_payout")
    monkeypatch.setattr(Operations, "perform", going_on)
    second = asyncio.create_task(send(desk, booking_id))
    await going_on.reached.wait()
    giving_up.over.set()
    await first
    going_on.over.set()
    await second
    await send(desk, booking_id)
    failed, made = await attempts(desk, booking_id)
    assert (failed, made) == ((BankPayoutStatus.FAILED, SHARE), (BankPayoutStatus.PENDING, SHARE))
    assert await at_stripe(desk) == [SHARE]


async def test_a_refused_attempt_whose_share_goes_back_leaves_the_account_to_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await two_of_one_account(desk)

    async def dies(*_: Any, **__: Any) -> None:
        raise OSError("the worker is gone")

    await refused_once(desk)
    with monkeypatch.context() as patch:
        patch.setattr(bank_payouts, "_give_up", dies)
        with pytest.raises(OSError, match="the worker is gone"):
            await send(desk, one)
    await ordered(desk, one)
    await rebalanced(desk, one)
    for _ in range(2):
        await send(desk, one)
    assert (await payout_of(desk, one)).status is PayoutStatus.REVERSED
    assert await attempts(desk, one) == [(BankPayoutStatus.FAILED, SHARE)]
    await send(desk, other)
    assert await attempts(desk, other) == [(BankPayoutStatus.PENDING, SHARE)]


async def test_a_transfer_that_waits_for_funds_for_weeks_is_stuck(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=MANUAL)
    booking_id = await paid_out(desk, shop)
    await drain(desk, shop, SHARE)
    assert await send(desk, booking_id) is PayoutStatus.PROCESSING

    async def stuck(days: int) -> list[UUID | None]:
        at = now() + timedelta(days=days)
        busy = [workflow_id_for(booking_id)]
        seen = await desk.database.run(lambda session: invariants.stuck(session, busy, at))
        return [one.booking_id for one in seen if one.booking_id == booking_id]

    assert await stuck(13) == []
    assert await stuck(15) == [booking_id]
