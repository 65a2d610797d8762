"""The provider's money: transferred once, sent to the bank where we do that, and kept in line afterwards."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.bank_payouts import BankPayouts
from activities.errors import Failure, StripeFailure
from activities.mirroring import Mirror
from activities.operations import Operations
from activities.rebalancing import Rebalancing
from activities.records import change, load
from activities.standing import state
from activities.stripe_gateway import StripeGateway
from activities.stripe_writes import StripeWrites
from activities.transferring import block, is_in_doubt, is_payable, next_transfer_id, transfer_task
from models.catalogue import Provider
from models.database import Database
from models.states import PayoutStatus
from models.transitions import Change
from workflows.contracts import SYSTEM, BookingState, Do
from workflows.steps import PayoutSteps

ATTEMPTS = 2
"""An account that was swapped under a transfer is refused once; the new one has its chance at once."""


class Transfers:
    """Makes the transfer that a payout asks for, or blocks the payout."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._writes = writes
        self._operations = operations

    async def make(self, row_id: UUID, context: Change, adopt: str | None = None) -> None:
        """Transfer what is due; a provider that cannot be paid blocks the payout.

        Raises:
            StripeFailure: Stripe refused for another reason, or did not answer.
        """
        task = transfer_task(self._writes, context.booking_id, row_id, context)
        for _ in range(ATTEMPTS):
            if adopt is None and not await self._may_try(row_id, context.booking_id):
                break
            try:
                await self._operations.perform(task, adopt)
            except StripeFailure as failure:
                if failure.failure is not Failure.PROVIDER_NOT_PAYABLE:
                    raise
            else:
                return
        await self._database.run(lambda session: block(session, row_id, context))

    async def _may_try(self, row_id: UUID, booking_id: UUID) -> bool:
        """What may have happened is looked up first; otherwise the account has to be able to take it."""
        if await self._database.run(lambda session: is_in_doubt(session, row_id)):
            return True
        account_id = await self._database.run(lambda session: _account_of(session, booking_id))
        if account_id is None:
            return False
        try:
            return (await self._gateway.retrieve_account(account_id)).transfers_active
        except StripeFailure as failure:
            if failure.failure is not Failure.PROVIDER_NOT_PAYABLE:
                raise
            return False


class PayoutActivities(PayoutSteps):
    """Implements `PayoutSteps`."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._mirror = Mirror(database, gateway, writes, operations)
        self._transfers = Transfers(database, gateway, writes, operations)
        self._bank = BankPayouts(database, gateway, writes, operations)
        self._rebalancing = Rebalancing(database, gateway, writes, operations)

    @activity.defn
    async def pay_out(self, step: Do) -> BookingState:
        """Transfer the provider's share; a provider that cannot be paid blocks the payout."""
        context = change(step.booking_id, step.at)
        if await self._database.run(lambda session: _next(session, step.booking_id)) is not None:
            await self._mirror.bring(context)
        # What was contested or refunded meanwhile may have left nothing to transfer.
        row_id = await self._database.run(lambda session: _next(session, step.booking_id))
        if row_id is not None:
            await self._transfers.make(row_id, context, step.adopt)
        return await self._state(step.booking_id)

    @activity.defn
    async def send_to_bank(self, step: Do) -> BookingState:
        """Read what became of the last attempt at the bank; make one where none is under way."""
        context = change(step.booking_id, step.at)
        await self._mirror.bring(context)
        await self._bank.send(context)
        return await self._state(step.booking_id)

    @activity.defn
    async def rebalance(self, step: Do) -> BookingState:
        """Bring what the provider had in line with its share; with `waive`, leave the rest with the platform."""
        context = change(step.booking_id, step.at, step.waive or step.insist or SYSTEM)
        await self._mirror.bring(change(step.booking_id, step.at))
        if step.waive is not None:
            await self._rebalancing.waive(context)
        further = await self._rebalancing.bring(context, insist=step.insist is not None)
        # A transfer that is on its way already, its answer lost, is carried on with.
        if row_id := further or await self._database.run(lambda session: _begun(session, step.booking_id)):
            await self._transfers.make(row_id, context)
        return await self._state(step.booking_id)

    async def _state(self, booking_id: UUID) -> BookingState:
        return await self._database.run(lambda session: state(session, booking_id))


async def _next(session: AsyncSession, booking_id: UUID) -> UUID | None:
    """The transfer that is to be made now, if one is."""
    payout = (await load(session, booking_id)).payout
    return await next_transfer_id(session, payout) if payout and is_payable(payout) else None


async def _begun(session: AsyncSession, booking_id: UUID) -> UUID | None:
    """The transfer that an earlier run has begun."""
    payout = (await load(session, booking_id)).payout
    if payout is None or payout.status is not PayoutStatus.PROCESSING or payout.transfer_id is not None:
        return None
    return await next_transfer_id(session, payout)


async def _account_of(session: AsyncSession, booking_id: UUID) -> str | None:
    rows = await load(session, booking_id)
    return (await session.get_one(Provider, rows.booking.provider_id)).stripe_account_id
