"""The way to the mail server: the only module that imports aiosmtplib.

What a server answers may quote the address, so only its code ever leaves this module.
"""

import asyncio
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import aiosmtplib
from pydantic import BaseModel, ConfigDict, SecretStr

TIMEOUT: Final = 10.0
"""Seconds for each answer of the server."""
PATIENCE: Final = 30.0
"""Seconds for one mail from first to last; far less than its lease."""
ADDRESS_REFUSED: Final = frozenset(range(550, 560))
"""RFC 5321, 4.2.2: x5x is about the mail system. Of 50x and 53x it is us who have to do something."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class RecipientRefused(Exception):
    """The server will never take mail for this person; the message is its code."""


class MailFailed(Exception):
    """Not handed over, as far as we know; the message says why, without an address."""


class Server(BaseModel):
    """Where mail goes, as `SMTP_URL` says it: `smtp://user:password@host:port`, or `smtps://`."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    tls: bool
    """From the first byte; without it, STARTTLS is used where the server offers it."""
    username: str | None = None
    password: SecretStr | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read an `SMTP_URL`.

        Raises:
            ValueError: it is not one; the message never quotes it, for it holds a password.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port of SMTP_URL is not a number below 65536") from None
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("SMTP_URL must look like smtp://user:password@host:port, or smtps://…")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("SMTP_URL ends after the port; write / ? # in a password as %2F %3F %23")
        tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname,
            port=port or (465 if tls else 587 if parts.username else 25),
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=SecretStr(unquote(parts.password)) if parts.password else None,
        )

    @property
    def start_tls(self) -> bool | None:
        """A password never leaves this machine in the clear; otherwise None: if the server can."""
        if self.tls:
            return False
        return True if self.username and self.host not in LOOPBACK else None


class Mailer:
    """Hands one message at a time to the mail server, over a connection of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def send(self, message: EmailMessage, sender: str, recipient: str) -> None:
        """Return once the server has taken the message over.

        Raises:
            RecipientRefused: the server will never have this address (55x to RCPT).
            MailFailed: anything else; also when the server may have taken it and could not say so.
        """
        try:
            async with asyncio.timeout(PATIENCE), self._connection(sender) as connection:
                await _hand_over(connection, message, sender, recipient)
        except aiosmtplib.SMTPResponseException as answer:
            raise MailFailed(f"{type(answer).__name__}: {answer.code}") from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise MailFailed(type(error).__name__) from None

    def _connection(self, sender: str) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=sender.rpartition("@")[2],  # or a resolver would be asked for this machine's name
            username=server.username,
            password=server.password.get_secret_value() if server.password else None,
            use_tls=server.tls,
            start_tls=server.start_tls,
            timeout=TIMEOUT,
        )


async def _hand_over(connection: aiosmtplib.SMTP, message: EmailMessage, sender: str, recipient: str) -> None:
    international = not recipient.isascii()
    content = message.as_bytes(policy=WIRE.clone(utf8=international))
    options = ["SMTPUTF8", "BODY=8BITMIME"] if international else []
    try:
        await connection.sendmail(sender, [recipient], content, mail_options=options)
    except aiosmtplib.SMTPRecipientsRefused as refused:
        (answer,) = refused.recipients
        kind = RecipientRefused if _for_good(answer) else MailFailed
        raise kind(f"recipient refused: {answer.code}") from None
    except aiosmtplib.SMTPNotSupported:
        raise RecipientRefused("the server has no SMTPUTF8 for this address") from None


def _for_good(answer: aiosmtplib.SMTPRecipientRefused) -> bool:
    """Whether it is the recipient that the server refuses, and not us: who has to log in, or may not relay (RFC 3463, 5.7.x)."""
    return answer.code in ADDRESS_REFUSED and not answer.message.startswith("5.7.")
