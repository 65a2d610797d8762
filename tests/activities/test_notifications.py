"""The outbox: what is written with a transition, and only with it, once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities.records import change, load
from models.announcements import Kind
from models.database import Database
from models.outbox import announce
from models.payments import Dispute, Refund
from models.states import BookingStatus, DisputeStatus, PayoutStatus, RefundStatus
from models.transitions import created, move
from tests.activities.desk import CLIENT, PROVIDER, Desk, abandoned, cancelled_by, completed, do, now
from tests.activities.mailroom import Mailroom, address_of, open_mailroom
from workflows.orders import Moving, Reschedule

FAR = timedelta(days=3)


@pytest.fixture
async def room(desk: Desk, quiet: Database, tmp_path: Path) -> AsyncIterator[Mailroom]:
    async with open_mailroom(desk, quiet, tmp_path) as opened:
        yield opened


async def test_a_transition_that_is_tried_twice_is_told_once(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.paid(shop)
    await room.desk.activities().payments.read_payment(do(booking_id))
    confirm = room.desk.activities().bookings.confirm
    await asyncio.gather(*(confirm(do(booking_id)) for _ in range(4)))
    assert await room.told(booking_id) == [
        ("booked", "provider"),
        ("confirmed", "client"),
        ("pay_soon", "client"),
    ]


async def test_a_transition_that_is_taken_back_is_told_to_nobody(room: Mailroom) -> None:
    booking_id = await room.desk.paid(await room.shop())

    async def confirm_and_fail(session: AsyncSession) -> None:
        rows = await load(session, booking_id, lock=True)
        await move(session, rows.booking, BookingStatus.CONFIRMED, change(booking_id, now()))
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        await room.database.run(confirm_and_fail)
    assert await room.told(booking_id) == [("pay_soon", "client")]


async def test_an_announcement_that_is_repeated_is_written_once(room: Mailroom) -> None:
    booking_id = await room.desk.confirmed(await room.shop())
    at, fix_by = now(), now() + timedelta(hours=1)
    for instant in (at, at + timedelta(minutes=5)):
        await room.database.run(
            lambda session, instant=instant: announce(  # type: ignore[misc]
                session, Kind.CARD_REFUSED, booking_id, instant, until=fix_by
            )
        )
    assert len(await room.rows(booking_id, "card_refused")) == 1


async def test_people_are_reminded_a_day_before_and_a_short_notice_reminds_nobody(room: Mailroom) -> None:
    shop = await room.shop()
    soon = await room.desk.confirmed(shop)
    assert not await room.rows(soon, "reminder")
    far = await room.desk.reserved(shop, FAR)
    await room.desk.activities().payments.open_payment(do(far))
    await room.desk.confirm_card(far)
    await room.desk.activities().payments.read_payment(do(far))
    await room.desk.activities().bookings.confirm(do(far))
    starts_at = (await shop.session_of(far)).starts_at
    reminders = await room.rows(far, "reminder")
    assert {row.recipient.value for row in reminders} == {"client", "provider"}
    assert {row.next_attempt_at for row in reminders} == {starts_at - timedelta(hours=24)}


async def test_an_invitation_follows_the_booking_and_is_taken_back_with_it(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.confirmed(shop)
    first = (await shop.session_of(booking_id)).starts_at
    for hours in (1, 2):
        order = Reschedule(actor=PROVIDER, starts_at=first + timedelta(hours=hours))
        moving = Moving(booking_id=booking_id, at=now(), order=order)
        assert (await room.desk.activities().bookings.reschedule(moving)).refusal is None
        assert (await room.desk.activities().bookings.reschedule(moving)).refusal is None
    await room.desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    await room.come_due(booking_id)
    while await room.postman().send_due():
        pass
    sent = [
        (message.subject.partition(":")[0], part.parameters["method"], _sequence(part.content))
        for message in room.received(address_of(shop))
        for part in message.parts
        if part.content_type == "text/calendar" and part.filename is None
    ]
    # What was overtaken before it could be sent is not sent: only the end is still true.
    assert sent == [("Cancelled", "CANCEL", 3)]
    facts = [row.facts["sequence"] for row in await room.rows(booking_id, "rescheduled")]
    assert sorted(facts) == [1, 1, 2, 2]


def _sequence(content: str) -> int:
    (line,) = (line for line in content.splitlines() if line.startswith("SEQUENCE:"))
    return int(line.partition(":")[2])


async def test_a_cancellation_tells_both_sides_what_was_kept(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.confirmed(shop)
    await room.desk.activities().payments.settle(cancelled_by(CLIENT, booking_id))
    rows = await room.rows(booking_id, "cancelled")
    assert {row.recipient.value for row in rows} == {"client", "provider"}
    for row in rows:
        told = {name: row.facts[name] for name in ("price", "captured", "refunded", "released")}
        assert told == {"price": 12_000, "captured": 6_000, "refunded": 0, "released": 6_000}


async def test_a_client_who_never_paid_is_told_that_nothing_was_charged(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.opened(shop)
    await room.desk.activities().payments.give_back(abandoned(booking_id))
    await room.desk.activities().bookings.release(abandoned(booking_id))
    assert await room.told(booking_id) == [("cancelled", "client"), ("pay_soon", "client")]
    await room.come_due(booking_id)
    await room.postman().send_due()
    (message,) = room.received(address_of(shop))
    assert "You were not charged." in message.text
    assert message.attachments == []


async def test_whoever_came_gets_a_receipt_and_the_provider_hears_of_its_payout(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.confirmed(shop)
    await room.desk.activities().payments.settle(completed(booking_id))
    (receipt,) = await room.rows(booking_id, "receipt")
    assert (receipt.facts["price"], receipt.facts["captured"]) == (12_000, 12_000)
    await room.desk.activities().payouts.pay_out(do(booking_id))
    await room.desk.activities().payouts.pay_out(do(booking_id))
    (sent,) = await room.rows(booking_id, "payout_sent")
    assert (sent.facts["amount"], sent.facts["platform_fee"]) == (9_600, 2_400)
    assert sent.facts["transfer_id"].startswith("tr_")


async def test_no_row_holds_a_name_an_address_or_a_persons_words(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.confirmed(shop)
    await room.desk.activities().payments.settle(cancelled_by(CLIENT, booking_id))
    stored = repr([row.facts for row in await room.rows(booking_id)])
    for secret in (address_of(shop), "test.example", "Test Client", "Test Provider", "Lesson"):
        assert secret not in stored


async def test_what_stripe_tells_of_an_earned_booking_is_told_on(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.earned(shop)
    payment, context = await shop.payment(booking_id), change(booking_id, now())
    dispute = Dispute(
        id=uuid4(),
        booking_id=booking_id,
        payment_id=payment.id,
        status=DisputeStatus.OPEN,
        amount=12_000,
        currency="eur",
        reason="product_not_received",
        dispute_id="dp_1",
    )
    refund = Refund(
        id=uuid4(),
        booking_id=booking_id,
        payment_id=payment.id,
        status=RefundStatus.SUCCEEDED,
        amount=100,
        currency="eur",
        refund_id="re_1",
    )

    async def hear(session: AsyncSession) -> None:
        for row in (dispute, refund):
            created(session, row, context)
        await session.flush()
        await move(session, dispute, DisputeStatus.LOST, context)
        await move(session, refund, RefundStatus.FAILED, context)

    await room.database.run(hear)
    news = {"dispute_opened", "dispute_closed", "refund_made", "refund_failed"}
    assert [row for row in await room.told(booking_id) if row[0] in news] == [
        ("dispute_closed", "ops"),
        ("dispute_closed", "provider"),
        ("dispute_opened", "ops"),
        ("dispute_opened", "provider"),
        ("refund_failed", "client"),
        ("refund_failed", "ops"),
        ("refund_made", "client"),
    ]
    await room.come_due(booking_id)
    while await room.postman().send_due():
        pass
    subjects = {message.subject for message in room.received()}
    assert {"A payment of 120.00 EUR is disputed", "Refund of 1.00 EUR for Lesson"} <= subjects


async def test_a_payout_that_stays_blocked_is_told_once_and_reminded_of_once(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.earned(shop)
    since = now()

    async def try_in_vain(session: AsyncSession, at: datetime) -> None:
        payout, context = (await load(session, booking_id, lock=True)).payout, change(booking_id, at)
        assert payout is not None
        await move(session, payout, PayoutStatus.PROCESSING, context)
        await move(session, payout, PayoutStatus.BLOCKED, context, blocked_at=at)

    for minutes in range(3):
        at = since + timedelta(minutes=minutes)
        await room.database.run(partial(try_in_vain, at=at))
    (blocked,) = await room.rows(booking_id, "payout_blocked")
    (reminder,) = await room.rows(booking_id, "payout_still_blocked")
    assert blocked.next_attempt_at == since
    assert reminder.next_attempt_at == since + timedelta(days=1, hours=12)


async def test_an_objection_is_told_to_the_provider_and_to_ops_and_a_dispute_is_none(room: Mailroom) -> None:
    shop = await room.shop()
    disputed, contested = [await room.desk.earned(shop) for _ in range(2)]

    async def freeze(session: AsyncSession, booking_id: UUID, objected_at: datetime | None) -> None:
        payout = (await load(session, booking_id, lock=True)).payout
        assert payout is not None
        context = change(booking_id, now())
        await move(session, payout, PayoutStatus.FROZEN, context, objected_at=objected_at)

    await room.database.run(partial(freeze, booking_id=disputed, objected_at=None))
    await room.database.run(partial(freeze, booking_id=contested, objected_at=now()))
    assert not await room.rows(disputed, "objected")
    assert {row.recipient.value for row in await room.rows(contested, "objected")} == {"provider", "ops"}


@pytest.mark.parametrize(("netted", "told"), [(0, 0), (9_600, 1)], ids=["sent to the bank", "paid debts"])
async def test_on_a_manual_schedule_the_bank_has_the_word_unless_nothing_goes_there(
    room: Mailroom, netted: int, told: int
) -> None:
    shop = await room.shop(policy={"payout_schedule": "manual"})
    booking_id = await room.desk.earned(shop)

    async def pay(session: AsyncSession) -> None:
        payout, context = (await load(session, booking_id, lock=True)).payout, change(booking_id, now())
        assert payout is not None
        await move(session, payout, PayoutStatus.PROCESSING, context, debt_netted=netted)
        await move(session, payout, PayoutStatus.PAID, context)

    await room.database.run(pay)
    rows = await room.rows(booking_id, "payout_sent")
    assert len(rows) == told
    await room.come_due(booking_id)
    while await room.postman().send_due():
        pass
    texts = [message.text for message in room.received() if str(booking_id) in message.text]
    assert sum("has paid what you owed" in text for text in texts) == told
