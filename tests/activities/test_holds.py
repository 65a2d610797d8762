"""The hold: contested by the client, extended and released by ops, and decided about, with who and why."""

import asyncio
from datetime import timedelta

import pytest

from models.states import PayoutStatus, Role
from models.transitions import IllegalMove
from tests.activities.afterwards import (
    audit_of,
    audited,
    decided,
    disputed,
    earned,
    holding,
    judging,
    mirrored,
    objecting,
    ordered,
    paid_out,
    payout_of,
)
from tests.activities.desk import CLIENT, OPS, Desk, do
from tests.activities.money_steps import PRICE, SHARE
from workflows.orders import HoldAction

AN_HOUR = timedelta(hours=1)


async def test_an_objection_freezes_what_was_left_of_the_hold_and_ops_let_it_run_on(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    due_at = (await payout_of(desk, booking_id)).due_at
    holds = desk.activities().holds
    for _ in range(2):
        state = await holds.contest(objecting(booking_id, CLIENT, due_at - AN_HOUR))
        assert (state.payout_status, state.objected) == (PayoutStatus.FROZEN, True)
    assert (await payout_of(desk, booking_id)).frozen_seconds == 3600
    later = due_at + timedelta(days=3)
    for _ in range(2):
        state = await holds.judge(judging(booking_id, OPS, later))
        assert (state.payout_status, state.objected) == (PayoutStatus.HELD, False)
    assert state.payout_due_at == later + AN_HOUR
    frozen, *decisions = (await audit_of(desk, booking_id, "payout"))[1:]
    assert (frozen.actor_role, frozen.actor_id, frozen.to_status) == (Role.CLIENT, CLIENT.id, "FROZEN")
    assert {(one.actor_role, one.actor_id, one.reason) for one in decisions} == {(Role.OPS, OPS.id, "fair")}


async def test_a_part_that_ops_give_back_shrinks_what_runs_on(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    holds = desk.activities().holds
    at = (await payout_of(desk, booking_id)).due_at - AN_HOUR
    await holds.contest(objecting(booking_id, CLIENT, at))
    changed = await ordered(desk, booking_id, PRICE // 2)
    assert (changed.booking.payout_status, changed.booking.payout_amount) == (PayoutStatus.FROZEN, SHARE // 2)
    state = await holds.judge(judging(booking_id, OPS, at, PRICE // 2))
    assert (state.payout_status, state.payout_amount) == (PayoutStatus.HELD, SHARE // 2)
    await audited(desk, booking_id)


async def test_giving_everything_back_ends_the_objection_and_the_payout(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    holds = desk.activities().holds
    at = (await payout_of(desk, booking_id)).due_at - AN_HOUR
    await holds.contest(objecting(booking_id, CLIENT, at))
    await ordered(desk, booking_id)
    state = await holds.judge(judging(booking_id, OPS, at, PRICE))
    assert (state.payout_status, state.objected) == (PayoutStatus.CANCELLED, False)
    await audited(desk, booking_id)


@pytest.mark.parametrize("first", ["bank", "ops"])
async def test_a_payout_that_bank_and_client_contest_waits_for_both(desk: Desk, first: str) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    at = (await payout_of(desk, booking_id)).due_at - AN_HOUR
    dispute = await disputed(desk, booking_id)
    await mirrored(desk, booking_id, at)
    state = await desk.activities().holds.contest(objecting(booking_id, CLIENT, at))
    assert (state.disputed, state.objected, state.payout_status) == (True, True, PayoutStatus.FROZEN)

    async def bank() -> PayoutStatus | None:
        await decided(desk, dispute, "won")
        return (await mirrored(desk, booking_id, at)).payout_status

    async def ops() -> PayoutStatus | None:
        return (await desk.activities().holds.judge(judging(booking_id, OPS, at))).payout_status

    one, other = (bank, ops) if first == "bank" else (ops, bank)
    assert await one() is PayoutStatus.FROZEN
    assert await other() is PayoutStatus.HELD
    assert (await payout_of(desk, booking_id)).amount == SHARE


async def test_what_was_transferred_cannot_be_contested(desk: Desk) -> None:
    booking_id = await paid_out(desk, await desk.shop(amount=PRICE))
    state = await desk.activities().holds.contest(objecting(booking_id, CLIENT))
    assert (state.payout_status, state.objected) == (PayoutStatus.PAID, False)


async def test_ops_extend_a_hold_and_never_shorten_it(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    due_at = (await payout_of(desk, booking_id)).due_at
    holds, at = desk.activities().holds, due_at - AN_HOUR
    for until in (due_at + AN_HOUR, due_at, due_at + AN_HOUR):
        state = await holds.change_hold(holding(booking_id, HoldAction.EXTEND, OPS, at, until))
        assert state.payout_due_at == due_at + AN_HOUR
    noted = (await audit_of(desk, booking_id, "payout"))[1:]
    assert [(one.actor_id, one.reason, one.to_status) for one in noted] == [(OPS.id, "because", "HELD")]
    await audited(desk, booking_id)


async def test_ops_extend_what_is_left_of_a_frozen_hold(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    at = (await payout_of(desk, booking_id)).due_at - AN_HOUR
    holds = desk.activities().holds
    await holds.contest(objecting(booking_id, CLIENT, at))
    await holds.change_hold(holding(booking_id, HoldAction.EXTEND, OPS, at, at + 2 * AN_HOUR))
    assert (await payout_of(desk, booking_id)).frozen_seconds == 7200


async def test_ops_release_a_hold_once(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    at = (await payout_of(desk, booking_id)).due_at - AN_HOUR
    for _ in range(2):
        state = await desk.activities().holds.change_hold(holding(booking_id, HoldAction.RELEASE, OPS, at))
        assert (state.payout_status, state.payout_due_at) == (PayoutStatus.HELD, at)
    assert len(await audit_of(desk, booking_id, "payout")) == 2
    await audited(desk, booking_id)


@pytest.mark.parametrize("by", ["client", "bank"])
async def test_a_contested_hold_is_not_released(desk: Desk, by: str) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    at = (await payout_of(desk, booking_id)).due_at - AN_HOUR
    holds = desk.activities().holds
    if by == "client":
        await holds.contest(objecting(booking_id, CLIENT, at))
    else:
        await disputed(desk, booking_id)
        await mirrored(desk, booking_id, at)
    with pytest.raises(IllegalMove):
        await holds.change_hold(holding(booking_id, HoldAction.RELEASE, OPS, at))
    assert (await payout_of(desk, booking_id)).status is PayoutStatus.FROZEN


async def test_an_objection_and_a_transfer_at_once_end_as_one_of_the_two(desk: Desk) -> None:
    booking_id = await earned(desk, await desk.shop(amount=PRICE))
    await asyncio.gather(
        desk.activities().payouts.pay_out(do(booking_id)),
        desk.activities().holds.contest(objecting(booking_id, CLIENT)),
    )
    payout, picture = await payout_of(desk, booking_id), await desk.picture(booking_id)
    if payout.objected_at is None:
        assert (picture.payout, picture.transfers) == ("PAID", (SHARE,))
    else:
        assert (picture.payout, picture.transfers) == ("FROZEN", ())
    await audited(desk, booking_id)
