"""How a confirmed booking ends: reports, no-shows, what ops want kept, and money that is gone already."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities import refunding
from activities.errors import RETRYABLE, Failure, StepError
from activities.stripe_movements import RefundObject
from models.ledger import Account, JournalKind, Line, Side, entries
from models.payments import Dispute
from models.states import (
    BookingStatus,
    DisputeStatus,
    PaymentStatus,
    PayoutStatus,
    ReportedOutcome,
    Role,
    SessionStatus,
)
from models.transitions import Change, created, move
from tests.activities.desk import CHARGE_NOW, CLIENT, OPS, PROVIDER, Desk, abandoned, do, now, settling
from tests.activities.money_steps import CAPTURE_EARLY, HALF, PRICE
from workflows.contracts import Actor, BookingState

NO_SHOW = ReportedOutcome.CLIENT_NO_SHOW
NOBODY_TAUGHT = ReportedOutcome.PROVIDER_NO_SHOW
COMPLETED = ReportedOutcome.COMPLETED
CANCELLED = ReportedOutcome.CANCELLED


async def settled(
    desk: Desk, booking_id: UUID, kind: ReportedOutcome, actor: Actor = PROVIDER, keep: int | None = None
) -> BookingState:
    return await desk.activities().payments.settle(settling(booking_id, kind, actor, keep))


async def reported(desk: Desk, booking_id: UUID, kind: ReportedOutcome, actor: Actor) -> BookingState:
    return await desk.activities().bookings.report(settling(booking_id, kind, actor))


async def refunded_before(desk: Desk, booking_id: UUID, amount: int) -> None:
    """Money goes back before the outcome."""
    payment = await desk.payment(booking_id)
    made = await desk.sdk.v1.refunds.create_async(
        {"payment_intent": payment.payment_intent_id or "", "amount": amount}
    )
    row_id, context = uuid4(), Change(booking_id, now())

    async def work(session: AsyncSession) -> None:
        await refunding.draft_refund(session, payment, row_id, amount, context)
        await session.flush()
        await refunding.refunded(session, payment.id, row_id, RefundObject.read(made.to_dict()), context)

    await desk.database.run(work)


async def dispute(desk: Desk, booking_id: UUID, amount: int = PRICE) -> Dispute:
    """The client's bank contests the charge and takes the money."""
    payment = await desk.payment(booking_id)
    row = Dispute(
        id=uuid4(),
        booking_id=booking_id,
        payment_id=payment.id,
        status=DisputeStatus.OPEN,
        amount=amount,
        currency=payment.currency,
        dispute_id=f"dp_{uuid4().hex}",
    )

    async def work(session: AsyncSession) -> None:
        created(session, row, Change(booking_id, now()))
        lines = (Line(Side.CREDIT, Account.STRIPE_BALANCE, amount), Line(Side.DEBIT, Account.HELD, amount))
        taken = entries(JournalKind.DISPUTE, booking_id, payment.currency, lines, f"txn_{uuid4().hex}")
        session.add_all(taken)

    await desk.database.run(work)
    return row


async def lose(desk: Desk, row: Dispute) -> None:
    async def work(session: AsyncSession) -> None:
        lost = await session.get_one(Dispute, row.id)
        await move(session, lost, DisputeStatus.LOST, Change(row.booking_id, now()))

    await desk.database.run(work)


async def test_a_client_who_did_not_come_pays_what_the_policy_keeps_and_the_session_took_place(
    desk: Desk,
) -> None:
    booking_id = await desk.confirmed(await desk.shop(policy={"client_no_show_keep_bps": 5000}))
    state = await settled(desk, booking_id, NO_SHOW)
    assert (state.status, state.status_reason) == (BookingStatus.NO_SHOW, "client_no_show")
    assert (state.session_status, state.payout_status) == (SessionStatus.COMPLETED, PayoutStatus.HELD)
    picture = await desk.picture(booking_id)
    assert (picture.payment, picture.captured, picture.books["held"]) == ("CAPTURED", HALF, -HALF)


async def test_a_no_show_that_costs_nothing_lets_the_authorization_go(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(policy={"client_no_show_keep_bps": 0}))
    state = await settled(desk, booking_id, NO_SHOW)
    assert (state.status, state.payment_status, state.payout_status) == (
        BookingStatus.NO_SHOW,
        PaymentStatus.VOIDED,
        None,
    )


