"""Payments that no live booking knows: a second chance for a slot that is free, else back, once (DESIGN 9)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import StepError, StripeFailure
from activities.settlements import HAS_IT, SettlementActivities
from models.bookings import BookingRequest, Session
from models.keys import APP, stray_id_for
from models.ledger import LedgerEntry, Side
from models.payments import Payment
from models.states import OperationState
from tests.activities.desk import Desk, abandoned, do, now, number
from tests.activities.tampering import change_booking, change_operation, payment_of
from tests.support.shop import Shop
from workflows.contracts import Abandon, Reserve
from workflows.followups import Settlement, SettleStray, Stray, StrayVerdict

MANUAL = "manual"


def settlements(desk: Desk) -> SettlementActivities:
    return desk.activities().settlements


async def judge(desk: Desk, intent_id: str) -> StrayVerdict:
    return await settlements(desk).judge_stray(Stray(payment_intent_id=intent_id))


async def give_back(desk: Desk, intent_id: str) -> Settlement:
    return await settlements(desk).give_back_stray(SettleStray(payment_intent_id=intent_id, at=now()))


async def stray(
    desk: Desk, *, card: str | None = "pm_card_visa", capture: str = MANUAL, **fields: Any
) -> str:
    """A payment of ours that came from nowhere."""
    params: Any = {
        "amount": 12_000,
        "currency": "eur",
        "capture_method": capture,
        "metadata": {"app": APP},
        "allowed_payment_method_types": ["card"],
    }
    intent = await desk.sdk.v1.payment_intents.create_async(params | fields)
    if card is not None:
        await desk.sdk.v1.payment_intents.confirm_async(intent.id, {"payment_method": card})
    return intent.id


async def status(desk: Desk, intent_id: str) -> str:
    return (await desk.gateway.retrieve_intent(intent_id)).status


async def journals(desk: Desk, booking_id: UUID | None, *object_ids: str) -> dict[str, int]:
    """What journals of each kind moved on the Stripe balance, for a booking or for nobody's objects."""
    query = select(LedgerEntry).where(LedgerEntry.account == "stripe_balance")
    mine = (
        LedgerEntry.booking_id == booking_id
        if booking_id
        else LedgerEntry.booking_id.is_(None) & LedgerEntry.stripe_object_id.in_(object_ids)
    )
    moved: Counter[str] = Counter()

    async def work(session: AsyncSession) -> None:
        for line in await session.scalars(query.where(mine)):
            moved[line.kind.value] += line.amount if line.side is Side.DEBIT else -line.amount

    await desk.database.run(work)
    return dict(moved)


async def refunds_of(desk: Desk, intent_id: str) -> list[dict[str, Any]]:
    return [one for one in await desk.control.objects("refund") if one["payment_intent"] == intent_id]


# --- a payment that nobody knows ------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [{"metadata": {}}, {"metadata": {"app": "another-shop"}}],
    ids=["without a mark", "of another app"],
)
async def test_somebody_elses_payment_is_left_alone(desk: Desk, fields: dict[str, Any]) -> None:
    intent = await stray(desk, **fields)
    verdict = await judge(desk, intent)
    assert (verdict.retake, verdict.give_back) == (None, False)
    assert not (await give_back(desk, intent)).given_back
    assert await status(desk, intent) == "requires_capture"


async def test_what_stripe_does_not_know_is_nothing_to_settle(desk: Desk) -> None:
    assert not (await judge(desk, "pi_unknown")).give_back
    assert not (await give_back(desk, "pi_unknown")).given_back


@pytest.mark.parametrize("card", ["pm_card_visa", None], ids=["authorized", "open"])
async def test_an_orphan_that_took_no_money_is_cancelled_and_leaves_no_books(
    desk: Desk, card: str | None
) -> None:
    intent = await stray(desk, card=card)
    assert (await judge(desk, intent)).give_back
    for _ in range(2):
        settled = await give_back(desk, intent)
        assert (settled.given_back, settled.booking_id) == (True, None)
    assert await status(desk, intent) == "canceled"
    assert not (await judge(desk, intent)).give_back


