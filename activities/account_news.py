"""News of a provider's account: read it again, keep what payouts depend on, wake what waits for it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.errors import Failure, StripeFailure
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Account
from activities.telling import Telling
from models.catalogue import Provider
from models.database import Database
from models.payments import Payout
from models.states import PayoutStatus
from workflows.contracts import AccountFact

ACCOUNT_GONE: Final = frozenset({Failure.PROVIDER_NOT_PAYABLE, Failure.STRIPE_AUTHENTICATION})
WOKEN_AT_ONCE: Final = 100


class AccountNews:
    """Takes up what happened to accounts."""

    def __init__(self, database: Database, gateway: StripeGateway, telling: Telling) -> None:
        self._database = database
        self._gateway = gateway
        self._telling = telling

    async def take_up(self, account_id: str | None) -> bool:
        """Bring the account's provider up to date and wake its blocked payouts; False for a stranger's."""
        ours = select(Provider.id).where(Provider.stripe_account_id == account_id)
        provider_id = await self._database.run(lambda session: session.scalar(ours))
        if account_id is None or provider_id is None:
            return False
        account = await self._account(account_id)
        changed = (
            update(Provider)
            .where(Provider.id == provider_id)
            .values(
                transfers_active=account is not None and account.transfers_active,
                payouts_enabled=account is not None and account.payouts_enabled,
            )
        )
        await self._database.run(lambda session: session.execute(changed))
        if account is not None and account.transfers_active:
            await self._wake(provider_id, AccountFact(account_id=account_id))
        return True

    async def _account(self, account_id: str) -> Account | None:
        """The account, unless it has been taken from us (deauthorized, deleted)."""
        try:
            return await self._gateway.retrieve_account(account_id)
        except StripeFailure as failure:
            if failure.failure not in ACCOUNT_GONE:
                raise
            return None

    async def _wake(self, provider_id: UUID, fact: AccountFact) -> None:
        last: UUID | None = None
        while batch := await self._blocked(provider_id, last):
            for payout_id, booking_id in batch:
                if not await self._telling.tell(booking_id, "account_changed", fact):
                    await self._telling.tell_aftercare(booking_id, fact)
                last = payout_id
            if activity.in_activity():
                activity.heartbeat()

    async def _blocked(self, provider_id: UUID, after: UUID | None) -> Sequence[tuple[UUID, UUID]]:
        blocked = select(Payout.id, Payout.booking_id).where(
            Payout.provider_id == provider_id, Payout.status == PayoutStatus.BLOCKED
        )
        if after is not None:
            blocked = blocked.where(Payout.id > after)

        async def work(session: AsyncSession) -> Sequence[tuple[UUID, UUID]]:
            found = await session.execute(blocked.order_by(Payout.id).limit(WOKEN_AT_ONCE))
            return [(payout_id, booking_id) for payout_id, booking_id in found]

        return await self._database.run(work)
