"""An outbox of one's own, a postman, and the sandbox's mail server, which may come and go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from aiosmtpd.smtp import SMTP
from pydantic import SecretStr
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from activities.notifications import Postman
from activities.stripe_gateway import utc_now
from models.catalogue import Client
from models.database import Database
from models.notifications import Notification
from sandbox.mail import HOST, Mailbox, Message
from sandbox.stripe.server import bind
from settings import MailSettings
from tests.activities.desk import Desk
from tests.support.shop import Shop

SENDER: Final = "Bookings <bookings@shop.example>"
OPS: Final = "olga@ops.example"


@dataclass
class Mailroom:
    """One test's desk, outbox and mail server."""

    desk: Desk
    mailbox: Mailbox
    port: int
    server: asyncio.Server | None = field(default=None)

    @property
    def database(self) -> Database:
        return self.desk.database

    # --- the server -----------------------------------------------------------------------------

    async def open(self) -> None:
        listener = bind(HOST, self.port)
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: SMTP(self.mailbox, hostname="localhost", enable_SMTPUTF8=True), sock=listener
        )
        self.port = listener.getsockname()[1]

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None

    def postman(self, **changed: Any) -> Postman:
        usual = {
            "smtp_url": SecretStr(f"smtp://{HOST}:{self.port}"),
            "mail_from": SENDER,
            "ops_email": OPS,
            "public_url": "https://shop.example",
        }
        return Postman.hire(self.database, MailSettings(**{**usual, **changed}), utc_now)

    def received(self, to: str | None = None) -> list[Message]:
        """What the server has, the first first."""
        return list(self.mailbox.messages(to))[::-1]

    # --- the outbox -----------------------------------------------------------------------------

    async def shop(self, **options: Any) -> Shop:
        """A shop whose client has an address of its own."""
        shop = await self.desk.shop(**options)
        address = update(Client).where(Client.id == shop.client_id).values(email=address_of(shop))
        await self.run(address)
        return shop

    async def rows(self, booking_id: UUID, kind: str | None = None) -> list[Notification]:
        query = select(Notification).where(Notification.booking_id == booking_id)
        if kind is not None:
            query = query.where(Notification.kind == kind)

        async def work(session: AsyncSession) -> list[Notification]:
            return list(await session.scalars(query.order_by(Notification.written_at, Notification.id)))

        return await self.database.run(work)

    async def told(self, booking_id: UUID) -> list[tuple[str, str]]:
        """Which kinds are written for whom."""
        return sorted((row.kind, row.recipient.value) for row in await self.rows(booking_id))

    async def come_due(self, booking_id: UUID, kind: str | None = None, **values: Any) -> None:
        """The time of a booking's mails has come."""
        rows = update(Notification).where(Notification.booking_id == booking_id)
        if kind is not None:
            rows = rows.where(Notification.kind == kind)
        await self.run(rows.values(next_attempt_at=func.now(), **values))

    async def run(self, statement: Any) -> None:
        async def work(session: AsyncSession) -> None:
            await session.execute(statement)

        await self.database.run(work)


def address_of(shop: Shop) -> str:
    return f"canary-{shop.client_id}@people.example"


@asynccontextmanager
async def open_mailroom(desk: Desk, database: Database, directory: Path) -> AsyncIterator[Mailroom]:
    room = Mailroom(replace(desk, database=database), Mailbox(directory / "mail.sqlite"), port=0)
    await room.run(delete(Notification))
    await room.open()
    try:
        yield room
    finally:
        await room.close()
        room.mailbox.close()