@pytest.mark.parametrize("again", [judge, give_back])
async def test_a_void_whose_answer_was_lost_is_on_record_whoever_looks_next(
    desk: Desk, again: Callable[[Desk, str], Awaitable[object]]
) -> None:
    intent_id = await stray(desk)
    await desk.control.fault("reset_after", f"/v1/payment_intents/{intent_id}/cancel")
    with pytest.raises(StripeFailure):
        await give_back(desk, intent_id)
    await again(desk, intent_id)
    (void,) = await desk.operations(stray_id_for(intent_id), "cancel")
    assert void.state is OperationState.SUCCEEDED


async def test_an_orphan_that_was_paid_is_refunded_once_and_the_ledger_says_so(desk: Desk) -> None:
    intent = await stray(desk, capture="automatic")
    settled = await asyncio.gather(*(give_back(desk, intent) for _ in range(3)), return_exceptions=True)
    done = [one for one in settled if isinstance(one, Settlement)]
    assert done
    assert all(one.given_back for one in done)
    assert (await give_back(desk, intent)).given_back
    (refund,) = await refunds_of(desk, intent)
    assert refund["amount"] == 12_000
    assert await journals(desk, None, refund["charge"], refund["id"]) == {
        "capture": 12_000,
        "refund": -12_000,
    }


async def test_an_orphan_whose_refund_was_sent_before_a_crash_is_not_refunded_again(desk: Desk) -> None:
    intent = await stray(desk, capture="automatic")
    await desk.control.fault("reset_after", "/v1/refunds")
    with pytest.raises(StepError):
        await give_back(desk, intent)
    assert (await give_back(desk, intent)).given_back
    assert len(await refunds_of(desk, intent)) == 1


async def test_a_refund_made_in_the_dashboard_is_mirrored_and_only_the_rest_given_back(desk: Desk) -> None:
    intent = await stray(desk, capture="automatic")
    await desk.sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 5_000})
    assert (await give_back(desk, intent)).given_back
    refunds = await refunds_of(desk, intent)
    assert sorted(one["amount"] for one in refunds) == [5_000, 7_000]
    objects = [one["id"] for one in refunds]
    assert await journals(desk, None, *objects) == {"refund": -12_000}


async def test_a_refund_that_is_on_its_way_is_waited_for(desk: Desk) -> None:
    intent = await stray(desk, capture="automatic", card="pm_card_pendingRefund")
    with pytest.raises(StepError, match="on its way"):
        await give_back(desk, intent)
    (refund,) = await refunds_of(desk, intent)
    await desk.control.ask("POST", f"/refunds/{refund['id']}", status="succeeded")
    assert (await give_back(desk, intent)).given_back


async def test_a_refund_that_came_back_is_made_again_and_both_are_on_the_books(desk: Desk) -> None:
    intent = await stray(desk, capture="automatic")
    await give_back(desk, intent)
    (first,) = await refunds_of(desk, intent)
    await desk.control.ask("POST", f"/refunds/{first['id']}", status="failed")
    assert (await give_back(desk, intent)).given_back
    refunds = {one["id"]: one["status"] for one in await refunds_of(desk, intent)}
    assert sorted(refunds.values()) == ["failed", "succeeded"]
    moved = await journals(desk, None, *refunds)
    assert moved == {"refund": -24_000, "refund_failure": 12_000}


async def test_what_an_operation_is_still_making_is_not_judged(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop())
    intent = await desk.intent_id(booking_id)
    (made,) = await desk.operations(booking_id, "intent")
    await change_operation(desk, made.key, state=OperationState.STARTED)
    with pytest.raises(StepError, match="just being made"):
        await judge(desk, intent)


# --- a payment for a booking that had ended ---------------------------------------------------------


async def late(
    desk: Desk, shop: Shop, *, capture: str = MANUAL, reason: str = "payment_timeout", **fields: Any
) -> tuple[UUID, str]:
    """The window closed and the booking ended; then money came that says it is for it."""
    booking_id = await desk.opened(shop)
    steps = desk.activities()
    await steps.payments.close_payment(do(booking_id))
    ended: Abandon = abandoned(booking_id).model_copy(update={"reason": reason})
    await steps.payments.give_back(ended)
    await steps.bookings.release(ended)
    first = await desk.gateway.retrieve_intent(await desk.intent_id(booking_id))
    given = {"customer": first.customer, "metadata": {"app": APP, "booking_id": str(booking_id)}}
    return booking_id, await stray(desk, capture=capture, **(given | fields))


