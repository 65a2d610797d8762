"""The ledger of money that belongs to no booking: it came, and it went back (DESIGN section 9)."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.stripe_lists import Listed
from activities.stripe_objects import Intent
from models import ledger
from models.books import Books
from models.ledger import JournalKind, LedgerEntry, Line
from models.records import StripeOperation


async def one_at_a_time(session: AsyncSession, intent_id: str) -> None:
    """Two runs post one journal; the lock ends with this short transaction."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"stray:{intent_id}", 0))))


async def post_capture(session: AsyncSession, intent: Intent) -> None:
    """The client's money is with us, and Stripe has kept its fee."""
    charge = intent.charge
    if charge is None:
        raise AssertionError(f"{intent.id} succeeded without a charge")
    await _post(
        session, JournalKind.CAPTURE, intent.currency, ledger.capture(intent.amount_received), charge.id
    )
    if charge.fee_transaction_id and charge.fee_currency:
        lines = ledger.stripe_fee(charge.fee)
        await _post(session, JournalKind.STRIPE_FEE, charge.fee_currency, lines, charge.fee_transaction_id)


async def post_refund(session: AsyncSession, intent: Intent, refund_id: str, amount: int) -> None:
    """Money has left for the client."""
    held = Books(currency=intent.currency, fee_bps=0, captured=intent.amount_received)
    lines = ledger.shift(held, held.model_copy(update={"refunded": amount}))
    await _post(session, JournalKind.REFUND, intent.currency, lines, refund_id)


async def post_refunds(session: AsyncSession, intent: Intent, refunds: list[Listed]) -> None:
    """What Stripe says of every refund of the payment, whoever made it."""
    held = Books(currency=intent.currency, fee_bps=0, captured=intent.amount_received)
    for refund in refunds:
        given_back = held.model_copy(update={"refunded": refund.amount})
        if refund.is_live:
            await post_refund(session, intent, refund.id, refund.amount)
        elif await is_posted(session, JournalKind.REFUND, refund.id):
            lines = ledger.shift(given_back, held)
            await _post(session, JournalKind.REFUND_FAILURE, intent.currency, lines, refund.id)


async def refunds_that_failed(session: AsyncSession, owner: UUID, refunds: list[Listed]) -> int:
    """How many of our own refunds came to nothing: the next one has the number after that.

    One that another run has recorded since `refunds` were read is not among them, and has not failed.
    """
    gone = [refund.id for refund in refunds if not refund.is_live]
    failed = select(func.count()).where(
        StripeOperation.booking_id == owner,
        StripeOperation.kind == "refund",
        StripeOperation.object_id.in_(gone),
    )
    return (await session.execute(failed)).scalar_one()


async def is_posted(session: AsyncSession, kind: JournalKind, object_id: str) -> bool:
    """Whether the ledger has the journal of a Stripe object."""
    found = select(LedgerEntry.journal_id).where(
        LedgerEntry.kind == kind, LedgerEntry.stripe_object_id == object_id
    )
    return (await session.scalars(found.limit(1))).first() is not None


async def _post(
    session: AsyncSession, kind: JournalKind, currency: str, lines: tuple[Line, ...], object_id: str
) -> None:
    if not await is_posted(session, kind, object_id):
        session.add_all(ledger.entries(kind, None, currency, lines, object_id))
        await session.flush()
