"""Seats in a class, and a payment that is there before its booking (DESIGN 3.1, 6 and 9)."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import PaymentMismatch
from models.bookings import Booking, Session
from models.catalogue import AvailabilityRule, Client, Provider
from models.payments import Payment
from models.states import SEAT_HOLDING, BookingStatus, PaymentStatus, ReportedOutcome, SessionStatus
from tests.activities.desk import (
    PROVIDER,
    Desk,
    abandoned,
    cancelled_by,
    completed,
    do,
    now,
    number,
    settling,
)
from tests.support.shop import Shop
from workflows.contracts import Refusal, Reserve, Reserved, StartBooking

RIVALS = 20


async def put_up(
    desk: Desk, shop: Shop, *, capacity: int = 2, starts_in: timedelta = timedelta(days=1)
) -> UUID:
    """A class of the shop's service."""
    starts_at = now().replace(microsecond=0) + starts_in

    async def work(session: AsyncSession) -> UUID:
        provider = await session.get_one(Provider, shop.provider_id)
        row = Session(
            id=uuid4(),
            provider_id=provider.id,
            provider_no=provider.provider_no,
            service_id=shop.service_id,
            status=SessionStatus.SCHEDULED,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=1),
            capacity=capacity,
        )
        session.add(row)
        await session.flush()
        return row.id

    return await desk.database.run(work)


async def another_client(desk: Desk, shop: Shop) -> Shop:
    client_id = f"client-{uuid4()}"

    async def work(session: AsyncSession) -> None:
        session.add(Client(id=client_id, name="Another", email="another@test.example"))

    await desk.database.run(work)
    return replace(shop, client_id=client_id)


async def seat(desk: Desk, shop: Shop, session_id: UUID, **more: Any) -> tuple[StartBooking, Reserved]:
    request = shop.request().model_copy(update={"session_id": session_id, **more})
    await shop.asked(request)
    return request, await desk.activities().bookings.reserve(Reserve(request=request, at=now()))


async def change(desk: Desk, statement: Any) -> None:
    async def work(session: AsyncSession) -> None:
        await session.execute(statement)

    await desk.database.run(work)


async def session_status(desk: Desk, session_id: UUID) -> SessionStatus:
    return (await desk.database.run(lambda session: session.get_one(Session, session_id))).status


async def test_a_seat_in_a_class_is_a_booking_of_its_session(desk: Desk) -> None:
    shop = await desk.shop()
    session_id = await put_up(desk, shop)
    request, reserved = await seat(desk, shop, session_id)
    assert reserved.booking is not None
    assert (reserved.booking.session_id, reserved.booking.session_status) == (
        session_id,
        SessionStatus.SCHEDULED,
    )
    again = await desk.activities().bookings.reserve(Reserve(request=request, at=now()))
    assert again == reserved


@pytest.mark.parametrize("end", ["released", "cancelled", "completed", "no-show"])
async def test_a_booking_never_changes_what_becomes_of_its_class(desk: Desk, end: str) -> None:
    shop = await desk.shop()
    session_id = await put_up(desk, shop)
    request, _ = await seat(desk, shop, session_id)
    booking_id, activities = request.booking_id, desk.activities()
    await activities.payments.open_payment(do(booking_id))
    if end == "released":
        await activities.payments.give_back(abandoned(booking_id))
        await activities.bookings.release(abandoned(booking_id))
    else:
        await desk.confirm_card(booking_id)
        await activities.payments.read_payment(do(booking_id))
        await activities.bookings.confirm(do(booking_id))
        step = {
            "cancelled": cancelled_by(PROVIDER, booking_id),
            "completed": completed(booking_id),
            "no-show": settling(booking_id, ReportedOutcome.CLIENT_NO_SHOW, PROVIDER),
        }[end]
        await activities.payments.settle(step)
    assert (await shop.booking(booking_id)).status not in SEAT_HOLDING
    assert await session_status(desk, session_id) is SessionStatus.SCHEDULED


async def test_a_class_that_is_full_says_so_and_a_seat_that_is_let_go_can_be_taken(desk: Desk) -> None:
    shop = await desk.shop()
    session_id = await put_up(desk, shop, capacity=1 + 1)
    first, _ = await seat(desk, shop, session_id)
    await seat(desk, await another_client(desk, shop), session_id)
    late = await another_client(desk, shop)
    refused, answer = await seat(desk, late, session_id)
    assert answer.refusal is Refusal.CAPACITY_FULL
    await desk.activities().payments.give_back(abandoned(first.booking_id))
    await desk.activities().bookings.release(abandoned(first.booking_id))
    same = await desk.activities().bookings.reserve(Reserve(request=refused, at=now()))
    assert same.refusal is Refusal.CAPACITY_FULL  # the same request gets the same answer
    assert (await seat(desk, late, session_id))[1].booking is not None


async def test_a_client_has_one_seat_in_a_class(desk: Desk) -> None:
    shop = await desk.shop()
    session_id = await put_up(desk, shop, capacity=5)
    await seat(desk, shop, session_id)
    assert (await seat(desk, shop, session_id))[1].refusal is Refusal.ALREADY_BOOKED