@pytest.mark.fault("W2")
async def test_late_money_for_a_time_that_is_free_makes_a_booking_of_it(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id, intent = await late(desk, shop)
    verdict = await judge(desk, intent)
    assert verdict.retake is not None
    assert not verdict.give_back
    wanted, before = verdict.retake, await shop.session_of(booking_id)
    assert wanted.booking_id == stray_id_for(intent)
    assert (wanted.client_id, wanted.service_id) == (shop.client_id, shop.service_id)
    assert (wanted.starts_at, wanted.session_id) == (before.starts_at, None)
    assert wanted.payment_intent_id == intent
    assert (await judge(desk, intent)).retake == wanted
    asked = await desk.database.run(lambda session: session.get(BookingRequest, wanted.booking_id))
    assert asked is not None
    assert asked.refusal is None


@pytest.mark.fault("W2")
async def test_a_booking_that_is_made_of_late_money_says_that_it_has_still_to_be_read(desk: Desk) -> None:
    booking_id, intent = await late(desk, await desk.shop())
    wanted = (await judge(desk, intent)).retake
    assert wanted is not None
    steps = desk.activities()
    reserved = await steps.bookings.reserve(Reserve(request=wanted, at=now()))
    assert reserved.booking is not None
    assert (reserved.booking.unread, reserved.booking.payment_status) == (True, "PENDING")
    read = await steps.payments.read_payment(do(wanted.booking_id))
    assert (read.unread, read.payment_status) == (False, "AUTHORIZED")
    opened = await desk.opened(await desk.shop())
    assert not (await steps.payments.read_payment(do(opened))).unread, "its client has still to pay"
    assert not (await steps.payments.read_payment(do(booking_id))).unread


@pytest.mark.fault("W2")
async def test_a_time_that_the_reserve_refuses_after_all_means_the_money_goes_back(desk: Desk) -> None:
    _, intent = await late(desk, await desk.shop())
    assert (await judge(desk, intent)).retake is not None
    refused = update(BookingRequest).where(BookingRequest.booking_id == stray_id_for(intent))

    async def refuse(session: AsyncSession) -> None:
        await session.execute(refused.values(refusal="slot_taken"))

    await desk.database.run(refuse)
    verdict = await judge(desk, intent)
    assert (verdict.retake, verdict.give_back) == (None, True)


@pytest.mark.fault("W2")
@pytest.mark.parametrize(
    ("policy", "reason", "fields"),
    [
        ({"late_payment": "refund"}, "payment_timeout", {}),
        ({}, "cancelled_by_client", {}),
        ({}, "payment_timeout", {"amount": 11_999}),
        ({}, "payment_timeout", {"currency": "usd"}),
    ],
    ids=["by policy", "the client cancelled", "another amount", "another currency"],
)
async def test_late_money_that_fits_no_more_goes_back(
    desk: Desk, policy: dict[str, Any], reason: str, fields: dict[str, Any]
) -> None:
    _, intent = await late(desk, await desk.shop(policy=policy), reason=reason, **fields)
    verdict = await judge(desk, intent)
    assert (verdict.retake, verdict.give_back) == (None, True)
    assert (await give_back(desk, intent)).given_back
    assert await status(desk, intent) == "canceled"


@pytest.mark.fault("W2")
async def test_late_money_for_a_session_that_has_begun_goes_back(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id, intent = await late(desk, shop)
    begun = update(Session).where(Session.id == (await shop.session_of(booking_id)).id)

    async def begin(session: AsyncSession) -> None:
        await session.execute(begun.values(starts_at=now() - timedelta(minutes=1)))

    await desk.database.run(begin)
    assert (await judge(desk, intent)).give_back


@pytest.mark.fault("W2")
async def test_late_money_for_a_time_that_somebody_else_has_goes_back(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id, intent = await late(desk, shop)
    before = await shop.session_of(booking_id)
    rival = await desk.reserved(shop)
    theirs = update(Session).where(Session.id == (await shop.session_of(rival)).id)

    async def move(session: AsyncSession) -> None:
        await session.execute(theirs.values(starts_at=before.starts_at, ends_at=before.ends_at))

    await desk.database.run(move)
    verdict = await judge(desk, intent)
    assert verdict.give_back
    assert "somebody else" in verdict.why


async def test_a_booking_that_an_intent_only_claims_is_not_believed(desk: Desk) -> None:
    booking_id, _ = await late(desk, await desk.shop())
    stranger = await stray(desk, metadata={"app": APP, "booking_id": str(booking_id)})
    verdict = await judge(desk, stranger)
    assert (verdict.retake, verdict.give_back) == (None, True)
    assert (await give_back(desk, stranger)).booking_id is None


@pytest.mark.fault("W2")
async def test_captured_late_money_goes_through_the_books_of_its_booking(desk: Desk) -> None:
    shop = await desk.shop(policy={"late_payment": "refund"})
    booking_id, intent = await late(desk, shop, capture="automatic")
    for _ in range(2):
        settled = await give_back(desk, intent)
        assert (settled.given_back, settled.booking_id) == (True, booking_id)
    payment = await payment_of(desk, booking_id)
    assert (payment.number, payment.status, payment.payment_intent_id) == (2, "REFUNDED", intent)
    moved = await journals(desk, booking_id)
    assert (moved["capture"], moved["refund"]) == (12_000, -12_000)
    assert len(await refunds_of(desk, intent)) == 1
    assert (await judge(desk, intent)).why == HAS_IT


@pytest.mark.fault("W2")
async def test_a_payment_that_our_own_row_calls_over_is_taken_on_by_a_new_row(desk: Desk) -> None:
    shop = await desk.shop(policy={"late_payment": "refund", "capture": "on_payment"})
    booking_id = await desk.paid(shop)
    intent = await desk.intent_id(booking_id)
    voided = update(Payment).where(Payment.booking_id == booking_id).values(status="VOIDED")

    async def void(session: AsyncSession) -> None:
        await session.execute(voided)

    await desk.database.run(void)
    await change_booking(desk, booking_id, status="CANCELLED", status_reason="payment_timeout", keep=0)
    await desk.control.fault("reset_before", "/v1/refunds")
    assert (await judge(desk, intent)).give_back
    with pytest.raises(StepError):
        await give_back(desk, intent)
    assert (await judge(desk, intent)).give_back, "it is on the books now, and has still to go back"
    assert (await give_back(desk, intent)).given_back
    rows = select(func.count()).select_from(Payment).where(Payment.booking_id == booking_id)
    assert await number(desk.database, rows) == 2
    assert (await payment_of(desk, booking_id)).status == "REFUNDED"


async def test_a_booking_that_has_its_payment_keeps_it(desk: Desk) -> None:
    booking_id = await desk.earned(await desk.shop())
    intent = await desk.intent_id(booking_id)
    assert (await judge(desk, intent)).why == HAS_IT
    assert not (await give_back(desk, intent)).given_back
    assert await refunds_of(desk, intent) == []


@pytest.mark.fault("W2")
async def test_a_second_payment_beside_the_one_that_the_booking_has_never_mixes_with_it(desk: Desk) -> None:
    booking_id = await desk.earned(await desk.shop())
    own = await desk.gateway.retrieve_intent(await desk.intent_id(booking_id))
    metadata = {"app": APP, "booking_id": str(booking_id)}
    second = await stray(desk, capture="automatic", customer=own.customer, metadata=metadata)
    before = await journals(desk, booking_id)
    assert (await give_back(desk, second)).given_back
    assert await journals(desk, booking_id) == before
    assert len(await refunds_of(desk, second)) == 1
    assert await refunds_of(desk, own.id) == []


async def test_a_refund_that_failed_before_it_moved_anything_is_made_again(desk: Desk) -> None:
    intent = await stray(desk, capture="automatic")
    await desk.control.ask("POST", "/settings", refunds_need_funds=True)
    with contextlib.suppress(StepError):
        await give_back(desk, intent)
    (waiting,) = await refunds_of(desk, intent)
    assert (waiting["status"], waiting["balance_transaction"]) == ("pending", None)
    await desk.control.ask("POST", f"/refunds/{waiting['id']}", status="failed")
    await desk.control.ask("POST", "/settings", refunds_need_funds=False)
    for _ in range(3):
        with contextlib.suppress(StepError):
            await give_back(desk, intent)
    assert [one["status"] for one in await refunds_of(desk, intent)] == ["failed", "succeeded"]
    (charge,) = [one["id"] for one in await desk.control.objects("charge") if one["payment_intent"] == intent]
    moved = await journals(desk, None, charge, *[one["id"] for one in await refunds_of(desk, intent)])
    assert moved["capture"] + moved["refund"] + moved.get("refund_failure", 0) == 0
