"""Refunds, written down: a row each, the payment's status, the ledger, and the payout that is to come.

Every function runs inside the transaction that records a Stripe object, and is a no-op when the
fact is on the books already. News from the past change nothing (TRAPS 16).
"""

from itertools import count
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import shift
from activities.records import load, lock_payment
from activities.shares import follow
from activities.stripe_movements import RefundObject
from models.keys import row_id_for
from models.ledger import JournalKind
from models.payments import Payment, Refund
from models.states import PaymentStatus, RefundStatus, Role
from models.transitions import Change, created, move

DASHBOARD = "dashboard"


def surplus(payment: Payment, keep: int) -> int:
    """What has to go back, in minor units, so that just `keep` stays; refunds on their way count."""
    return payment.amount_captured - payment.amount_refunded - keep


async def next_refund_id(session: AsyncSession, payment: Payment, kind: str = "refund") -> UUID:
    """The settlement's refund that comes next: one that never reached Stripe is taken up again.

    `kind` names another series: what people order, and what is mirrored, must not move this one on.
    """
    for number in count(1):
        row_id = row_id_for(payment.id, kind, number)
        refund = await session.get(Refund, row_id)
        if refund is None or refund.refund_id is None:
            return row_id
    raise AssertionError("unreachable")


async def draft_refund(
    session: AsyncSession, payment: Payment, row_id: UUID, amount: int, context: Change
) -> None:
    """A refund on its way; its operation row is committed with it."""
    drafted = await session.get(Refund, row_id)
    if drafted is not None:
        drafted.amount = amount  # an attempt that failed for good may have asked for another
        return
    created(session, await _new(session, payment, row_id, amount, context), context)


async def refunded(
    session: AsyncSession, payment_id: UUID, row_id: UUID, made: RefundObject, context: Change
) -> bool:
    """Money left for the client, or is leaving; False when Stripe could not send it."""
    payment = await lock_payment(session, context.booking_id, payment_id)
    refund = await session.get_one(Refund, row_id, with_for_update=True, populate_existing=True)
    await _bring(session, payment, refund, made, context)
    return not made.failed


async def mirror_refund(session: AsyncSession, payment_id: UUID, made: RefundObject, context: Change) -> None:
    """A refund that somebody made in Stripe's dashboard, or news of one that we know."""
    payment = await lock_payment(session, context.booking_id, payment_id)
    known = select(Refund).where(Refund.refund_id == made.id).execution_options(populate_existing=True)
    refund = (await session.scalars(known.with_for_update())).one_or_none()
    if refund is None:
        refund = await _new(session, payment, row_id_for(made.id, "refund"), made.amount, context)
        refund.mirrored, refund.reason = True, DASHBOARD
        refund.requested_by_role = refund.requested_by_id = None
        created(session, refund, context)
        await session.flush()
    await _bring(session, payment, refund, made, context)


async def _bring(
    session: AsyncSession, payment: Payment, refund: Refund, made: RefundObject, context: Change
) -> None:
    """Bring one refund to where Stripe says it is."""
    on_books = refund.refund_id is not None and refund.status is not RefundStatus.FAILED
    if refund.status is RefundStatus.FAILED:
        return
    refund.refund_id, refund.amount = made.id, made.amount
    if made.failed:
        await move(session, refund, RefundStatus.FAILED, context)
        if on_books:
            await _count(session, payment, -made.amount, made, context)
        return
    if made.status == "succeeded":
        await move(session, refund, RefundStatus.SUCCEEDED, context)
    if not on_books:
        await _count(session, payment, made.amount, made, context)


async def _count(
    session: AsyncSession, payment: Payment, amount: int, made: RefundObject, context: Change
) -> None:
    """Client money leaves, or comes back when a refund fails late; `amount` is signed."""
    rows = await load(session, context.booking_id, lock=True)
    payment.amount_refunded += amount
    await move(session, payment, _status_of(payment), context)
    kind = JournalKind.REFUND if amount > 0 else JournalKind.REFUND_FAILURE
    await shift(session, rows, kind, made.id, refunded=amount)
    await follow(session, rows, context)


def _status_of(payment: Payment) -> PaymentStatus:
    if payment.amount_refunded == 0:
        return PaymentStatus.CAPTURED
    whole = payment.amount_refunded == payment.amount_captured
    return PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED


async def _new(session: AsyncSession, payment: Payment, row_id: UUID, amount: int, context: Change) -> Refund:
    last = await session.scalar(select(func.max(Refund.number)).where(Refund.payment_id == payment.id))
    by_person = context.actor_role is not Role.SYSTEM
    return Refund(
        id=row_id,
        booking_id=payment.booking_id,
        payment_id=payment.id,
        number=(last or 0) + 1,
        status=RefundStatus.PENDING,
        amount=amount,
        currency=payment.currency,
        reason=context.reason,
        requested_by_role=context.actor_role if by_person else None,
        requested_by_id=context.actor_id if by_person else None,
    )