async def test_the_database_itself_refuses_a_second_seat(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = await desk.shop()
    session_id = await put_up(desk, shop, capacity=5)
    await seat(desk, shop, session_id)
    block = await desk.database.run(lambda session: session.get_one(Session, session_id))

    async def blind(*_: object) -> Session:
        return block

    monkeypatch.setattr("activities.seats.seat_in", blind)
    assert (await seat(desk, shop, session_id))[1].refusal is Refusal.ALREADY_BOOKED


async def test_rivals_for_the_last_seats_get_just_those(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.database.RETRIED", frozenset())
    shop = await desk.shop()
    session_id = await put_up(desk, shop, capacity=3)
    rivals = [await another_client(desk, shop) for _ in range(RIVALS)]
    answers = await asyncio.gather(*(seat(desk, rival, session_id) for rival in rivals))
    refusals = [answer.refusal for _, answer in answers]
    assert (refusals.count(None), refusals.count(Refusal.CAPACITY_FULL)) == (3, RIVALS - 3)
    holders = select(func.count()).where(Booking.session_id == session_id, Booking.status.in_(SEAT_HOLDING))
    assert await number(desk.database, holders) == 3


@pytest.mark.parametrize("how", ["unknown", "called off", "another service's", "started", "one-to-one"])
async def test_what_is_no_class_to_book_is_not_found(desk: Desk, how: str) -> None:
    shop = await desk.shop()
    starts_in = timedelta(minutes=-5) if how == "started" else timedelta(days=1)
    session_id = await put_up(desk, shop, capacity=1 if how == "one-to-one" else 2, starts_in=starts_in)
    booked = shop
    if how == "unknown":
        session_id = uuid4()
    elif how == "called off":
        await change(desk, update(Session).where(Session.id == session_id).values(status="CANCELLED"))
    elif how == "another service's":
        booked = await desk.shop()
    assert (await seat(desk, booked, session_id))[1].refusal is Refusal.CLASS_NOT_FOUND


async def test_a_class_is_booked_whatever_the_opening_hours(desk: Desk) -> None:
    shop = await desk.shop()
    session_id = await put_up(desk, shop)
    await change(desk, delete(AvailabilityRule).where(AvailabilityRule.provider_id == shop.provider_id))
    assert (await seat(desk, shop, session_id))[1].booking is not None


# --- a payment that is there already ---------------------------------------------------------------


async def paid_too_late(desk: Desk, shop: Shop) -> tuple[UUID, str]:
    """A booking that ended, and whose payment was made after all: its books say that it is voided."""
    booking_id = await desk.paid(shop)
    intent_id = await desk.intent_id(booking_id)
    ended = update(Booking).where(Booking.id == booking_id)
    await change(desk, ended.values(status=BookingStatus.CANCELLED, status_reason="payment_timeout"))
    await change(desk, update(Payment).where(Payment.booking_id == booking_id).values(status="VOIDED"))
    taken = (await shop.booking(booking_id)).session_id
    await change(desk, update(Session).where(Session.id == taken).values(status="CANCELLED"))
    return booking_id, intent_id


async def retaken(
    desk: Desk, shop: Shop, intent_id: str, starts_in: timedelta = timedelta(hours=2)
) -> tuple[UUID, Reserved]:
    request = shop.request(starts_in).model_copy(update={"payment_intent_id": intent_id})
    await shop.asked(request)
    return request.booking_id, await desk.activities().bookings.reserve(Reserve(request=request, at=now()))


@pytest.mark.fault("W2")
async def test_a_payment_that_came_too_late_is_taken_over_by_a_new_booking(desk: Desk) -> None:
    shop = await desk.shop()
    ended_id, intent_id = await paid_too_late(desk, shop)
    booking_id, reserved = await retaken(desk, shop, intent_id)
    assert reserved.booking is not None
    assert reserved.booking.payment_opened
    for _ in range(2):
        await desk.activities().payments.open_payment(do(booking_id))
        state = await desk.activities().payments.read_payment(do(booking_id))
        assert state.payment_status is PaymentStatus.AUTHORIZED
    former = await desk.payment(ended_id)
    assert (former.status, former.payment_intent_id) == (PaymentStatus.VOIDED, None)
    assert len(await desk.control.objects("payment_intent")) == 1
    await desk.activities().bookings.confirm(do(booking_id))
    settled = await desk.activities().payments.settle(completed(booking_id))
    assert (settled.status, settled.payment_status) == (BookingStatus.COMPLETED, PaymentStatus.CAPTURED)


@pytest.mark.fault("W2")
async def test_a_payment_of_another_client_is_not_taken_over(desk: Desk) -> None:
    shop = await desk.shop()
    _, intent_id = await paid_too_late(desk, shop)
    _, reserved = await retaken(desk, await another_client(desk, shop), intent_id)
    assert reserved.refusal is Refusal.CALLED_OFF


async def test_a_payment_that_has_a_booking_is_not_taken_over(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    _, reserved = await retaken(desk, shop, await desk.intent_id(booking_id), timedelta(days=1))
    assert reserved.refusal is Refusal.CALLED_OFF
    assert (await desk.payment(booking_id)).payment_intent_id is not None


@pytest.mark.parametrize("how", ["another client's", "still alive", "never was", "no booking at all"])
async def test_a_payment_for_somebody_elses_booking_never_confirms(desk: Desk, how: str) -> None:
    shop = await desk.shop()
    ended_id, intent_id = await paid_too_late(desk, shop)
    booking_id, _ = await retaken(desk, shop, intent_id)
    named = str(ended_id)
    if how == "another client's":
        other = await another_client(desk, shop)
        await change(desk, update(Booking).where(Booking.id == ended_id).values(client_id=other.client_id))
    elif how == "still alive":
        named = str(await desk.reserved(await desk.shop()))
    else:
        named = str(uuid4()) if how == "never was" else "nothing"
    await desk.sdk.v1.payment_intents.update_async(intent_id, {"metadata": {"booking_id": named}})
    with pytest.raises(PaymentMismatch, match="booking"):
        await desk.activities().payments.read_payment(do(booking_id))
