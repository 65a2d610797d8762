"""The provider's money: one transfer per booking, computed from the ledger (DESIGN section 5)."""

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.errors import Failure, StepError, StripeFailure
from activities.operations import Operations, Task
from activities.records import Records, change, load
from activities.standing import state
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import CreateTransfer, Transfer
from activities.stripe_writes import StripeWrites
from activities.verification import verify_refunds
from models import ledger
from models.catalogue import Provider
from models.database import Database
from models.keys import transfer_group_for
from models.ledger import Account, JournalKind, LedgerEntry, Side
from models.money import split
from models.payments import Payout
from models.states import PayoutStatus
from models.transitions import Change, move
from workflows.contracts import BookingState, Do
from workflows.steps import PayoutSteps

PAYABLE = frozenset({PayoutStatus.HELD, PayoutStatus.BLOCKED, PayoutStatus.PROCESSING})


class PayoutActivities(PayoutSteps):
    """Implements `PayoutSteps`."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._writes = writes
        self._operations = operations

    @activity.defn
    async def pay_out(self, step: Do) -> BookingState:
        """Transfer the provider's share; a provider that cannot be paid blocks the payout."""
        rows = await self._database.run(lambda session: load(session, step.booking_id))
        if rows.payout is not None and rows.payout.status in PAYABLE:
            context = change(step.booking_id, step.at)
            await verify_refunds(self._gateway, rows.payment)
            try:
                await self._operations.perform(self._transfer_of(rows, context), step.adopt)
            except StripeFailure as failure:
                if failure.failure is Failure.PROVIDER_NOT_PAYABLE:
                    await self._database.run(lambda session: _block(session, context))
                raise
        return await self._database.run(lambda session: state(session, step.booking_id))

    def _transfer_of(self, rows: Records, context: Change) -> Task[CreateTransfer, Transfer]:
        payout = rows.payout
        if payout is None:
            raise AssertionError("checked by pay_out")

        async def freeze(session: AsyncSession) -> CreateTransfer | None:
            return await _freeze(session, context)

        async def record(session: AsyncSession, made: Transfer) -> None:
            await _record(session, made, context)

        return Task(self._writes.transfer, rows.booking.id, payout.id, freeze, record)


async def _freeze(session: AsyncSession, context: Change) -> CreateTransfer | None:
    """Compute the transfer from the ledger, under the locks that nothing may change it under."""
    rows = await load(session, context.booking_id, lock=True)
    payout = _payout(rows)
    provider = await session.get_one(Provider, payout.provider_id)
    held = await _held(session, rows)
    parts = split(held, rows.policy.platform_fee_bps, payout.currency)
    if parts.provider_share == 0:
        await _nothing_to_transfer(session, payout, parts.platform_fee, context)
        return None
    payout.amount, payout.platform_fee = parts.provider_share, parts.platform_fee
    payout.stripe_account_id = provider.stripe_account_id
    await move(session, payout, PayoutStatus.PROCESSING, context)
    return CreateTransfer(
        amount=parts.provider_share,
        currency=payout.currency,
        destination=provider.stripe_account_id or "",
        source_transaction=rows.payment.charge_id or "",
        transfer_group=transfer_group_for(context.booking_id),
        metadata={"booking_id": str(context.booking_id), "payout_id": str(payout.id)},
    )


async def _nothing_to_transfer(session: AsyncSession, payout: Payout, fee: int, context: Change) -> None:
    """The whole amount was refunded, or is the platform's."""
    if payout.status is PayoutStatus.PROCESSING:  # an attempt failed for good before the refund
        await move(session, payout, PayoutStatus.BLOCKED, context)
    await move(session, payout, PayoutStatus.CANCELLED, context, amount=0, platform_fee=fee)
    lines = ledger.allocation(platform_fee=fee, provider_share=0)
    session.add_all(ledger.entries(JournalKind.ALLOCATION, context.booking_id, payout.currency, lines))


async def _record(session: AsyncSession, made: Transfer, context: Change) -> None:
    rows = await load(session, context.booking_id, lock=True)
    payout = _payout(rows)
    if made.amount != payout.amount:
        raise StepError(
            Failure.ADOPTION_REFUSED, f"{made.id} moved {made.amount}, the payout is {payout.amount}"
        )
    await move(session, payout, PayoutStatus.PAID, context, transfer_id=made.id)
    divided = ledger.allocation(payout.platform_fee, payout.amount)
    moved = ledger.transfer(made.amount)
    booking_id, currency = context.booking_id, payout.currency
    session.add_all(ledger.entries(JournalKind.ALLOCATION, booking_id, currency, divided))
    session.add_all(ledger.entries(JournalKind.TRANSFER, booking_id, currency, moved, made.id))


async def _block(session: AsyncSession, context: Change) -> None:
    rows = await load(session, context.booking_id, lock=True)
    await move(session, _payout(rows), PayoutStatus.BLOCKED, context)


async def _held(session: AsyncSession, rows: Records) -> int:
    """What the ledger still holds for the booking, in minor units."""
    signed = case((LedgerEntry.side == Side.CREDIT, LedgerEntry.amount), else_=-LedgerEntry.amount)
    held = select(func.coalesce(func.sum(signed), 0)).where(
        LedgerEntry.booking_id == rows.booking.id, LedgerEntry.account == Account.HELD
    )
    return int((await session.execute(held)).scalar_one())


def _payout(rows: Records) -> Payout:
    if rows.payout is None:
        raise AssertionError(f"booking {rows.booking.id} has no payout")
    return rows.payout
