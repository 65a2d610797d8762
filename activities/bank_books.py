"""Attempts at sending a share from the connected account to its bank, written down (manual schedule).

Every function runs inside a transaction. News from the past change nothing (TRAPS 16, 26).
"""

from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import books_of
from activities.records import Records, load
from activities.stripe_movements import PayoutObject
from activities.stripe_requests import CreatePayout
from models.catalogue import PayoutSchedule, Provider
from models.holds import payout_after
from models.keys import row_id_for
from models.payments import BankPayout, Payout, ProviderTransfer
from models.states import BankPayoutStatus, PayoutStatus
from models.transitions import Change, created, move

STRIPE_SAYS: Final[dict[str, BankPayoutStatus]] = {
    "paid": BankPayoutStatus.PAID,
    "failed": BankPayoutStatus.FAILED,
    "canceled": BankPayoutStatus.FAILED,
}
"""Every other status means that the bank has not answered."""

SENT: Final = frozenset({BankPayoutStatus.PENDING, BankPayoutStatus.PAID})
AT_BANK: Final = frozenset({PayoutStatus.PROCESSING, PayoutStatus.BLOCKED})


def is_at_bank(payout: Payout | None) -> bool:
    """The transfer is made; what is left is the way to the provider's bank."""
    return payout is not None and payout.transfer_id is not None and payout.status in AT_BANK


async def is_manual(session: AsyncSession, rows: Records) -> bool:
    """Whether we send what was transferred to the bank, and not Stripe by itself."""
    provider = await session.get_one(Provider, rows.booking.provider_id)
    return PayoutSchedule.MANUAL in (provider.payout_schedule, rows.policy.payout_schedule)


async def latest_transfer(session: AsyncSession, payout: Payout) -> str | None:
    """Stripe's id of the last transfer that was made."""
    made = select(ProviderTransfer.transfer_id).where(
        ProviderTransfer.payout_id == payout.id, ProviderTransfer.transfer_id.is_not(None)
    )
    return await session.scalar(made.order_by(ProviderTransfer.number.desc()).limit(1))


async def latest_attempt(session: AsyncSession, payout: Payout) -> BankPayout | None:
    """The attempt that counts: earlier ones have failed, or carried an earlier transfer."""
    attempts = select(BankPayout).where(BankPayout.payout_id == payout.id).order_by(BankPayout.number.desc())
    return await session.scalar(attempts.limit(1))


async def is_under_way(session: AsyncSession, payout: Payout) -> bool:
    """Whether an attempt waits for the bank's answer."""
    pending = select(func.count()).where(
        BankPayout.payout_id == payout.id, BankPayout.status == BankPayoutStatus.PENDING
    )
    return bool((await session.execute(pending)).scalar_one())


async def to_send(session: AsyncSession, payout: Payout) -> int:
    """What the payout's account was transferred, less what came back and what it has sent to its bank.

    What went by way of an earlier account of the provider is not this one's to send.
    """
    account = payout.stripe_account_id
    moved = select(
        func.coalesce(func.sum(ProviderTransfer.amount - ProviderTransfer.amount_reversed), 0)
    ).where(
        ProviderTransfer.payout_id == payout.id,
        ProviderTransfer.destination == account,
        ProviderTransfer.transfer_id.is_not(None),
    )
    sent = select(func.coalesce(func.sum(BankPayout.amount), 0)).where(
        BankPayout.payout_id == payout.id, BankPayout.account == account, BankPayout.status.in_(SENT)
    )
    return int((await session.execute(moved)).scalar_one()) - int((await session.execute(sent)).scalar_one())


async def draft_attempt(
    session: AsyncSession, payout: Payout, row_id: UUID, request: CreatePayout, context: Change
) -> None:
    """An attempt on its way; its operation row is committed with it."""
    drafted = await session.get(BankPayout, row_id)
    if drafted is not None:
        drafted.amount = request.amount
        return
    last = await latest_attempt(session, payout)
    attempt = BankPayout(
        id=row_id,
        booking_id=payout.booking_id,
        payout_id=payout.id,
        number=last.number + 1 if last else 1,
        status=BankPayoutStatus.PENDING,
        amount=request.amount,
        currency=request.currency,
        account=request.account,
    )
    created(session, attempt, context)


def attempt_id(payout: Payout, last: BankPayout | None) -> UUID:
    """The attempt to carry on with, or the next one."""
    if last is not None and last.status is BankPayoutStatus.PENDING:
        return last.id
    return row_id_for(payout.id, "bank_payout", last.number + 1 if last else 1)


async def bank_answered(session: AsyncSession, row_id: UUID, found: PayoutObject, context: Change) -> None:
    """Bring an attempt, and the payout with it, to where Stripe says it is."""
    rows = await load(session, context.booking_id, lock=True)
    attempt = await session.get_one(BankPayout, row_id, with_for_update=True, populate_existing=True)
    attempt.stripe_payout_id = found.id
    status = STRIPE_SAYS.get(found.status)
    if rows.payout is None or status is None or status is attempt.status:
        return
    if attempt.status is BankPayoutStatus.FAILED:
        return
    if status is BankPayoutStatus.PAID:
        await move(session, attempt, status, context)
        rows.payout.blocked_at = None
        if is_at_bank(rows.payout) and await to_send(session, rows.payout) <= 0:
            await arrived(session, rows, rows.payout, context)
    else:
        await refused(session, rows.payout, attempt, found.failure_code or found.status, context)


async def refused(
    session: AsyncSession, payout: Payout, attempt: BankPayout, why: str, context: Change
) -> None:
    """The bank does not take it, sooner or later: the money is in the account, and another attempt follows."""
    await move(session, attempt, BankPayoutStatus.FAILED, context, failure=why)
    if payout.status in (PayoutStatus.PAID, PayoutStatus.PARTIALLY_REVERSED):
        await move(session, payout, PayoutStatus.PROCESSING, context)
    elif payout.status is PayoutStatus.PROCESSING and payout.transfer_id is not None:
        await block(session, payout, context)


async def block(session: AsyncSession, payout: Payout, context: Change) -> None:
    """The provider's bank cannot have it; since when it could not, is kept until it can."""
    await move(session, payout, PayoutStatus.BLOCKED, context, blocked_at=payout.blocked_at or context.at)


async def arrived(session: AsyncSession, rows: Records, payout: Payout, context: Change) -> None:
    """The provider has all that there was to send; what came back of it meanwhile is said too."""
    payout.blocked_at = None
    await move(session, payout, PayoutStatus.PROCESSING, context)
    await move(session, payout, PayoutStatus.PAID, context)
    latest = select(ProviderTransfer.amount_reversed).where(
        ProviderTransfer.transfer_id == payout.transfer_id
    )
    if await session.scalar(latest):
        await move(session, payout, payout_after(await books_of(session, rows)), context)


async def out_of_reach(session: AsyncSession, context: Change) -> None:
    """The account may not send to its bank, or left while money was on its way there."""
    payout = (await load(session, context.booking_id, lock=True)).payout
    if payout is not None and is_at_bank(payout):
        await block(session, payout, context)
