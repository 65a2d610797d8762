"""Money that moves after the booking's end: refunds, disputes months later, late failures of the bank."""

from datetime import timedelta
from typing import Any

import pytest

from models.states import PaymentStatus, PayoutStatus
from tests.workflows.saga import PlayedAftercare, Sagas, refusal
from tests.workflows.talk import OPS
from tests.workflows.world import World
from workflows.orders import RefundOrder
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION

MONTHS = timedelta(days=100)


async def over(sagas: Sagas, **policy: Any) -> World:
    """A booking that is completed and paid out, its workflow long closed."""
    world = await sagas.world(**policy)
    world.outside.arrives = "paid"
    saga = await sagas.begin(world)
    await saga.paid_out()
    await saga.passes(MONTHS)
    return world


async def quiet_end(care: PlayedAftercare) -> None:
    """Nobody is owed anything any more."""
    left = await care.ends()
    books = care.world.books
    assert (books.held, books.due) == (0, 0)
    booking = care.world.booking
    assert (left.payment_status, left.payout_status) == (booking.payment_status, booking.payout_status)
    assert await care.attribute(NEEDS_ATTENTION) is False
    assert not booking.attention


async def lost_dispute(sagas: Sagas, **policy: Any) -> World:
    """Months later, disputed and lost, and taken back from the provider."""
    world = await over(sagas, **policy)
    world.outside.dispute_opens()
    await quiet_end(await sagas.aftercare(world))
    return world


async def by_hand(sagas: Sagas) -> PlayedAftercare:
    """Somebody reversed a part of the transfer in the dashboard."""
    world = await over(sagas)
    world.outside.reversed = 2000
    care = await sagas.aftercare(world)
    await world.reached("attention rebalance")
    return care


async def test_a_refund_after_the_payout_is_taken_back_from_the_transfer(sagas: Sagas) -> None:
    world = await over(sagas)
    gate = world.stops_in("mirror")
    care = await sagas.aftercare(world)
    asked = await care.asks("refund", RefundOrder(actor=OPS, request_id="r", amount=3000))
    gate.opened.set()
    assert (await asked.result()).status == "COMPLETED"
    await quiet_end(care)
    assert (world.refunded, world.books.reversed, world.books.raised) == (3000, 2400, 0)
    assert world.booking.payout_status is PayoutStatus.PARTIALLY_REVERSED
    assert world.steps("refund", "rebalance") == ["refund", "rebalance"]


async def test_what_the_provider_s_account_cannot_bear_becomes_its_debt(sagas: Sagas) -> None:
    world = await over(sagas)
    world.outside.available = 1000
    world.outside.refunded = 12_000
    await quiet_end(await sagas.aftercare(world))
    assert (world.books.reversed, world.books.raised) == (1000, 8600)
    assert world.booking.payment_status is PaymentStatus.REFUNDED


@pytest.mark.fault("W1")
async def test_a_refund_in_the_dashboard_is_found_by_its_fact(sagas: Sagas) -> None:
    world = await over(sagas)
    world.outside.refunded = 1000
    care = await sagas.aftercare(world)
    await quiet_end(care)
    assert world.steps("mirror", "rebalance") == ["mirror", "rebalance"]


async def test_disputed_months_later_the_share_comes_back(sagas: Sagas) -> None:
    world = await lost_dispute(sagas)
    assert world.booking.payout_status is PayoutStatus.REVERSED
    assert (world.books.reversed, world.books.raised) == (9600, 0)


async def test_lost_in_the_end_nothing_more_happens(sagas: Sagas) -> None:
    world = await lost_dispute(sagas)
    world.outside.dispute_ends(lost=12_000)
    await quiet_end(await sagas.aftercare(world))
    assert (world.books.reversed, world.transferred) == (9600, [9600])


@pytest.mark.parametrize("schedule", ["automatic", "manual"])
async def test_won_in_the_end_the_provider_gets_its_share_again(sagas: Sagas, schedule: str) -> None:
    world = await lost_dispute(sagas, payout_schedule=schedule)
    world.outside.dispute_ends()
    world.outside.bank = ""
    await quiet_end(await sagas.aftercare(world))
    assert (world.booking.payout_status, world.transferred) == (PayoutStatus.PAID, [9600, 9600])
    assert world.bank_attempts == (2 if schedule == "manual" else 0)


