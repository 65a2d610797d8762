"""Somebody did not come: who may say so, what it keeps, and what happens when the other side disagrees."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, Role
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from workflows.contracts import Settle
from workflows.parking import Action, Step
from workflows.search_attributes import ATTENTION_STEP, NEEDS_ATTENTION

SECOND = timedelta(seconds=1)


async def begun(sagas: Sagas, **policy: object) -> PlayedSaga:
    saga = await sagas.start(**policy)
    await saga.begun()
    return saga


async def claimed(sagas: Sagas) -> PlayedSaga:
    """The client says that the provider did not come."""
    saga = await begun(sagas)
    assert (await saga.provider_missed()).status is BookingStatus.CONFIRMED
    return saga


async def contradicted(sagas: Sagas) -> PlayedSaga:
    """And the provider says that it was there."""
    saga = await claimed(sagas)
    assert (await saga.complete(Role.PROVIDER)).status is BookingStatus.CONFIRMED
    await saga.world.reached("attention reports")
    return saga


async def all_back(saga: PlayedSaga, reason: str) -> None:
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, reason)
    assert saga.world.booking.payment_status is PaymentStatus.VOIDED
    assert (saga.world.captured, saga.world.transferred) == (0, [])
    assert await saga.attribute(NEEDS_ATTENTION) is False


@pytest.mark.parametrize("role", [Role.PROVIDER, Role.OPS])
async def test_a_client_who_did_not_come_pays_what_the_policy_keeps(sagas: Sagas, role: Role) -> None:
    saga = await begun(sagas, client_no_show_keep_bps=5000)
    assert (await saga.client_missed(role)).status is BookingStatus.NO_SHOW
    assert (saga.world.captured, saga.world.booking.payout_status) == (6000, PayoutStatus.HELD)
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.NO_SHOW, "client_no_show")
    assert saga.world.transferred == [4800]


async def test_ops_word_about_the_provider_gives_everything_back_at_once(sagas: Sagas) -> None:
    saga = await begun(sagas)
    assert (await saga.provider_missed(Role.OPS)).status is BookingStatus.CANCELLED
    await all_back(saga, "provider_no_show")


async def test_a_client_s_word_stands_until_the_grace_ends_and_then_gives_everything_back(
    sagas: Sagas,
) -> None:
    saga = await claimed(sagas)
    due = saga.world.booking.completion_due_at
    await saga.passes_until(due - SECOND)
    assert saga.world.steps("settle", "report") == ["report"]
    await all_back(saga, "provider_no_show")
    settled = saga.world.call("settle").message
    assert isinstance(settled, Settle)
    assert (settled.outcome.kind, settled.outcome.actor.role) == ("provider_no_show", Role.CLIENT)
    assert timedelta(0) <= settled.outcome.at - due < SECOND


async def test_a_provider_who_cancels_agrees_with_the_claim(sagas: Sagas) -> None:
    saga = await claimed(sagas)
    assert (await saga.cancel(Role.PROVIDER)).status is BookingStatus.CANCELLED
    await all_back(saga, "cancelled_by_provider")


@pytest.mark.parametrize("also_contradicted", [False, True])
async def test_a_client_takes_the_claim_back_by_completing(sagas: Sagas, *, also_contradicted: bool) -> None:
    saga = await (contradicted(sagas) if also_contradicted else claimed(sagas))
    assert (await saga.complete(Role.CLIENT)).status is BookingStatus.COMPLETED
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.transferred == [9600]
    assert await saga.attribute(NEEDS_ATTENTION) is False


async def test_who_contradict_each_other_wait_for_ops_however_long_it_takes(sagas: Sagas) -> None:
    saga = await contradicted(sagas)
    assert await saga.attribute(ATTENTION_STEP) == "reports"
    await saga.days_pass(5)
    assert "settle" not in saga.world.steps()
    assert saga.world.steps("report") == ["report"] * 2
    details = await saga.details()
    assert "contradict" in details
    assert "refund, release" in details
    assert "`amount` in minor units" in details
    assert "waiting for ops to decide between two reports" in details
    await saga.resolve(Step.REPORTS, Action.RELEASE)
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.COMPLETED, "decided_by_ops")
    assert saga.world.transferred == [9600]
    assert await saga.attribute(NEEDS_ATTENTION) is False


async def test_ops_may_side_with_the_client(sagas: Sagas) -> None:
    saga = await contradicted(sagas)
    await saga.resolve(Step.REPORTS, Action.REFUND)
    await all_back(saga, "decided_by_ops")


async def test_ops_may_give_back_a_part(sagas: Sagas) -> None:
    saga = await contradicted(sagas)
    await saga.resolve(Step.REPORTS, Action.REFUND, amount=4000)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert (saga.world.captured, saga.world.transferred) == (8000, [6400])


async def test_a_provider_may_say_that_the_client_was_the_one_who_did_not_come(sagas: Sagas) -> None:
    saga = await claimed(sagas)
    await saga.client_missed()
    await saga.world.reached("attention reports")
    await saga.resolve(Step.REPORTS, Action.RELEASE)
    ended = await saga.ends()
    assert (ended.status, saga.world.transferred) == (BookingStatus.NO_SHOW, [9600])


@pytest.mark.fault("R1")
async def test_a_contradiction_survives_its_run(sagas: Sagas) -> None:
    saga = await contradicted(sagas)
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await saga.world.reached("attention reports", times=2)
    await again.resolve(Step.REPORTS, Action.REFUND)
    await all_back(again, "decided_by_ops")


@pytest.mark.fault("R1")
async def test_a_claim_survives_its_run(sagas: Sagas) -> None:
    saga = await claimed(sagas)
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await all_back(again, "provider_no_show")


async def test_a_booking_whose_authorization_ends_meanwhile_asks_nobody_any_more(sagas: Sagas) -> None:
    saga = await contradicted(sagas)
    saga.world.intent = "expired"
    await saga.stripe_says("evt_canceled")
    assert (await saga.ends()).reason == "authorization_expired"
    assert await saga.attribute(NEEDS_ATTENTION) is False
    assert not saga.world.booking.attention


async def test_what_was_captured_early_is_decided_about_all_the_same(sagas: Sagas) -> None:
    world = await sagas.world()
    world.authorized_for = timedelta(days=4)
    saga = await sagas.begin(world)
    await saga.begun()
    await saga.provider_missed()
    await saga.complete(Role.PROVIDER)
    await world.reached("attention reports")
    assert world.booking.renew_at is not None
    await saga.passes_until(world.booking.renew_at)
    await world.reached("renew_authorization")
    assert await saga.attribute(ATTENTION_STEP) == "reports"
    await saga.resolve(Step.REPORTS, Action.REFUND)
    assert (await saga.ends()).status is BookingStatus.CANCELLED
    assert (world.captured, world.refunded) == (12_000, 12_000)


async def test_nobody_reports_before_the_start_and_nobody_about_themselves(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    assert await refusal(saga.client_missed()) == "invalid_state"
    assert await refusal(saga.provider_missed()) == "invalid_state"
    await saga.passes_until(saga.world.starts_at)
    assert await refusal(saga.client_missed(Role.CLIENT)) == "forbidden"
    assert await refusal(saga.provider_missed(Role.PROVIDER)) == "forbidden"
    assert saga.world.steps("report", "settle") == []
    await saga.complete()
    await saga.ends()


async def test_a_client_who_hears_of_a_completion_contests_it_by_reporting(sagas: Sagas) -> None:
    saga = await begun(sagas)
    await saga.complete(Role.PROVIDER)
    assert (await saga.provider_missed()).status is BookingStatus.COMPLETED
    assert saga.world.booking.payout_status is PayoutStatus.FROZEN
    await saga.resolve(Step.OBJECTION, Action.REFUND)
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert (saga.world.books.kept, saga.world.transferred) == (0, [])


async def test_a_report_that_was_left_behind_contests_too(sagas: Sagas) -> None:
    saga = await begun(sagas)
    await saga.complete(Role.PROVIDER)
    await saga.leaves_a_wish(ReportedOutcome.PROVIDER_NO_SHOW)
    await saga.world.reached("contest")
    await saga.world.reached("attention objection")
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    await saga.ends()
    assert saga.world.transferred == [9600]
