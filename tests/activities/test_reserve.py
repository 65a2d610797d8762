"""The seat: taken once, by one, and a refusal is an answer for ever (DESIGN 3.1 and 6)."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from models.bookings import Booking, BookingRequest, Session
from models.catalogue import AvailabilityRule, Provider, Service
from models.database import Database
from models.policy import PaymentPlan
from models.records import AuditEvent
from models.states import LIVE_SESSION, SEAT_HOLDING, BookingStatus, PaymentStatus, SessionStatus
from tests.activities.desk import Desk, abandoned, do, now, number
from tests.sandbox.stripe.conftest import until
from tests.support.scratch import scratch_database
from tests.support.shop import Shop
from workflows.contracts import Refusal, Reserve, Reserved, StartBooking

TOMORROW = timedelta(hours=26)
RIVALS = 50


async def reserve(desk: Desk, request: StartBooking) -> Reserved:
    return await desk.activities().bookings.reserve(Reserve(request=request, at=now()))


async def asked(shop: Shop, starts_in: timedelta = TOMORROW) -> StartBooking:
    return await shop.asked(shop.request(starts_in))


async def change(database: Database, statement: Any) -> None:
    async def work(session: AsyncSession) -> None:
        await session.execute(statement)

    await database.run(work)


async def live_sessions(database: Database, shop: Shop) -> int:
    count = select(func.count()).select_from(Session)
    live = count.where(Session.provider_id == shop.provider_id, Session.status.in_(LIVE_SESSION))
    return await number(database, live)


async def remembered(database: Database, booking_id: UUID) -> str | None:
    row = await database.run(lambda session: session.get_one(BookingRequest, booking_id))
    return row.refusal


async def test_a_seat_is_taken_with_the_rules_and_the_price_of_that_moment(desk: Desk) -> None:
    shop = await desk.shop(policy={"payout_hold": "PT1H"})
    request, at = await asked(shop), now()
    reserved = await desk.activities().bookings.reserve(Reserve(request=request, at=at))
    assert (reserved.refusal, reserved.booking is not None) == (None, True)
    booking, session = await shop.booking(request.booking_id), await shop.session_of(request.booking_id)
    payment = await shop.payment(request.booking_id)
    assert (booking.status, session.status) == (BookingStatus.PENDING, SessionStatus.DRAFT)
    assert (booking.amount, booking.currency, payment.amount) == (12_000, "eur", 12_000)
    assert (payment.status, payment.payment_intent_id) == (PaymentStatus.PENDING, None)
    assert booking.expires_at == at + timedelta(minutes=30)
    assert booking.completion_due_at == session.ends_at + timedelta(hours=24)
    assert (booking.policy["payout_hold"], booking.policy["payment_window"]) == ("PT1H", "PT30M")
    assert session.ends_at - session.starts_at == timedelta(minutes=60)
    events = select(AuditEvent.entity, AuditEvent.to_status).where(AuditEvent.booking_id == booking.id)
    found = await desk.database.run(lambda opened: opened.execute(events))
    assert {tuple(row) for row in found} == {
        ("session", "DRAFT"),
        ("booking", "PENDING"),
        ("payment", "PENDING"),
    }


async def test_the_same_request_finds_the_same_booking(desk: Desk) -> None:
    shop = await desk.shop()
    request = await asked(shop)
    first = await reserve(desk, request)
    assert await reserve(desk, request) == first
    assert await live_sessions(desk.database, shop) == 1


async def test_the_same_request_many_times_at_once_makes_one_booking(desk: Desk) -> None:
    shop = await desk.shop()
    request = await asked(shop)
    answers = await asyncio.gather(*(reserve(desk, request) for _ in range(10)))
    assert {answer.booking.booking_id for answer in answers if answer.booking} == {request.booking_id}
    assert [answer.refusal for answer in answers] == [None] * 10
    assert await live_sessions(desk.database, shop) == 1


@pytest.mark.fault("P2")
async def test_one_of_fifty_rivals_gets_the_slot_and_no_deadlock_surfaces(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.database.RETRIED", frozenset())
    shop = await desk.shop()
    requests = [await asked(shop, TOMORROW + timedelta(minutes=minute)) for minute in range(RIVALS)]
    answers = await asyncio.gather(*(reserve(desk, request) for request in requests))
    won = [answer for answer in answers if answer.booking]
    assert len(won) == 1
    assert [answer.refusal for answer in answers].count(Refusal.SLOT_TAKEN) == RIVALS - 1
    assert await live_sessions(desk.database, shop) == 1


@pytest.mark.fault("P2")
async def test_rivals_stand_in_line_for_their_provider_before_they_meet_at_the_constraint(desk: Desk) -> None:
    shop = await desk.shop()
    request = await asked(shop)
    provider = await desk.database.run(lambda session: session.get_one(Provider, shop.provider_id))
    held = select(func.pg_advisory_xact_lock(provider.provider_no))
    async with desk.database.transaction() as session:
        await session.execute(held)
        rival = asyncio.ensure_future(reserve(desk, request))
        await until(desk.somebody_waits)
    assert (await rival).refusal is None


async def test_sessions_that_only_touch_do_not_overlap(desk: Desk) -> None:
    shop = await desk.shop()
    for hour in (0, 1, 2):
        answer = await reserve(desk, await asked(shop, TOMORROW + timedelta(hours=hour)))
        assert answer.refusal is None
    assert await live_sessions(desk.database, shop) == 3


async def test_two_providers_are_never_in_each_others_way(desk: Desk) -> None:
    answers = [await reserve(desk, await asked(await desk.shop())) for _ in range(2)]
    assert [answer.refusal for answer in answers] == [None, None]


async def test_a_slot_that_was_let_go_can_be_taken_but_not_by_who_was_refused(desk: Desk) -> None:
    shop = await desk.shop()
    first, refused, later = [await asked(shop) for _ in range(3)]
    await reserve(desk, first)
    assert (await reserve(desk, refused)).refusal is Refusal.SLOT_TAKEN
    abandon = abandoned(first.booking_id)
    await desk.activities().payments.give_back(abandon)
    for _ in range(2):
        released = await desk.activities().bookings.release(abandon)
        assert released is not None
        assert released.status is BookingStatus.CANCELLED
    assert (await reserve(desk, later)).refusal is None
    assert (await reserve(desk, refused)).refusal is Refusal.SLOT_TAKEN


async def test_releasing_a_booking_that_never_was_does_nothing(desk: Desk) -> None:
    assert await desk.activities().bookings.release(abandoned(uuid4())) is None


async def test_a_request_that_was_called_off_gets_no_seat_later(desk: Desk) -> None:
    shop = await desk.shop()
    request = await asked(shop)
    assert await desk.activities().bookings.release(abandoned(request.booking_id)) is None
    assert (await reserve(desk, request)).refusal is Refusal.CALLED_OFF
    assert await live_sessions(desk.database, shop) == 0


def closed(shop: Shop) -> Any:
    night = AvailabilityRule.opens_minute + 1439
    mine = AvailabilityRule.provider_id == shop.provider_id
    return update(AvailabilityRule).where(mine).values(opens_minute=night)


def without_account(shop: Shop) -> Any:
    return update(Provider).where(Provider.id == shop.provider_id).values(stripe_account_id=None)


def withdrawn(shop: Shop) -> Any:
    return update(Service).where(Service.id == shop.service_id).values(active=False)


@pytest.mark.parametrize(
    ("world", "refusal"),
    [
        (closed, Refusal.OUTSIDE_OPENING_HOURS),
        (without_account, Refusal.PROVIDER_NOT_READY),
        (withdrawn, Refusal.NOT_FOUND),
    ],
    ids=["closed", "without account", "withdrawn"],
)
async def test_a_refusal_is_remembered_whatever_becomes_of_the_world(
    desk: Desk, world: Any, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await desk.shop()
    request = await asked(shop)
    await change(desk.database, world(shop))
    assert (await reserve(desk, request)).refusal is refusal
    assert await remembered(desk.database, request.booking_id) == refusal
    monkeypatch.setattr("activities.seats.Offer.objection", lambda *_: None)
    await change(desk.database, update(Service).where(Service.id == shop.service_id).values(active=True))
    assert (await reserve(desk, request)).refusal is refusal
    assert await live_sessions(desk.database, shop) == 0


@pytest.mark.parametrize(
    ("starts_in", "plan"),
    [
        (TOMORROW, PaymentPlan.AUTHORIZE_NOW),
        (timedelta(days=30), PaymentPlan.AUTHORIZE_LATER),
    ],
)
async def test_a_session_beyond_the_authorization_is_paid_with_a_card_that_is_kept(
    desk: Desk, starts_in: timedelta, plan: PaymentPlan
) -> None:
    shop = await desk.shop()
    reserved = await reserve(desk, await asked(shop, starts_in))
    assert reserved.booking is not None
    assert reserved.booking.plan is plan


async def test_a_price_that_stripe_no_longer_sells_at_is_not_booked(desk: Desk) -> None:
    shop = await desk.shop()
    (price,) = await desk.control.objects("price")
    await desk.sdk.v1.prices.update_async(price["id"], {"active": False})
    assert (await reserve(desk, await asked(shop))).refusal is Refusal.NOT_FOUND


async def test_a_service_that_never_was_is_not_found(desk: Desk) -> None:
    shop = await desk.shop()
    request = (await asked(shop)).model_copy(update={"service_id": uuid4()})
    assert (await reserve(desk, request)).refusal is Refusal.NOT_FOUND


@pytest.mark.fault("N1")
async def test_without_the_exclusion_constraint_two_bookings_overlap(desk: Desk, database_url: str) -> None:
    dropped = "ALTER TABLE sessions DROP CONSTRAINT ex_sessions_provider_time"
    async with scratch_database(database_url, dropped) as scratch:
        weak = replace(desk, database=scratch)
        shop = await weak.shop()
        requests = [await asked(shop, TOMORROW + timedelta(minutes=minute)) for minute in range(5)]
        answers = await asyncio.gather(*(reserve(weak, request) for request in requests))
        assert [answer.refusal for answer in answers] == [None] * 5
        assert await live_sessions(scratch, shop) == 5


async def test_confirming_twice_keeps_the_first_instant(desk: Desk) -> None:
    booking_id = await desk.confirmed(await desk.shop())
    first = await desk.database.run(lambda session: session.get_one(Booking, booking_id))
    await desk.activities().bookings.confirm(do(booking_id, at=now() + timedelta(hours=1)))
    again = await desk.database.run(lambda session: session.get_one(Booking, booking_id))
    assert (again.accepted_at, again.status in SEAT_HOLDING) == (first.accepted_at, True)
