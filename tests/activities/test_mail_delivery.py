"""The way out of the outbox, over SMTP to the sandbox's mail server: at least once, in its own time."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, MutableMapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs
from temporalio.testing import ActivityEnvironment

from activities.inbox import Inbox
from activities.notifications import BATCH, NO_SERVER, waiting
from activities.relay import RelayActivities
from models.announcements import Kind
from models.catalogue import Client
from models.database import Database
from models.notifications import Notification
from models.outbox import announce
from sandbox.mail import Fault
from tests.activities.desk import Desk, now, number
from tests.activities.letters import is_handled, letter, stored
from tests.activities.mailroom import OPS, Mailroom, address_of, open_mailroom
from tests.sandbox.stripe.conftest import until
from tests.support.shop import Shop


@pytest.fixture
async def room(desk: Desk, quiet: Database, tmp_path: Path) -> AsyncIterator[Mailroom]:
    async with open_mailroom(desk, quiet, tmp_path) as opened:
        yield opened


async def confirmed(room: Mailroom) -> tuple[Shop, UUID]:
    """A booking just confirmed; only what is told of that is in the outbox."""
    shop = await room.shop()
    booking_id = await room.desk.confirmed(shop)
    return shop, booking_id


async def the(room: Mailroom, booking_id: UUID, kind: str) -> Notification:
    (row,) = await room.rows(booking_id, kind)
    return row


async def test_a_mail_is_sent_once_with_its_text_its_page_and_its_invitation(room: Mailroom) -> None:
    shop, booking_id = await confirmed(room)
    assert await room.postman().send_due() == 2
    assert await room.postman().send_due() == 0
    (message,) = room.received(address_of(shop))
    row = await the(room, booking_id, "confirmed")
    assert row.sent_at is not None
    assert message.message_id == f"<{row.id}@shop.example>"
    assert message.sender == "bookings@shop.example"
    assert message.subject.startswith("Confirmed: Lesson on ")
    assert [part.content_type for part in message.parts] == [
        "text/plain",
        "text/html",
        "text/calendar",
        "text/calendar",
    ]
    assert message.attachments == ["invite.ics"]
    assert f"https://shop.example/bookings/{booking_id}" in message.text


async def test_two_postmen_share_the_work_and_send_each_mail_once(room: Mailroom) -> None:
    bookings = [(await confirmed(room))[1] for _ in range(BATCH)]
    sent = await asyncio.gather(room.postman().send_due(), room.postman().send_due())
    assert list(sent) == [BATCH, BATCH]
    ids = [message.message_id for message in room.received()]
    assert len(set(ids)) == len(ids) == 2 * len(bookings)


async def test_a_mail_whose_answer_was_lost_is_sent_again_as_the_same_message(room: Mailroom) -> None:
    shop, booking_id = await confirmed(room)
    room.mailbox.misbehave(Fault.FORGET_TO_ANSWER)
    assert await room.postman().send_due() == 0
    room.mailbox.misbehave(Fault.NONE)
    await room.come_due(booking_id, "confirmed")
    assert await room.postman().send_due() >= 1
    first, second = room.received(address_of(shop))
    assert (
        first.message_id
        == second.message_id
        == f"<{(await the(room, booking_id, 'confirmed')).id}@shop.example>"
    )
    assert first.text == second.text
    assert [part.content for part in first.parts] == [part.content for part in second.parts]


async def test_a_worker_that_dies_after_the_server_took_the_mail_lets_another_send_the_same_one(
    room: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, booking_id = await confirmed(room)

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr("activities.notifications._sent", dies)
        with pytest.raises(asyncio.CancelledError):
            await room.postman().send_due()
    assert await room.postman().send_due() == 0, "the lease has not run out"
    await room.come_due(booking_id, "confirmed")
    assert await room.postman().send_due() == 1
    assert len({message.message_id for message in room.received(address_of(shop))}) == 1
    assert len(room.received(address_of(shop))) == 2


async def test_a_mail_waits_for_its_server_with_growing_patience_and_for_ever(room: Mailroom) -> None:
    shop, booking_id = await confirmed(room)
    await room.close()
    waits = []
    for attempts in (0, 1, 5, 9, 10, 1000):
        await room.come_due(booking_id, "confirmed", attempts=attempts)
        await room.postman().send_due()
        row = await the(room, booking_id, "confirmed")
        assert (row.sent_at, row.dropped_at, row.attempts) == (None, None, attempts + 1)
        ahead = select(func.extract("epoch", Notification.next_attempt_at - func.now())).where(
            Notification.id == row.id
        )
        waits.append(await number(room.database, ahead))
    expected = [1, 2, 32, 512, 600, 600]
    assert all(wanted - 2 <= wait <= wanted for wanted, wait in zip(expected, waits, strict=True)), waits
    await room.open()
    await room.come_due(booking_id)
    while await room.postman().send_due():
        pass
    assert len(room.received(address_of(shop))) == 1


async def test_a_server_that_hangs_or_is_away_delays_neither_the_saga_nor_its_events(
    room: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.inbox.FIRST_DELIVERY", timedelta(0))
    room.mailbox.misbehave(Fault.HANG)
    inbox = Inbox(room.database, room.desk.temporal)
    relay = RelayActivities(room.database, inbox, room.desk.gateway, now, postman=room.postman())
    environment, beats = ActivityEnvironment(), []
    environment.on_heartbeat = lambda *details: beats.append(details[0])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(environment.run(relay.relay_inbox))
        shop, booking_id = await confirmed(room)

        async def under_way() -> bool:
            return (await the(room, booking_id, "confirmed")).next_attempt_at > datetime.now(UTC) + timedelta(
                minutes=1
            )

        await until(under_way)
        event = await stored(inbox, letter("customer.created", about="cus_1"))
        await until(partial(is_handled, room.database, event))
        assert (await the(room, booking_id, "confirmed")).sent_at is None
        room.mailbox.misbehave(Fault.NONE)

        async def arrived() -> bool:
            return len(room.received(address_of(shop))) == 1

        await until(arrived)
        environment.worker_shutdown()
    assert running.result().delivered >= 1
    assert beats


async def test_a_client_who_has_paid_is_not_asked_to_pay(room: Mailroom) -> None:
    _, booking_id = await confirmed(room)
    await room.come_due(booking_id, "pay_soon")
    await room.postman().send_due()
    row = await the(room, booking_id, "pay_soon")
    assert (row.sent_at, row.last_error) == (None, "not true any more")
    assert row.dropped_at is not None


async def test_a_client_who_has_not_paid_by_half_of_the_window_is_asked_to(room: Mailroom) -> None:
    shop = await room.shop()
    booking_id = await room.desk.opened(shop)
    booking = await shop.booking(booking_id)
    row = await the(room, booking_id, "pay_soon")
    assert row.next_attempt_at < booking.expires_at
    assert await room.postman().send_due() == 0
    await room.come_due(booking_id)
    assert await room.postman().send_due() == 1
    (message,) = room.received(address_of(shop))
    assert "To pay: 120.00 EUR" in message.text


async def test_a_reminder_of_a_start_that_has_moved_is_dropped(room: Mailroom) -> None:
    _, booking_id = await confirmed(room)
    for starts_at in (now() + timedelta(days=9),):
        await room.database.run(
            lambda session, starts_at=starts_at: announce(  # type: ignore[misc]
                session, Kind.RESCHEDULED, booking_id, now(), starts_at=starts_at
            )
        )
    await room.come_due(booking_id, "reminder")
    while await room.postman().send_due():
        pass
    for row in await room.rows(booking_id, "reminder"):
        assert row.dropped_at is not None
        assert row.sent_at is None


async def test_a_recipient_who_does_not_exist_is_given_up_and_nobody_else(room: Mailroom) -> None:
    _, booking_id = await confirmed(room)
    room.mailbox.misbehave(Fault.REJECT)
    await room.postman().send_due()
    row = await the(room, booking_id, "confirmed")
    assert row.dropped_at is not None
    assert row.last_error == "recipient refused: 550"


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.DENY])
async def test_a_server_that_will_not_have_us_now_gets_the_mail_later(room: Mailroom, fault: Fault) -> None:
    shop, booking_id = await confirmed(room)
    room.mailbox.misbehave(fault)
    assert await room.postman().send_due() == 0
    room.mailbox.misbehave(Fault.NONE)
    await room.come_due(booking_id, "confirmed")
    await room.postman().send_due()
    assert len(room.received(address_of(shop))) == 1
    assert (await the(room, booking_id, "confirmed")).last_error is None


@pytest.mark.parametrize("email", [None, "", "nobody", "a@b.example\r\nBcc: c@d.example"])
async def test_who_has_no_address_gets_no_mail_and_the_row_says_so(room: Mailroom, email: str | None) -> None:
    shop, booking_id = await confirmed(room)
    await room.run(update(Client).where(Client.id == shop.client_id).values(email=email))
    await room.postman().send_due()
    row = await the(room, booking_id, "confirmed")
    assert row.dropped_at is not None
    assert row.last_error in ("the client has no address", "the client has no valid address")


async def test_an_address_in_any_script_is_written_to(room: Mailroom) -> None:
    shop, _ = await confirmed(room)
    await room.run(update(Client).where(Client.id == shop.client_id).values(email="zoë@bücher.example"))
    await room.postman().send_due()
    assert [message.subject.partition(":")[0] for message in room.received("zoë@bücher.example")] == [
        "Confirmed"
    ]


@pytest.mark.parametrize(("ops_email", "received"), [(OPS, 1), (None, 0)], ids=["named", "nobody"])
async def test_ops_hear_of_an_objection_if_there_is_somebody_to_tell(
    room: Mailroom, ops_email: str | None, received: int
) -> None:
    _, booking_id = await confirmed(room)
    await room.database.run(
        lambda session: announce(session, Kind.OBJECTED, booking_id, now(), since=now(), amount=9_600)
    )
    while await room.postman(ops_email=ops_email).send_due():
        pass
    assert len(room.received(OPS)) == received
    assert all(row.sent_at or row.dropped_at for row in await room.rows(booking_id, "objected"))


async def test_a_mail_that_cannot_be_written_holds_up_no_other(room: Mailroom) -> None:
    shop, booking_id = await confirmed(room)
    (first, *_) = await room.rows(booking_id, "booked")
    await room.run(update(Notification).where(Notification.id == first.id).values(kind="of_a_newer_version"))
    assert await room.postman().send_due() == 1
    assert len(room.received(address_of(shop))) == 1
    row = await the(room, booking_id, "of_a_newer_version")
    assert (row.sent_at, row.dropped_at, row.attempts) == (None, None, 1)


async def test_without_a_server_mails_stay_and_are_counted(room: Mailroom) -> None:
    _, booking_id = await confirmed(room)
    postman, stop = room.postman(smtp_url=None), asyncio.Event()
    with capture_logs() as logs:
        working = asyncio.create_task(postman.work(stop))
        await until(partial(_said, logs, NO_SERVER))
        stop.set()
        await working
    assert await room.database.run(waiting) == 2, "the reminder to pay is not late yet"
    assert await room.postman().send_due() == 2
    assert await room.database.run(waiting) == 0
    assert {row.sent_at is not None for row in await room.rows(booking_id, "confirmed")} == {True}


async def _said(logs: list[MutableMapping[str, Any]], words: str) -> bool:
    return any(line["event"] == words for line in logs)


async def test_no_log_line_and_no_row_names_an_address_whatever_the_server_says(
    room: Mailroom, caplog: pytest.LogCaptureFixture
) -> None:
    shop, booking_id = await confirmed(room)
    caplog.set_level(logging.DEBUG)
    canary = address_of(shop)
    lines: list[str] = []
    with capture_logs() as logs:
        for fault in (Fault.REFUSE, Fault.DENY, Fault.FORGET_TO_ANSWER, Fault.REJECT):
            room.mailbox.misbehave(fault)
            await room.come_due(booking_id)
            await room.postman().send_due()
            lines += [repr(row.last_error) + json.dumps(row.facts) for row in await room.rows(booking_id)]
    ours = [record for record in caplog.records if not record.name.startswith("mail.")]  # the sandbox's own
    lines += [repr(line) for line in logs] + [record.getMessage() for record in ours]
    assert {line["event"] for line in logs} >= {"mail not sent", "mail dropped"}
    assert room.received(canary), "the canary was in use"
    assert not [line for line in lines if canary in line or "Test Client" in line]
