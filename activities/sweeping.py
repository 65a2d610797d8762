"""Events that no webhook brought: read from Stripe's own list and put into the inbox (TRAPS 18)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import UNREADABLE, StripeFailure
from activities.inbox import Inbox
from activities.routing import HANDLED
from activities.stripe_gateway import StripeGateway
from activities.stripe_webhooks import swept
from models.bookings import Booking
from models.catalogue import PayoutSchedule, Provider
from models.database import Database
from models.payments import Payout
from models.records import Cursor, StripeEvent
from models.states import PayoutStatus

log = structlog.get_logger()

FIRST_SWEEP: Final = timedelta(hours=24)
OVERLAP: Final = timedelta(minutes=30)
"""Events are listed by when they happened, and clocks differ; an event is only ever stored once."""

WAITING: Final = (PayoutStatus.HELD, PayoutStatus.FROZEN, PayoutStatus.PROCESSING, PayoutStatus.BLOCKED)


class Sweep:
    """Looks through Stripe's events since it last did."""

    def __init__(
        self, database: Database, inbox: Inbox, gateway: StripeGateway, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._gateway = gateway
        self._now = now

    async def run(self) -> int:
        """Store every event that is not in the inbox; answers how many. The relay delivers them."""
        stored = await self._sweep(None)
        for account in await self._database.run(_accounts):
            try:
                stored += await self._sweep(account)
            except StripeFailure as failure:
                if failure.failure not in UNREADABLE:
                    raise
                log.warning("events of an account cannot be read", account=account, failure=failure.failure)
        return stored

    async def _sweep(self, account: str | None) -> int:
        name, began = f"events:{account or 'platform'}", self._now()
        since = await self._database.run(lambda session: _since(session, name)) or began - FIRST_SWEEP
        stored = 0
        async for raw in self._gateway.lists.events(sorted(HANDLED), since - OVERLAP, account):
            event = swept(raw, account)
            if not await self._database.run(partial(_is_stored, event_id=event.id)):
                stored += await self._inbox.store(event)
        await self._database.run(lambda session: _remember(session, name, began))
        if stored:
            log.warning("events made good that no webhook brought", account=account, events=stored)
        return stored


async def _accounts(session: AsyncSession) -> list[str]:
    """Accounts whose news somebody waits for: payouts by hand, and payouts that are blocked."""
    account = func.coalesce(Payout.stripe_account_id, Provider.stripe_account_id)
    by_hand = or_(
        Provider.payout_schedule == PayoutSchedule.MANUAL,
        Booking.policy["payout_schedule"].astext == PayoutSchedule.MANUAL,
        Payout.status == PayoutStatus.BLOCKED,
    )
    query = (
        select(account)
        .join(Provider, Provider.id == Payout.provider_id)
        .join(Booking, Booking.id == Payout.booking_id)
        .where(Payout.status.in_(WAITING), by_hand, account.is_not(None))
        .distinct()
    )
    return sorted(await session.scalars(query))


async def _since(session: AsyncSession, name: str) -> datetime | None:
    return await session.scalar(select(Cursor.at).where(Cursor.name == name))


async def _is_stored(session: AsyncSession, event_id: str) -> bool:
    return await session.get(StripeEvent, event_id) is not None


async def _remember(session: AsyncSession, name: str, at: datetime) -> None:
    moved = insert(Cursor).values(name=name, at=at)
    await session.execute(moved.on_conflict_do_update(index_elements=[Cursor.name], set_={"at": at}))
