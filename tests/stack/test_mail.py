import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from aiosmtpd.smtp import SMTP

from sandbox.mail import Mailbox, create_app


@asynccontextmanager
async def mail(database: Path) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    mailbox = Mailbox(database)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    transport = httpx.ASGITransport(create_app(mailbox))
    async with server, httpx.AsyncClient(transport=transport, base_url="http://mail") as client:
        yield server.sockets[0].getsockname()[1], client
    mailbox.close()


def send(port: int, to: str, subject: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "bookings@example.com", to, subject
    message.set_content("See you in Zürich.")
    message.add_alternative("<p>See you</p>", subtype="html")
    message.add_attachment("BEGIN:VCALENDAR", subtype="calendar", filename="invite.ics")
    with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as smtp:
        smtp.send_message(message)


async def test_a_message_that_was_sent_can_be_read_also_after_a_restart(tmp_path: Path) -> None:
    async with mail(tmp_path / "mail.sqlite") as (port, _):
        await asyncio.to_thread(send, port, "alice@example.com", "Bestätigt")
    async with mail(tmp_path / "mail.sqlite") as (_, client):
        (message,) = (await client.get("/messages")).json()
    assert message["subject"] == "Bestätigt"
    assert message["recipients"] == ["alice@example.com"]
    assert message["text"].strip() == "See you in Zürich."
    assert message["html"].strip() == "<p>See you</p>"
    assert message["attachments"] == ["invite.ics"]


async def test_messages_are_listed_by_recipient_newest_first_and_can_be_cleared(tmp_path: Path) -> None:
    async with mail(tmp_path / "mail.sqlite") as (port, client):
        for to, subject in [("alice@example.com", "1"), ("bob@example.com", "2"), ("alice@example.com", "3")]:
            await asyncio.to_thread(send, port, to, subject)
        found = (await client.get("/messages", params={"to": "Alice@example.com"})).json()
        assert [message["subject"] for message in found] == ["3", "1"]
        assert (await client.delete("/messages")).status_code == 204
        assert (await client.get("/messages")).json() == []


@pytest.mark.parametrize(
    ("fault", "code"), [("refuse", 451), ("reject", 550), ("deny", 554)], ids=["later", "nobody", "not you"]
)
async def test_the_server_refuses_as_it_is_told_until_it_is_told_otherwise(
    tmp_path: Path, fault: str, code: int
) -> None:
    async with mail(tmp_path / "mail.sqlite") as (port, client):
        assert (await client.put("/fault", json={"kind": fault})).status_code == 204
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            await asyncio.to_thread(send, port, "alice@example.com", "1")
        assert refused.value.recipients["alice@example.com"][0] == code
        assert (await client.put("/fault", json={"kind": "none"})).status_code == 204
        await asyncio.to_thread(send, port, "alice@example.com", "2")
        (message,) = (await client.get("/messages")).json()
        assert message["subject"] == "2"
        assert [part["content_type"] for part in message["parts"]] == [
            "text/plain",
            "text/html",
            "text/calendar",
        ]
