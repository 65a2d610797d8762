"""A mail server that takes everything and delivers nothing: what was sent can be read over HTTP.

`GET /messages?to=` lists what was received, newest first; `DELETE /messages` forgets it. `PUT /fault`
with `{"kind": ...}` lets it misbehave until told otherwise: see `Fault`.
"""

import argparse
import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import StrEnum
from functools import partial
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI
from pydantic import AwareDatetime, BaseModel

HOST = "127.0.0.1"

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at TEXT NOT NULL,
    sender      TEXT NOT NULL,
    recipients  TEXT NOT NULL,
    content     BLOB NOT NULL
)
"""


class Fault(StrEnum):
    """How the server misbehaves."""

    NONE = "none"
    REFUSE = "refuse"
    """451 to every mail: try again later."""
    REJECT = "reject"
    """550 to every recipient: nobody lives here."""
    DENY = "deny"
    """554 5.7.1 to every recipient: you may not send from there."""
    HANG = "hang"
    """The mail is taken in and never answered for, nor kept."""
    FORGET_TO_ANSWER = "forget_to_answer"
    """The mail is kept, and the connection is gone before the answer."""


REFUSALS = {
    Fault.REFUSE: "451 4.3.0 Try again later",
    Fault.REJECT: "550 5.1.1 <{address}> User unknown",
    Fault.DENY: "554 5.7.1 <{address}> Relay access denied",
}
"""Servers quote addresses, so this one does."""


class FaultOrder(BaseModel):
    """What `PUT /fault` takes."""

    kind: Fault


class Part(BaseModel):
    """One part of a message; parts that only hold others are left out."""

    content_type: str
    filename: str | None
    parameters: dict[str, str]
    content: str


class Message(BaseModel):
    """A message as it was handed over, with its text made readable."""

    id: int
    message_id: str | None
    received_at: AwareDatetime
    sender: str
    recipients: list[str]
    subject: str
    text: str
    html: str | None
    headers: dict[str, str]
    attachments: list[str]
    parts: list[Part]


class Mailbox:
    """Every message ever received, in one SQLite file; also the handler that the SMTP server calls."""

    def __init__(self, database: Path) -> None:
        self._database = sqlite3.connect(database, isolation_level=None)
        self._database.execute(SCHEMA)
        self._fault = Fault.NONE
        self._fault_over = asyncio.Event()

    def misbehave(self, fault: Fault) -> None:
        """From now on; whoever hangs in the fault before it is let go without an answer."""
        self._fault = fault
        self._fault_over.set()
        self._fault_over = asyncio.Event()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the recipient, unless told not to."""
        if self._fault in REFUSALS:
            return REFUSALS[self._fault].format(address=address)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Store one message; SMTP's answer is its number."""
        if self._fault is Fault.HANG:
            await self._fault_over.wait()
            return "451 4.3.0 Try again later"
        content = envelope.content or b""
        stored = self._database.execute(
            "INSERT INTO messages (received_at, sender, recipients, content) VALUES (?, ?, ?, ?)",
            (
                datetime.now(UTC).isoformat(),
                envelope.mail_from or "",
                json.dumps(envelope.rcpt_tos),
                content if isinstance(content, bytes) else content.encode(),
            ),
        )
        if self._fault is Fault.FORGET_TO_ANSWER and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return f"250 Stored as message {stored.lastrowid}"

    def messages(self, to: str | None) -> Iterator[Message]:
        """Yield the messages to that address, or all, newest first."""
        for number, received_at, sender, recipients, content in self._database.execute(
            "SELECT id, received_at, sender, recipients, content FROM messages ORDER BY id DESC"
        ):
            addresses = json.loads(recipients)
            if to is None or to.casefold() in map(str.casefold, addresses):
                yield _read(number, received_at, sender, addresses, content)

    def clear(self) -> None:
        """Forget everything."""
        self._database.execute("DELETE FROM messages")


def _read(number: int, received_at: str, sender: str, recipients: list[str], content: bytes) -> Message:
    parsed = message_from_bytes(content, EmailMessage, policy=policy.default)
    return Message(
        id=number,
        message_id=parsed.get("Message-ID"),
        received_at=datetime.fromisoformat(received_at),
        sender=sender,
        recipients=recipients,
        subject=str(parsed.get("subject", "")),
        text=_body(parsed, "plain") or "",
        html=_body(parsed, "html"),
        headers={name: str(value) for name, value in parsed.items()},
        attachments=[part.get_filename() or part.get_content_type() for part in parsed.iter_attachments()],
        parts=[_part(part) for part in parsed.walk() if not part.is_multipart()],
    )


def _part(part: EmailMessage) -> Part:
    content = part.get_content()
    return Part(
        content_type=part.get_content_type(),
        filename=part.get_filename(),
        parameters={name: str(value) for name, value in part["Content-Type"].params.items()},
        content=content if isinstance(content, str) else bytes(content).decode(errors="replace"),
    )


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content())


def create_app(mailbox: Mailbox) -> FastAPI:
    """Build the HTTP side."""
    app = FastAPI(title="Sandbox mail")

    @app.get("/messages")
    async def read(to: str | None = None) -> list[Message]:
        return list(mailbox.messages(to))

    @app.delete("/messages", status_code=204)
    async def clear() -> None:
        mailbox.clear()

    @app.put("/fault", status_code=204)
    async def misbehave(order: FaultOrder) -> None:
        mailbox.misbehave(order.kind)

    return app


async def serve(port: int, http_port: int, database: Path) -> None:
    """Serve SMTP and HTTP until SIGTERM."""
    with closing(Mailbox(database)) as mailbox:
        smtp = await asyncio.get_running_loop().create_server(
            partial(SMTP, mailbox, hostname="localhost", enable_SMTPUTF8=True), HOST, port
        )
        async with smtp:
            await uvicorn.Server(
                uvicorn.Config(create_app(mailbox), host=HOST, port=http_port, log_level="warning")
            ).serve()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=1025, help="SMTP")
    parser.add_argument("--http-port", type=int, default=8025)
    parser.add_argument("--database", type=Path, default=Path("mail.sqlite"))
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.http_port, options.database))


if __name__ == "__main__":
    main()
