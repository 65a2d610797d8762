"""A 500 that Stripe keeps under a key: proved to hide nothing before another key is used (FAULTS S1)."""

from datetime import timedelta
from itertools import cycle
from uuid import UUID

import pytest
from sqlalchemy import update

from activities.errors import Failure, StripeFailure
from activities.operations import ABSENCE
from models.records import StripeOperation
from models.states import OperationState
from tests.activities.desk import Desk, do, now
from tests.activities.later_steps import LATER_STEPS
from tests.activities.money_steps import MONEY_STEPS, PAY_OUT, MoneyStep

pytestmark = pytest.mark.fault("S1")


A_TIME_APART = timedelta(minutes=10)


async def pass_by(desk: Desk, booking_id: UUID, duration: timedelta) -> None:
    """What was noted is older by so much."""
    noted = update(StripeOperation).where(StripeOperation.booking_id == booking_id)
    older = noted.values(absent_since=StripeOperation.absent_since - duration)
    await desk.database.run(lambda session: session.execute(older))


async def store_a_500(desk: Desk, step: MoneyStep, booking_id: UUID, *, acted: bool) -> None:
    match = {"key": f"booking:{booking_id}:{step.kind}:*"}
    await desk.control.fault("cached_500", step.path, match=match, acted=acted)


# A refusal leaves nothing that could be looked up: it is asked for again under a second key.
FOUND = [step for step in MONEY_STEPS + LATER_STEPS if step.leaves is OperationState.SUCCEEDED]


@pytest.mark.parametrize("step", FOUND, ids=lambda step: step.name)
async def test_a_stored_500_behind_which_stripe_acted_is_looked_up(desk: Desk, step: MoneyStep) -> None:
    booking_id = await step.prepare(desk)
    await store_a_500(desk, step, booking_id, acted=True)
    with pytest.raises(StripeFailure) as broken:
        await step.act(desk.activities(), booking_id)
    assert broken.value.failure is Failure.STRIPE_INDETERMINATE
    await step.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == step.ends
    assert len(await desk.operations(booking_id, step.kind)) == 1


@pytest.mark.fault("C1")
async def test_a_stored_500_needs_two_empty_look_ups_a_minute_apart_before_a_new_key(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await store_a_500(desk, PAY_OUT, booking_id, acted=False)
    # Workers whose clocks are far apart take turns: the minute is Postgres's.
    clocks = cycle((now() - A_TIME_APART, now() + A_TIME_APART))

    async def pay_out() -> None:
        at = next(clocks)
        _, payouts = desk.with_parts(now=lambda: at)
        await payouts.pay_out(do(booking_id))

    async def refused() -> bool:
        with pytest.raises(StripeFailure) as broken:
            await pay_out()
        assert broken.value.failure is Failure.STRIPE_INDETERMINATE
        return broken.value.replayed

    assert not await refused()  # the 500 itself, which may yet have been a passing one
    assert await refused()  # it comes again: from now on it is known to be stored
    assert await refused()  # the first look-up that counts found nothing
    assert await refused()
    await pass_by(desk, booking_id, ABSENCE - timedelta(seconds=30))
    assert await refused()
    assert [attempt.state for attempt in await desk.operations(booking_id, "transfer")] == [
        OperationState.UNKNOWN
    ]
    await pass_by(desk, booking_id, timedelta(seconds=30))
    await pay_out()
    assert await desk.picture(booking_id) == PAY_OUT.ends
    attempts = await desk.operations(booking_id, "transfer")
    assert [attempt.state for attempt in attempts] == [OperationState.FAILED, OperationState.SUCCEEDED]
    assert attempts[0].request == attempts[1].request
    assert attempts[0].key != attempts[1].key


@pytest.mark.parametrize("step", MONEY_STEPS + LATER_STEPS, ids=lambda step: step.name)
async def test_after_a_stored_500_every_step_comes_to_its_end_under_a_second_key(
    desk: Desk, step: MoneyStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await step.prepare(desk)
    await store_a_500(desk, step, booking_id, acted=False)
    monkeypatch.setattr("activities.operations.ABSENCE", timedelta(0))
    for _ in range(3):
        with pytest.raises(StripeFailure):
            await step.act(desk.activities(), booking_id)
    await step.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == step.ends
    assert len(await desk.operations(booking_id, step.kind)) == 2


async def test_a_server_error_that_is_not_stored_never_leads_to_a_new_key(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    monkeypatch.setattr("activities.operations.ABSENCE", timedelta(0))
    await desk.control.fault("fail_before", PAY_OUT.path, times=5)
    for _ in range(5):
        with pytest.raises(StripeFailure):
            await PAY_OUT.act(desk.activities(), booking_id)
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends
    assert len(await desk.operations(booking_id, "transfer")) == 1
