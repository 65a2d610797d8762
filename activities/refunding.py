"""Refunds, written down: a row each, the payment's status, and the ledger.

Every function runs inside the transaction that records a Stripe object, and is a no-op when the
fact is on the books already.
"""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import books_of
from activities.records import load, lock_payment
from activities.stripe_objects import RefundObject
from models import ledger
from models.keys import row_id_for
from models.ledger import JournalKind
from models.payments import Payment, Refund
from models.states import PaymentStatus, RefundStatus
from models.transitions import Change, created, move


def surplus(payment: Payment, keep: int) -> int:
    """What has to go back, in minor units, so that just `keep` stays; refunds on their way count."""
    return payment.amount_captured - payment.amount_refunded - keep


async def next_refund_id(session: AsyncSession, payment: Payment) -> UUID:
    """The refund that comes next: one that never reached Stripe is taken up again."""
    made = await session.scalar(
        select(func.count())
        .select_from(Refund)
        .where(Refund.payment_id == payment.id, Refund.refund_id.is_not(None))
    )
    return row_id_for(payment.id, "refund", (made or 0) + 1)


async def draft_refund(
    session: AsyncSession, payment: Payment, row_id: UUID, amount: int, context: Change
) -> None:
    """A refund on its way; its operation row is committed with it."""
    drafted = await session.get(Refund, row_id)
    if drafted is not None:
        drafted.amount = amount  # an attempt that failed for good may have asked for another
        return
    count = await session.scalar(
        select(func.count()).select_from(Refund).where(Refund.payment_id == payment.id)
    )
    created(
        session,
        Refund(
            id=row_id,
            booking_id=payment.booking_id,
            payment_id=payment.id,
            number=(count or 0) + 1,
            status=RefundStatus.PENDING,
            amount=amount,
            currency=payment.currency,
        ),
        context,
    )


async def refunded(
    session: AsyncSession, payment_id: UUID, row_id: UUID, made: RefundObject, context: Change
) -> bool:
    """Money left for the client, or is leaving; False when Stripe could not send it."""
    rows = await load(session, context.booking_id, lock=True)
    payment = await lock_payment(session, context.booking_id, payment_id)
    refund = await session.get_one(Refund, row_id, with_for_update=True)
    refund.refund_id = made.id
    if made.status in ("failed", "canceled"):
        await move(session, refund, RefundStatus.FAILED, context)
        return False
    if made.status == "succeeded":
        await move(session, refund, RefundStatus.SUCCEEDED, context)
    payment.amount_refunded += made.amount
    whole = payment.amount_refunded == payment.amount_captured
    target = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    await move(session, payment, target, context)
    before = await books_of(session, rows)
    after = before.model_copy(update={"refunded": before.refunded + made.amount})
    lines = ledger.shift(before, after)
    session.add_all(ledger.entries(JournalKind.REFUND, payment.booking_id, payment.currency, lines, made.id))
    return True