async def test_won_in_the_end_a_debt_is_forgiven_first(sagas: Sagas) -> None:
    world = await over(sagas)
    world.outside.available = 1000
    world.outside.dispute_opens()
    await quiet_end(await sagas.aftercare(world))
    assert world.books.raised == 8600
    world.outside.dispute_ends()
    await quiet_end(await sagas.aftercare(world))
    assert (world.books.raised, world.transferred) == (0, [9600, 1000])


async def test_a_payout_that_the_bank_returns_late_is_sent_again(sagas: Sagas) -> None:
    world = await over(sagas, payout_schedule="manual")
    assert world.bank_attempts == 1
    world.outside.bank = "failed"
    await quiet_end(await sagas.aftercare(world))
    assert (world.bank_attempts, world.booking.payout_status) == (2, PayoutStatus.PAID)


async def test_several_facts_at_once_are_seen_to_one_after_the_other(sagas: Sagas) -> None:
    world = await over(sagas)
    gate = world.stops_in("mirror")
    world.outside.refunded = 1000
    care = await sagas.aftercare(world)
    await gate.entered.wait()
    for event in range(10):
        await care.money_moves(f"evt_{event}")
    await care.asks("refund", RefundOrder(actor=OPS, request_id="r", amount=500))
    gate.opened.set()
    await quiet_end(care)
    assert (world.refunded, world.books.reversed) == (1500, 1200)
    assert world.steps().count("mirror") == 2


async def test_with_nothing_to_do_it_ends_and_the_next_fact_starts_it_again(sagas: Sagas) -> None:
    world = await over(sagas)
    await quiet_end(await sagas.aftercare(world))
    await quiet_end(await sagas.aftercare(world))
    assert world.steps("mirror", "rebalance") == ["mirror"] * 2


async def test_what_was_taken_by_hand_is_paid_again_only_when_ops_say_so(sagas: Sagas) -> None:
    care = await by_hand(sagas)
    assert await care.attribute(ATTENTION_STEP) == "rebalance"
    assert "UnexpectedState" in await care.details()
    assert "abort, retry" in await care.details()
    await care.days_pass(2)
    assert care.world.transferred == [9600]
    await care.resolve(Step.REBALANCE, Action.RETRY)
    await quiet_end(care)
    assert care.world.transferred == [9600, 2000]
    tries = [call.message.model_dump()["insist"] for call in care.world.calls if call.step == "rebalance"]
    assert set(map(str, tries[:-1])) == {"None"}
    assert tries[-1] == OPS.model_dump()


async def test_ops_may_leave_it_with_the_platform(sagas: Sagas) -> None:
    care = await by_hand(sagas)
    await care.resolve(Step.REBALANCE, Action.ABORT)
    await care.ends()
    waived = care.world.call("rebalance").message.model_dump()
    assert waived["waive"] == OPS.model_dump()
    assert (care.world.waived, care.world.transferred) == (True, [9600])


async def test_it_refuses_what_the_money_does_not_allow(sagas: Sagas) -> None:
    world = await over(sagas)
    world.outside.dispute_opens()
    world.fails("rebalance")
    care = await sagas.aftercare(world)
    await world.reached("attention rebalance")
    assert await refusal(care.refund(1000)) == "dispute_open"
    assert await refusal(care.resolve(Step.REFUND, Action.RETRY)) == "invalid_state"
    await care.retry()
    await quiet_end(care)


@pytest.mark.fault("R2")
async def test_cancelled_in_temporal_it_sees_to_the_money_all_the_same(sagas: Sagas) -> None:
    world = await over(sagas)
    world.outside.refunded = 1000
    gate = world.stops_in("mirror")
    care = await sagas.aftercare(world)
    await gate.entered.wait()
    await care.handle.cancel()
    gate.opened.set()
    await care.ends()
    assert world.books.reversed == 800


@pytest.mark.fault("R1")
async def test_started_again_after_a_mistake_it_carries_on(sagas: Sagas) -> None:
    world = await over(sagas)
    world.outside.refunded = 1000
    world.fails("rebalance")
    care = await sagas.aftercare(world)
    await world.reached("attention rebalance")
    await care.terminated()
    await quiet_end(await sagas.aftercare(world))
    assert world.books.reversed == 800