@pytest.mark.parametrize("policy", [{}, CHARGE_NOW], ids=["authorized", "charged"])
async def test_a_provider_who_did_not_come_earns_nothing(desk: Desk, policy: dict[str, Any]) -> None:
    booking_id = await desk.confirmed(await desk.shop(policy=policy))
    state = await settled(desk, booking_id, NOBODY_TAUGHT, OPS)
    assert (state.status, state.status_reason) == (BookingStatus.CANCELLED, "provider_no_show")
    picture = await desk.picture(booking_id)
    assert (picture.captured - sum(picture.refunds), picture.payout) == (0, None)


@pytest.mark.parametrize(
    ("wanted", "kept"), [(HALF, HALF), (PRICE + 1, PRICE), (0, 0)], ids=["a part", "too much", "nothing"]
)
async def test_what_ops_want_kept_is_kept_but_never_more_than_the_price(
    desk: Desk, wanted: int, kept: int
) -> None:
    booking_id = await desk.confirmed(await desk.shop())
    state = await settled(desk, booking_id, COMPLETED, OPS, keep=wanted)
    assert state.status is BookingStatus.COMPLETED
    assert (await desk.picture(booking_id)).captured == kept


async def test_what_was_captured_early_is_given_back_by_the_outcome(desk: Desk) -> None:
    booking_id = await CAPTURE_EARLY.prepare(desk)
    await CAPTURE_EARLY.act(desk.activities(), booking_id)
    state = await settled(desk, booking_id, CANCELLED, CLIENT)
    assert (state.status, state.payment_status) == (BookingStatus.FORFEIT, PaymentStatus.PARTIALLY_REFUNDED)
    picture = await desk.picture(booking_id)
    assert (picture.captured, picture.refunds, picture.books["held"]) == (PRICE, (HALF,), -HALF)


@pytest.mark.parametrize(("gone", "payout"), [(HALF, PayoutStatus.HELD), (PRICE, None)])
async def test_a_booking_whose_money_went_back_before_its_outcome_pays_what_is_left(
    desk: Desk, gone: int, payout: PayoutStatus | None
) -> None:
    booking_id = await desk.confirmed(await desk.shop(policy=CHARGE_NOW))
    await refunded_before(desk, booking_id, gone)
    state = await settled(desk, booking_id, COMPLETED)
    assert (state.status, state.payout_status) == (BookingStatus.COMPLETED, payout)
    left = (PRICE - gone) * 8 // 10
    assert (state.payout_amount or 0) == left


async def test_a_payout_is_frozen_from_the_start_while_the_clients_bank_contests(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop(policy=CHARGE_NOW | {"payout_hold": "PT1H"}))
    await dispute(desk, booking_id, HALF)
    state = await settled(desk, booking_id, COMPLETED)
    assert (state.status, state.payout_status) == (BookingStatus.COMPLETED, PayoutStatus.FROZEN)
    assert state.payout_amount == HALF * 8 // 10
    payout = await (await desk.shop()).payout(booking_id)
    assert payout.frozen_seconds == timedelta(hours=1).total_seconds()


async def test_what_is_contested_is_not_given_back_twice_and_the_booking_waits_for_the_bank(
    desk: Desk,
) -> None:
    booking_id = await desk.confirmed(await desk.shop(policy=CHARGE_NOW))
    contested = await dispute(desk, booking_id)
    with pytest.raises(StepError) as waiting:
        await settled(desk, booking_id, CANCELLED)
    assert waiting.value.failure is Failure.DISPUTE_OPEN
    assert waiting.value.failure not in RETRYABLE
    assert (await desk.picture(booking_id)).booking == "CONFIRMED"
    await lose(desk, contested)
    state = await settled(desk, booking_id, CANCELLED)
    assert (state.status, state.payout_status) == (BookingStatus.CANCELLED, None)
    assert (await desk.picture(booking_id)).refunds == ()


async def test_a_card_that_was_never_charged_has_nothing_to_keep(desk: Desk) -> None:
    booking_id = await desk.saved(await desk.shop())
    session = await (await desk.shop()).session_of(booking_id)
    step = settling(booking_id, CANCELLED, CLIENT)
    late = step.outcome.model_copy(update={"at": session.starts_at - timedelta(hours=1)})
    state = await desk.activities().payments.settle(step.model_copy(update={"outcome": late}))
    assert (state.status, state.payment_status) == (BookingStatus.CANCELLED, PaymentStatus.VOIDED)
    assert (await desk.picture(booking_id)).captured == 0


