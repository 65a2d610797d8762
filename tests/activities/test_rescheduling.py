"""Moving a booking: the new slot is taken before the old one is let go, or nothing happens (TRAPS 48)."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select

from models.bookings import Session
from models.catalogue import AvailabilityRule
from models.notifications import Notification
from models.records import AuditEvent
from models.states import LIVE_SESSION, BookingStatus, PaymentStatus, SessionStatus
from tests.activities.desk import (
    CHARGE_NOW,
    CLIENT,
    FAR_OFF,
    OPS,
    PROVIDER,
    Desk,
    cancelled_by,
    do,
    now,
    number,
)
from tests.activities.money_steps import PRICE
from tests.activities.test_seats import another_client, change, put_up, seat, session_status
from tests.activities.tripwire import Killed, MortalDatabase, Tripwire
from tests.support.shop import Shop
from workflows.contracts import Actor
from workflows.orders import Changed, Moving, Reschedule

ANY_TIME = {"reschedule_cutoff": "PT0S"}
DAY = timedelta(days=1)


async def move(
    desk: Desk,
    booking_id: UUID,
    starts_at: datetime,
    *,
    actor: Actor = PROVIDER,
    session_id: UUID | None = None,
    at: datetime | None = None,
    was_in: UUID | None = None,
) -> Changed:
    order = Reschedule(actor=actor, starts_at=starts_at, session_id=session_id)
    return await desk.activities().bookings.reschedule(
        Moving(booking_id=booking_id, at=at or now(), order=order, from_session_id=was_in)
    )


async def confirmed_in(desk: Desk, shop: Shop, starts_in: timedelta) -> UUID:
    booking_id = await desk.opened(shop, starts_in)
    await desk.confirm_card(booking_id)
    await desk.activities().payments.read_payment(do(booking_id))
    await desk.activities().bookings.confirm(do(booking_id))
    return booking_id


async def confirmed_seat(desk: Desk, shop: Shop, session_id: UUID) -> UUID:
    request, _ = await seat(desk, shop, session_id)
    await desk.activities().payments.open_payment(do(request.booking_id))
    await desk.confirm_card(request.booking_id)
    await desk.activities().payments.read_payment(do(request.booking_id))
    await desk.activities().bookings.confirm(do(request.booking_id))
    return request.booking_id


async def live(desk: Desk, shop: Shop) -> int:
    count = select(func.count()).select_from(Session)
    mine = count.where(Session.provider_id == shop.provider_id, Session.status.in_(LIVE_SESSION))
    return await number(desk.database, mine)


async def test_a_booking_moves_to_a_session_of_its_own_and_lets_the_old_one_go(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    old = await shop.session_of(booking_id)
    moved = await move(desk, booking_id, old.starts_at + DAY)
    assert (moved.refusal, moved.booking.status) == (None, BookingStatus.CONFIRMED)
    new = await shop.session_of(booking_id)
    assert (new.status, new.starts_at, new.ends_at) == (
        SessionStatus.SCHEDULED,
        old.starts_at + DAY,
        old.ends_at + DAY,
    )
    assert moved.booking.completion_due_at == new.ends_at + DAY
    assert (moved.booking.session_id, moved.booking.payment_status) == (new.id, PaymentStatus.AUTHORIZED)
    assert await session_status(desk, old.id) is SessionStatus.CANCELLED
    reasons = select(AuditEvent.reason).where(
        AuditEvent.entity_id == old.id, AuditEvent.to_status == "CANCELLED"
    )
    assert await desk.database.run(lambda session: session.scalar(reasons)) == "rescheduled"
    letters = select(func.count()).where(
        Notification.booking_id == booking_id, Notification.kind == "rescheduled"
    )
    assert await number(desk.database, letters) == 2
    assert await live(desk, shop) == 1


async def test_a_move_that_is_asked_for_again_answers_with_the_booking_as_it_is(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    starts_at = (await shop.session_of(booking_id)).starts_at + DAY
    first = await move(desk, booking_id, starts_at)
    assert await move(desk, booking_id, starts_at) == first
    assert await move(desk, booking_id, starts_at + DAY) != first
    back = await move(desk, booking_id, starts_at)
    assert (back.refusal, back.booking.starts_at) == (None, starts_at)
    assert await live(desk, shop) == 1


async def test_a_booking_may_move_by_less_than_its_own_length(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    starts_at = (await shop.session_of(booking_id)).starts_at + timedelta(minutes=15)
    assert (await move(desk, booking_id, starts_at)).booking.starts_at == starts_at


async def test_a_slot_that_is_taken_leaves_everything_as_it_was(desk: Desk) -> None:
    shop = await desk.shop(policy=ANY_TIME)
    booking_id, taken = await desk.confirmed(shop), now().replace(microsecond=0) + DAY
    await desk.reserved(shop, DAY)
    before = await desk.activities().payments.read_payment(do(booking_id))
    refused = await move(desk, booking_id, taken + timedelta(minutes=30), actor=CLIENT)
    assert refused.refusal == "slot_taken"
    assert refused.booking == before
    booking = await shop.booking(booking_id)
    assert (booking.refund_cap_bps, (await shop.session_of(booking_id)).status) == (
        None,
        SessionStatus.SCHEDULED,
    )


async def test_a_provider_who_is_closed_then_cannot_be_moved_to(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    mine = AvailabilityRule.provider_id == shop.provider_id
    await change(desk, delete(AvailabilityRule).where(mine))
    refused = await move(desk, booking_id, now() + DAY)
    assert refused.refusal == "outside_opening_hours"
    assert await live(desk, shop) == 1


@pytest.mark.parametrize(
    ("actor", "before_start", "refusal"),
    [
        (CLIENT, timedelta(hours=25), None),
        (CLIENT, timedelta(hours=23), "too_late"),
        (PROVIDER, timedelta(minutes=1), None),
        (OPS, timedelta(minutes=1), None),
        (PROVIDER, timedelta(0), "too_late"),
        (OPS, -timedelta(minutes=1), "too_late"),
    ],
)
async def test_a_client_may_move_until_the_cutoff_and_the_others_until_the_start(
    desk: Desk, actor: Actor, before_start: timedelta, refusal: str | None
) -> None:
    shop = await desk.shop()
    booking_id = await confirmed_in(desk, shop, timedelta(days=3))
    starts_at = (await shop.session_of(booking_id)).starts_at
    moved = await move(desk, booking_id, starts_at + DAY, actor=actor, at=starts_at - before_start)
    assert moved.refusal == refusal


async def test_a_booking_is_not_moved_into_the_past_or_closer_than_the_notice(desk: Desk) -> None:
    shop = await desk.shop(policy={"min_notice": "PT6H", "reschedule_cutoff": "PT0S"})
    booking_id = await confirmed_in(desk, shop, DAY)
    assert (await move(desk, booking_id, now() - timedelta(hours=1))).refusal == "too_late"
    soon = now() + timedelta(hours=3)
    assert (await move(desk, booking_id, soon, actor=CLIENT)).refusal == "too_late"
    assert (await move(desk, booking_id, soon, actor=PROVIDER)).refusal is None


@pytest.mark.parametrize("before", [Desk.opened, Desk.earned], ids=["unpaid", "over"])
async def test_only_a_confirmed_booking_can_be_moved(desk: Desk, before: Any) -> None:
    booking_id = await before(desk, await desk.shop())
    assert (await move(desk, booking_id, now() + DAY)).refusal == "invalid_state"


async def test_moving_away_wins_back_no_fee_that_was_due(desk: Desk) -> None:
    shop = await desk.shop(policy=ANY_TIME)
    booking_id = await desk.confirmed(shop)  # two hours away: half of it would be kept
    await move(desk, booking_id, now() + timedelta(days=3), actor=CLIENT)
    assert (await shop.booking(booking_id)).refund_cap_bps == 5000
    await desk.activities().payments.settle(cancelled_by(CLIENT, booking_id))
    assert (await desk.picture(booking_id)).captured == shop.amount // 2


async def test_a_provider_who_moves_a_booking_costs_the_client_nothing(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    await move(desk, booking_id, now() + timedelta(days=3))
    await desk.activities().payments.settle(cancelled_by(CLIENT, booking_id))
    assert (await desk.picture(booking_id)).captured == 0


@pytest.mark.parametrize(
    ("policy", "by", "replan"),
    [({}, timedelta(days=2), False), ({}, FAR_OFF, True), (CHARGE_NOW, FAR_OFF, False)],
    ids=["inside the authorization", "beyond it", "charged already"],
)
async def test_a_payment_is_replanned_where_its_authorization_would_not_live_to_see_the_new_date(
    desk: Desk, policy: dict[str, Any], by: timedelta, *, replan: bool
) -> None:
    shop = await desk.shop(policy=policy)
    booking_id = await desk.confirmed(shop)
    starts_at = (await shop.session_of(booking_id)).starts_at
    assert (await move(desk, booking_id, starts_at + by)).booking.replan is replan


async def test_a_client_cannot_move_out_of_reach_of_a_fee_that_was_due(desk: Desk) -> None:
    shop = await desk.shop(amount=PRICE, policy=ANY_TIME)
    booking_id = await desk.confirmed(shop)  # two hours away: half of it would be kept
    starts_at = (await shop.session_of(booking_id)).starts_at + FAR_OFF
    moved = (await move(desk, booking_id, starts_at, actor=CLIENT)).booking
    assert (moved.payment_status, moved.replan) == (PaymentStatus.AUTHORIZED, False)
    assert moved.renew_at is not None
    again = (await move(desk, booking_id, starts_at + DAY)).booking  # whoever moves it next
    assert not again.replan
    await desk.comes_due(booking_id, renew_at=now())
    early = await desk.activities().authorizations.renew_authorization(do(booking_id))
    assert early.payment_status is PaymentStatus.CAPTURED
    await desk.activities().payments.settle(cancelled_by(CLIENT, booking_id))
    picture = await desk.picture(booking_id)
    assert (picture.captured, picture.refunds) == (PRICE, (PRICE // 2,))


async def test_a_client_who_moves_a_booking_while_it_is_free_has_it_charged_nearer_the_date(
    desk: Desk,
) -> None:
    shop = await desk.shop()
    booking_id = await confirmed_in(desk, shop, 2 * DAY)
    starts_at = (await shop.session_of(booking_id)).starts_at
    assert (await move(desk, booking_id, starts_at + FAR_OFF, actor=CLIENT)).booking.replan


async def test_an_order_that_wakes_up_after_a_later_one_does_not_move_the_booking_back(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    first = await shop.session_of(booking_id)
    moved = await move(desk, booking_id, first.starts_at + DAY, was_in=first.id)
    again = await move(desk, booking_id, first.starts_at + DAY, was_in=first.id)
    assert again == moved, "a repeated order is answered, wherever the booking was before"
    later = await move(desk, booking_id, first.starts_at + 2 * DAY, was_in=moved.booking.session_id)
    assert later.refusal is None
    slow = await move(desk, booking_id, first.starts_at + DAY, was_in=first.id)
    assert (slow.refusal, slow.booking) == ("invalid_state", later.booking)


async def test_a_kept_card_gets_its_day_anew(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.saved(shop)
    starts_at = (await shop.session_of(booking_id)).starts_at
    later = await move(desk, booking_id, starts_at + DAY)
    assert later.booking.authorize_at == starts_at + DAY - timedelta(hours=48)
    at = now()
    sooner = await move(desk, booking_id, at + timedelta(hours=5), at=at)
    assert sooner.booking.authorize_at == at


async def test_a_refused_card_is_tried_again_on_the_new_day_when_there_is_one(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.unrepaired(shop)
    at = now()
    sooner = await move(desk, booking_id, at + timedelta(hours=4), at=at)
    assert sooner.booking.fix_by is not None
    assert sooner.booking.fix_by <= at + timedelta(hours=2)
    later = await move(desk, booking_id, at + FAR_OFF)
    assert later.booking.fix_by is None
    await desk.comes_due(booking_id, authorize_at=now())
    tried = await desk.activities().authorizations.authorize(do(booking_id))
    assert tried.fix_by is not None
    assert len(await desk.operations(booking_id, "confirm")) == 2
    assert (await desk.picture(booking_id)).intents == ("requires_payment_method",)


async def test_two_bookings_that_want_one_slot_at_once_are_served_one_after_the_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.database.RETRIED", frozenset())  # a deadlock would surface
    shop = await desk.shop()
    bookings = [await confirmed_in(desk, shop, DAY + timedelta(hours=2 * hour)) for hour in range(6)]
    wanted = now() + timedelta(days=4)
    moved = await asyncio.gather(*(move(desk, booking_id, wanted) for booking_id in bookings))
    assert sorted(one.refusal or "" for one in moved) == ["", *["slot_taken"] * 5]
    assert await live(desk, shop) == 6


async def test_a_move_that_dies_at_its_commit_is_answered_by_the_next_try(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.confirmed(shop)
    starts_at = (await shop.session_of(booking_id)).starts_at + DAY
    mortal = desk.activities(MortalDatabase(desk.database, Tripwire(1)))
    order = Reschedule(actor=PROVIDER, starts_at=starts_at)
    with pytest.raises(Killed):
        await mortal.bookings.reschedule(Moving(booking_id=booking_id, at=now(), order=order))
    assert (await move(desk, booking_id, starts_at)).refusal is None
    assert await live(desk, shop) == 1


# --- classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False], ids=["by its id", "by its time"])
async def test_a_seat_moves_to_another_class_and_neither_class_changes(desk: Desk, *, named: bool) -> None:
    shop = await desk.shop()
    first, second = await put_up(desk, shop), await put_up(desk, shop, starts_in=2 * DAY)
    booking_id = await confirmed_seat(desk, shop, first)
    target = await desk.database.run(lambda session: session.get_one(Session, second))
    moved = await move(desk, booking_id, target.starts_at, session_id=second if named else None)
    assert (moved.refusal, moved.booking.session_id) == (None, second)
    assert moved.booking.completion_due_at == target.ends_at + DAY
    assert await session_status(desk, first) is await session_status(desk, second) is SessionStatus.SCHEDULED
    assert await move(desk, booking_id, target.starts_at, session_id=second) == moved


@pytest.mark.parametrize("how", ["capacity_full", "already_booked", "class_not_found"])
async def test_a_seat_stays_where_it_is_when_there_is_none_elsewhere(desk: Desk, how: str) -> None:
    shop = await desk.shop()
    first, second = await put_up(desk, shop), await put_up(desk, shop, starts_in=2 * DAY)
    booking_id = await confirmed_seat(desk, shop, first)
    if how == "capacity_full":
        for _ in range(2):
            await seat(desk, await another_client(desk, shop), second)
    elif how == "already_booked":
        await seat(desk, shop, second)
    else:
        second = uuid4()
    refused = await move(desk, booking_id, now() + 2 * DAY, session_id=second)
    assert (refused.refusal, refused.booking.session_id) == (how, first)


async def test_seats_that_are_swapped_at_once_do_not_wait_for_each_other_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.database.RETRIED", frozenset())
    shop = await desk.shop()
    here, there = await put_up(desk, shop), await put_up(desk, shop, starts_in=2 * DAY)
    one = await confirmed_seat(desk, shop, here)
    other = await confirmed_seat(desk, await another_client(desk, shop), there)
    moved = await asyncio.gather(
        move(desk, one, now() + 2 * DAY, session_id=there),
        move(desk, other, now() + DAY, session_id=here),
    )
    assert [change.refusal for change in moved] == [None, None]
    assert [change.booking.session_id for change in moved] == [there, here]
