"""A payout that is still to come follows the client's money: it shrinks, freezes, runs on, or is cancelled.

Every function runs in a transaction that holds the booking's lock (`load(lock=True)`). What has been
transferred is not touched here: the books say what is due, and `rebalance` sees to it.
"""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import books_of, post
from activities.debts import raise_debt
from activities.records import Records
from activities.standing import has_open_dispute
from models import holds, ledger
from models.ledger import JournalKind
from models.payments import Payout
from models.states import TERMINAL_BOOKING, PayoutStatus
from models.transitions import Change, move

WAITING: Final = frozenset({PayoutStatus.HELD, PayoutStatus.FROZEN, PayoutStatus.BLOCKED})


def is_coming(payout: Payout | None) -> bool:
    """Nothing has been transferred, and nothing is on its way."""
    return payout is not None and payout.status in WAITING and payout.transfer_id is None


async def follow(session: AsyncSession, rows: Records, context: Change) -> None:
    """Bring a payout that is still to come to what is kept now."""
    payout = rows.payout
    if payout is None:
        await _bear(session, rows)
    if payout is None or not (is_coming(payout) or payout.transfer_id):
        return
    # After the transfer too: what people are shown is what is kept now, and `rebalance` moves the difference.
    division = (await books_of(session, rows)).division
    payout.amount, payout.platform_fee = division.provider_share, division.platform_fee
    if not is_coming(payout):
        return
    if await has_open_dispute(session, rows.booking.id):
        await freeze(session, payout, context)
    elif division.provider_share == 0:
        await cancel(session, rows, payout, context)
    else:
        await thaw(session, payout, context)


async def freeze(session: AsyncSession, payout: Payout, context: Change, **values: Any) -> None:
    """Stop the hold's clock, keeping what is left of it; of a blocked payout nothing is."""
    if payout.status is PayoutStatus.FROZEN:
        return
    frozen = holds.freeze(_hold(payout), context.at)
    stopped = {"frozen_seconds": frozen.frozen_seconds, "blocked_at": None} | values
    await move(session, payout, PayoutStatus.FROZEN, context, **stopped)


async def thaw(session: AsyncSession, payout: Payout, context: Change) -> None:
    """Let the hold run on with what it had left, unless the client still contests."""
    if payout.status is not PayoutStatus.FROZEN or payout.objected_at is not None:
        return
    held = holds.thaw(_hold(payout), context.at)
    await move(session, payout, PayoutStatus.HELD, context, due_at=held.due_at, frozen_seconds=None)


async def cancel(session: AsyncSession, rows: Records, payout: Payout, context: Change) -> None:
    """Nothing is left for the provider: divide what there is, so that nothing stays held."""
    await divide(session, rows)
    books = await books_of(session, rows)
    if books.due < 0:  # its share had paid debts before it went back to the client
        await raise_debt(session, rows, -books.due, context)
    payout.amount, payout.platform_fee = 0, books.division.platform_fee
    cleared = {"frozen_seconds": None, "objected_at": None, "blocked_at": None}
    await move(session, payout, PayoutStatus.CANCELLED, context, **cleared)


async def _bear(session: AsyncSession, rows: Records) -> None:
    """A booking that ended with nothing kept holds no loss either: what goes back twice is the platform's."""
    if rows.booking.status in TERMINAL_BOOKING and (await books_of(session, rows)).kept < 0:
        await divide(session, rows)


async def divide(session: AsyncSession, rows: Records) -> None:
    """The hold is over: platform and provider have their parts of what is kept. Once per booking."""
    books = await books_of(session, rows)
    if not books.allocated:
        post(session, rows, JournalKind.ALLOCATION, ledger.allocation(books.division))


def _hold(payout: Payout) -> holds.Hold:
    return holds.Hold(payout.status, payout.due_at, payout.frozen_seconds)