async def test_a_claim_decides_nothing_and_may_be_repeated(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop())
    first = await reported(desk, booking_id, NOBODY_TAUGHT, CLIENT)
    again = await reported(desk, booking_id, NOBODY_TAUGHT, CLIENT)
    assert first == again
    assert first.claim is not None
    assert (first.claim.kind, first.claim.actor, first.contradiction) == (NOBODY_TAUGHT, CLIENT, None)
    assert (first.status, first.reported_outcome) == (BookingStatus.CONFIRMED, None)


async def test_what_the_other_side_says_stands_beside_the_claim(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop())
    await reported(desk, booking_id, NOBODY_TAUGHT, CLIENT)
    agreed = await reported(desk, booking_id, NOBODY_TAUGHT, PROVIDER)
    assert agreed.contradiction is None
    await reported(desk, booking_id, COMPLETED, CLIENT)  # the same side thinks better of it
    state = await reported(desk, booking_id, NO_SHOW, PROVIDER)
    assert (state.claim and state.claim.kind, state.contradiction and state.contradiction.kind) == (
        NOBODY_TAUGHT,
        NO_SHOW,
    )
    assert state.contradiction is not None
    assert state.contradiction.actor.role is Role.PROVIDER


async def test_a_booking_that_was_decided_hears_no_more_claims(desk: Desk) -> None:
    booking_id = await desk.earned(await desk.shop())
    state = await reported(desk, booking_id, NOBODY_TAUGHT, CLIENT)
    assert (state.status, state.claim) == (BookingStatus.COMPLETED, None)


async def test_a_booking_is_put_before_its_provider_until_a_deadline_that_is_set_once(desk: Desk) -> None:
    shop = await desk.shop(policy={"approval": "provider"})
    booking_id = await desk.paid(shop)
    await desk.activities().payments.read_payment(do(booking_id))
    asked = await desk.activities().bookings.ask_approval(do(booking_id))
    session = await shop.session_of(booking_id)
    assert (asked.status, asked.wants_approval) == (BookingStatus.AWAITING_APPROVAL, True)
    assert asked.approval_due_at == session.starts_at  # two hours away, sooner than a day
    later = await desk.activities().bookings.ask_approval(do(booking_id, at=now() + timedelta(hours=1)))
    assert later == asked
    accepted = await desk.activities().bookings.confirm(do(booking_id))
    assert (accepted.status, accepted.session_status) == (BookingStatus.CONFIRMED, SessionStatus.SCHEDULED)
    assert (await desk.activities().bookings.ask_approval(do(booking_id))).status is BookingStatus.CONFIRMED


async def test_approval_never_waits_longer_than_the_authorization(desk: Desk) -> None:
    shop = await desk.shop(policy={"approval": "provider", "approval_window": "P30D"})
    booking_id = await desk.opened(shop, timedelta(days=4))
    await desk.confirm_card(booking_id)
    await desk.activities().payments.read_payment(do(booking_id))
    ends = now() + timedelta(days=1)
    await desk.comes_due(booking_id, renew_at=ends)
    asked = await desk.activities().bookings.ask_approval(do(booking_id))
    assert asked.approval_due_at == ends


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("rejected_by_provider", BookingStatus.REJECTED),
        ("approval_timeout", BookingStatus.CANCELLED),
        ("cancelled_by_client", BookingStatus.CANCELLED),
    ],
)
async def test_a_booking_that_was_not_accepted_ends_and_its_authorization_goes(
    desk: Desk, reason: str, status: BookingStatus
) -> None:
    booking_id = await desk.paid(await desk.shop(policy={"approval": "provider"}))
    await desk.activities().payments.read_payment(do(booking_id))
    await desk.activities().bookings.ask_approval(do(booking_id))
    unwanted = abandoned(booking_id, reason)
    for _ in range(2):
        await desk.activities().payments.give_back(unwanted)
        state = await desk.activities().bookings.release(unwanted)
    assert state is not None
    assert (state.status, state.status_reason) == (status, reason)
    assert (state.payment_status, state.session_status) == (PaymentStatus.VOIDED, SessionStatus.CANCELLED)
    assert (await desk.picture(booking_id)).intents == ("canceled",)
