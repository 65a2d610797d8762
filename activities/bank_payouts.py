"""Sending a share from the connected account to its bank, for accounts on a manual schedule (TRAPS 26, 31)."""

from functools import partial
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import bank_books
from activities.accounts import books_of
from activities.errors import Failure, StripeFailure
from activities.operations import Operations, Task
from activities.records import Records, load
from activities.standing import is_unbalanced
from activities.stripe_gateway import StripeGateway
from activities.stripe_movements import PayoutObject
from activities.stripe_requests import CreatePayout
from activities.stripe_writes import StripeWrites
from activities.transferring import is_in_doubt
from models.database import Database
from models.payments import BankPayout, Payout
from models.states import BankPayoutStatus, PayoutStatus
from models.transitions import Change, move

CLOSED = frozenset({"payouts_not_allowed", "account_invalid"})
"""Stripe's codes for an account that may send nothing to its bank."""

KIND = "bank_payout"

NOTHING_LEFT = "nothing_left"
"""Our own reason: what a refused attempt was to send has gone back meanwhile."""


class BankPayouts:
    """Makes attempts, one at a time per account."""

    def __init__(
        self, database: Database, gateway: StripeGateway, writes: StripeWrites, operations: Operations
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._writes = writes
        self._operations = operations

    async def send(self, context: Change) -> None:
        """Make an attempt if it is time for one: funds are there, and nobody else's is under way.

        Raises:
            StripeFailure: Stripe refused for a reason that waiting does not mend, or did not answer.
        """
        payout = await self._database.run(lambda session: _to_be_sent(session, context))
        if payout is None:
            return
        last = await self._database.run(lambda session: bank_books.latest_attempt(session, payout))
        pending = last is not None and last.status is BankPayoutStatus.PENDING
        if not pending and not await self._may_try(payout, context):
            return
        row_id = bank_books.attempt_id(payout, last)
        try:
            await self._operations.perform(self._task(row_id, context))
        except StripeFailure as failure:
            if not failure.definite:
                raise
            if await self._database.run(lambda session: is_in_doubt(session, row_id, KIND)):
                await self._wait_for(failure, context)
                return
            await self._database.run(partial(_give_up, row_id=row_id, failure=failure, context=context))
            if failure.failure is not Failure.INSUFFICIENT_BALANCE and failure.code not in CLOSED:
                raise

    async def _wait_for(self, failure: StripeFailure, context: Change) -> None:
        """What may have been sent could not be looked up: an account that left has to come back."""
        if failure.failure is not Failure.PROVIDER_NOT_PAYABLE:
            raise failure
        await self._database.run(lambda session: bank_books.out_of_reach(session, context))

    async def _may_try(self, payout: Payout, context: Change) -> bool:
        """The account may send to its bank, and has what is to be sent."""
        account_id = payout.stripe_account_id or ""
        if not await self._is_open(account_id):
            await self._database.run(lambda session: bank_books.out_of_reach(session, context))
            return False
        amount = await self._database.run(lambda session: bank_books.to_send(session, payout))
        return (await self._gateway.funds_of(account_id, payout.currency)).available >= amount

    async def _is_open(self, account_id: str) -> bool:
        try:
            return (await self._gateway.retrieve_account(account_id)).payouts_enabled
        except StripeFailure as failure:
            if failure.failure is not Failure.PROVIDER_NOT_PAYABLE:
                raise
            return False

    def _task(self, row_id: UUID, context: Change) -> Task[CreatePayout, PayoutObject]:
        async def freeze(session: AsyncSession) -> CreatePayout | None:
            return await _freeze(session, row_id, context)

        async def record(session: AsyncSession, made: PayoutObject) -> None:
            await bank_books.bank_answered(session, row_id, made, context)

        return Task(self._writes.bank_payout, context.booking_id, row_id, freeze, record)


async def _to_be_sent(session: AsyncSession, context: Change) -> Payout | None:
    """The payout, while something of it is to be sent; one of which all came back has arrived."""
    rows = await load(session, context.booking_id, lock=True)
    payout = rows.payout
    if payout is None or not await _may_leave(session, rows):
        return None
    last = await bank_books.latest_attempt(session, payout)
    if last is not None and last.status is BankPayoutStatus.PENDING:
        # One that Stripe knows is read by the mirror; of the other we still have to make sure.
        return payout if last.stripe_payout_id is None else None
    if await bank_books.to_send(session, payout) > 0:
        return payout
    await bank_books.arrived(session, rows, payout, context)
    return None


async def _may_leave(session: AsyncSession, rows: Records) -> bool:
    """The share is on its way to the bank, and nothing of it has to be taken back first."""
    return bank_books.is_at_bank(rows.payout) and not is_unbalanced(rows, await books_of(session, rows))


async def _freeze(session: AsyncSession, row_id: UUID, context: Change) -> CreatePayout | None:
    """The attempt's request, unless another one of the account is under way: they would race for its balance."""
    rows = await load(session, context.booking_id, lock=True)
    payout = rows.payout
    if payout is None or not await _may_leave(session, rows):
        return None
    account = payout.stripe_account_id or ""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"bank:{account}", 0))))
    rival = select(BankPayout.id).where(
        BankPayout.account == account,
        BankPayout.status == BankPayoutStatus.PENDING,
        BankPayout.id != row_id,
    )
    drafted = await session.get(BankPayout, row_id, with_for_update=True, populate_existing=True)
    if drafted is not None and drafted.status is not BankPayoutStatus.PENDING:
        return None  # another run gave it up: the next look makes another one
    amount = await bank_books.to_send(session, payout) + (drafted.amount if drafted else 0)
    if amount <= 0 and drafted is not None:
        await move(session, drafted, BankPayoutStatus.FAILED, context, failure=NOTHING_LEFT)
    if amount <= 0 or await session.scalar(rival.limit(1)) is not None:
        return None
    request = CreatePayout(
        account=account,
        amount=amount,
        currency=payout.currency,
        metadata={"booking_id": str(context.booking_id), "payout_id": str(payout.id)},
    )
    await bank_books.draft_attempt(session, payout, row_id, request, context)
    await move(session, payout, PayoutStatus.PROCESSING, context)
    return request


async def _give_up(session: AsyncSession, row_id: UUID, failure: StripeFailure, context: Change) -> None:
    """Stripe refused: the attempt is over, and another account's bookings may have their turn."""
    payout = (await load(session, context.booking_id, lock=True)).payout
    attempt = await session.get(BankPayout, row_id, with_for_update=True, populate_existing=True)
    if payout is None or attempt is None or attempt.status is not BankPayoutStatus.PENDING:
        return
    if attempt.stripe_payout_id is not None or await is_in_doubt(session, row_id, KIND):
        return  # another run has tried the same one again
    why = failure.code or failure.failure
    if failure.failure is Failure.INSUFFICIENT_BALANCE:  # somebody was faster: look again later
        await move(session, attempt, BankPayoutStatus.FAILED, context, failure=why)
    else:
        await bank_books.refused(session, payout, attempt, why, context)
