"""The outbox's way out: every mail at least once, in its own time, however long the mail server is away.

A row leaves the outbox sent or dropped, never by failing. Logs and `last_error` say what happened
without a name, an address or a server's own words.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, Self

import structlog
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.letters.composing import Composer, Sender, Unaddressable
from activities.letters.reading import Matter, read
from activities.letters.rendering import Letters
from activities.mail import Mailer, MailFailed, RecipientRefused, Server
from models.announcements import still_true
from models.database import Database
from models.notifications import Notification
from settings import MailSettings

log = structlog.get_logger()

BATCH: Final = 8
"""Sent side by side, so that a server that hangs costs one time limit and not eight."""
POLL: Final = timedelta(seconds=1)
"""Due times come without a NOTIFY, and commits that need none do not queue for one."""
LEASE: Final = timedelta(minutes=2)
LAST_WORDS: Final = 5.0
"""Seconds that a mail under way gets when the worker stops; after that it is sent again."""
NO_SERVER: Final = "no SMTP_URL: mails stay in the outbox"


class Postman:
    """Sends what is due."""

    def __init__(
        self,
        database: Database,
        composer: Composer | None,
        mailer: Mailer | None,
        now: Callable[[], datetime],
        ops_email: str | None = None,
    ) -> None:
        self._database = database
        self._composer = composer
        self._mailer = mailer
        self._now = now
        self._ops_email = ops_email

    @classmethod
    def hire(cls, database: Database, settings: MailSettings, now: Callable[[], datetime]) -> Self:
        """Build one from settings.

        Raises:
            ValueError: `SMTP_URL` or `MAIL_FROM` is not what it should be.
        """
        if settings.smtp_url is None or settings.mail_from is None:
            return cls(database, None, None, now)
        composer = Composer(Sender.parse(settings.mail_from), Letters(settings.public_url))
        mailer = Mailer(Server.parse(settings.smtp_url.get_secret_value()))
        return cls(database, composer, mailer, now, settings.ops_email)

    async def work(self, stop: asyncio.Event) -> None:
        """Send until told to stop; nothing that goes wrong ends it."""
        if self._mailer is None:
            log.warning(NO_SERVER)
        while not stop.is_set():
            if not await self._round():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), POLL.total_seconds())

    async def _round(self) -> int:
        try:
            gone = await self.send_due()
            _show_waiting(await self._database.run(waiting))
        except Exception as error:  # noqa: BLE001 - Postgres may be away for a while
            log.warning("outbox not read", failure=type(error).__name__)
            return 0
        return gone

    async def send_due(self) -> int:
        """Send what is due now; answers how many mails left the outbox."""
        if self._composer is None or self._mailer is None:
            return 0
        rows = await self._database.run(_claim)
        handling = (self._handle(row, self._composer, self._mailer) for row in rows)
        # Each comes to its own end: a mail under way is not given up because another's row could not be written.
        outcomes = await asyncio.gather(*handling, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome is True for outcome in outcomes)

    async def _handle(self, row: Notification, composer: Composer, mailer: Mailer) -> bool:
        about = log.bind(
            notification=str(row.id), booking_id=str(row.booking_id), kind=row.kind, to=row.recipient.value
        )
        try:
            await self._send(row, composer, mailer)
        except (RecipientRefused, Unaddressable, Untrue) as final:
            reason = str(final)
            about.info("mail dropped", why=reason)
            await self._database.run(lambda session: _drop(session, row, reason))
            return True
        except Exception as error:  # noqa: BLE001 - one mail must not hold up the others, nor be lost
            reason = str(error) if isinstance(error, MailFailed) else type(error).__name__
            about.warning("mail not sent", why=reason, attempts=row.attempts + 1)
            await self._database.run(lambda session: _postpone(session, row, reason))
            return False
        await self._database.run(lambda session: _sent(session, row))
        about.info("mail sent")
        return True

    async def _send(self, row: Notification, composer: Composer, mailer: Mailer) -> None:
        matter = await self._database.run(lambda session: read(session, row, self._ops_email))
        if not still_true(matter.kind, matter.facts, matter.standing, self._now()):
            raise Untrue("not true any more")
        address = _address(matter)
        message = composer.compose(matter, row.written_at)
        await mailer.send(message, composer.sender.address, address)


class Untrue(Exception):
    """What the mail says has been overtaken."""


def _address(matter: Matter) -> str:
    address = matter.people[matter.recipient].email
    if not address:
        raise Unaddressable(f"the {matter.recipient} has no address")
    return address


@asynccontextmanager
async def delivering(postman: Postman | None) -> AsyncIterator[None]:
    """Let the postman work beside whatever the caller does; it neither waits for him nor he for it."""
    if postman is None:
        yield
        return
    stop = asyncio.Event()
    task = asyncio.create_task(postman.work(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=LAST_WORDS)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _show_waiting(count: int) -> None:
    if activity.in_activity():
        gauge = activity.metric_meter().create_gauge(
            "notifications_pending", "Mails that should have gone out"
        )
        gauge.set(count)


async def _claim(session: AsyncSession) -> list[Notification]:
    """Lease due mails; a worker that dies lets the lease run out."""
    due = (
        select(Notification.id)
        .where(
            Notification.sent_at.is_(None),
            Notification.dropped_at.is_(None),
            Notification.next_attempt_at <= func.now(),
        )
        .order_by(Notification.next_attempt_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    leased = (
        update(Notification)
        .where(Notification.id.in_(due))
        .values(next_attempt_at=func.now() + LEASE)
        .returning(Notification)
    )
    return list(await session.scalars(leased))


async def waiting(session: AsyncSession) -> int:
    """How many mails should have gone out by now; those for later are not late."""
    late = or_(Notification.next_attempt_at <= func.now(), Notification.attempts > 0)
    query = select(func.count()).where(
        Notification.sent_at.is_(None), Notification.dropped_at.is_(None), late
    )
    return int((await session.execute(query)).scalar_one())


async def _sent(session: AsyncSession, row: Notification) -> None:
    await _update(session, row, sent_at=func.now(), last_error=None)


async def _drop(session: AsyncSession, row: Notification, why: str) -> None:
    await _update(session, row, dropped_at=func.now(), last_error=why)


async def _postpone(session: AsyncSession, row: Notification, why: str) -> None:
    """Try again later: 1 s doubling to 10 min, for ever."""
    delay = func.least(600, func.power(2, func.least(Notification.attempts, 12)))
    await _update(
        session,
        row,
        attempts=Notification.attempts + 1,
        next_attempt_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, delay),
        last_error=why,
    )


async def _update(session: AsyncSession, row: Notification, **values: object) -> None:
    await session.execute(
        update(Notification).where(Notification.id == row.id, Notification.sent_at.is_(None)).values(**values)
    )
