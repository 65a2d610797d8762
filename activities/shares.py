"""A payout that is still to come follows the client's money: it shrinks, freezes, runs on, or is cancelled.

Every function runs in a transaction that holds the booking's lock (`load(lock=True)`). What has been
transferred is not touched here: the books say what is due, and `rebalance` sees to it.
"""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import books_of, post
from activities.bank_books import arrived, is_at_bank, is_manual, latest_transfer, to_send
from activities.debts import raise_debt
from activities.records import Records
from activities.standing import has_open_dispute
from models import holds, ledger
from models.books import Books
from models.ledger import JournalKind
from models.payments import Payout
from models.states import TERMINAL_BOOKING, PayoutStatus
from models.transitions import Change, move

WAITING: Final = frozenset({PayoutStatus.HELD, PayoutStatus.FROZEN, PayoutStatus.BLOCKED})

RESTING: Final = frozenset({PayoutStatus.HELD, PayoutStatus.BLOCKED, PayoutStatus.PROCESSING})


def is_coming(payout: Payout | None, books: Books) -> bool:
    """Nothing was ever transferred, and nothing is on its way."""
    return payout is not None and payout.status in WAITING and books.transferred == 0


async def follow(session: AsyncSession, rows: Records, context: Change) -> None:
    """Bring a payout to what is kept now, and let it wait for as long as somebody contests."""
    payout, books = rows.payout, await books_of(session, rows)
    if payout is None:
        return await _bear(session, rows)
    if not (is_coming(payout, books) or books.transferred or payout.status is PayoutStatus.PAID):
        return None
    # After the transfer too: what people are shown is what is kept now, and `rebalance` moves the difference.
    payout.amount, payout.platform_fee = books.division.provider_share, books.division.platform_fee
    if payout.status not in WAITING or is_at_bank(payout):
        return None
    if await has_open_dispute(session, rows.booking.id):
        await freeze(session, payout, context)
    elif is_coming(payout, books) and payout.amount == 0:
        await cancel(session, rows, payout, context)
    else:
        await thaw(session, payout, context)
        await rest(session, rows, context)
    return None


async def freeze(session: AsyncSession, payout: Payout, context: Change, **values: Any) -> None:
    """Stop the hold's clock, keeping what is left of it; of a blocked payout nothing is."""
    if payout.status is PayoutStatus.FROZEN:
        return
    frozen = holds.freeze(_hold(payout), context.at)
    stopped = {"frozen_seconds": frozen.frozen_seconds} | values
    await move(session, payout, PayoutStatus.FROZEN, context, **stopped)


async def thaw(session: AsyncSession, payout: Payout, context: Change) -> None:
    """Let the hold run on with what it had left, unless the client still contests."""
    if payout.status is not PayoutStatus.FROZEN or payout.objected_at is not None:
        return
    held = holds.thaw(_hold(payout), context.at)
    await move(session, payout, held.status, context, due_at=held.due_at, frozen_seconds=None)


async def rest(session: AsyncSession, rows: Records, context: Change) -> None:
    """A further transfer for which nothing is left is given up: what was transferred before stands.

    Where that is too much now, `rebalance` takes it back.
    """
    payout, books = rows.payout, await books_of(session, rows)
    if payout is None or payout.status not in RESTING or payout.transfer_id is not None:
        return
    if books.transferred == 0 or books.due > 0:
        return
    payout.transfer_id, payout.blocked_at = await latest_transfer(session, payout), None
    await move(session, payout, PayoutStatus.PROCESSING, context)
    if not (await is_manual(session, rows) and await to_send(session, payout) > 0):
        await arrived(session, rows, payout, context)


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
    blocked = payout.blocked_at is not None
    return holds.Hold(payout.status, payout.due_at, payout.frozen_seconds, blocked)
