"""A mail server that takes everything and delivers nothing: what was sent can be read over HTTP.

`GET /messages?to=` lists what was received, newest first; `DELETE /messages` forgets it.
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


class Message(BaseModel):
    """A message as it was handed over, with its text made readable."""

    id: int
    received_at: AwareDatetime
    sender: str
    recipients: list[str]
    subject: str
    text: str
    html: str | None
    headers: dict[str, str]
    attachments: list[str]


class Mailbox:
    """Every message ever received, in one SQLite file; also the handler that the SMTP server calls."""

    def __init__(self, database: Path) -> None:
        self._database = sqlite3.connect(database, isolation_level=None)
        self._database.execute(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Store one message; SMTP's answer is its number."""
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
        received_at=datetime.fromisoformat(received_at),
        sender=sender,
        recipients=recipients,
        subject=str(parsed.get("subject", "")),
        text=_body(parsed, "plain") or "",
        html=_body(parsed, "html"),
        headers={name: str(value) for name, value in parsed.items()},
        attachments=[part.get_filename() or part.get_content_type() for part in parsed.iter_attachments()],
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
