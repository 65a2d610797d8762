"""Disputes, written down: a row each, their money by balance transaction, and the payout they freeze.

Money is posted when the bank moves it, never when a dispute is closed (DESIGN section 5). Every
function runs inside the transaction that records a Stripe object.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import is_posted, shift
from activities.records import Records, load
from activities.shares import follow
from activities.stripe_movements import DisputeObject, Movement
from models import ledger
from models.keys import row_id_for
from models.ledger import JournalKind
from models.payments import Dispute
from models.states import DisputeStatus
from models.transitions import Change, created, move

CLOSED: Final[dict[str, DisputeStatus]] = {
    "won": DisputeStatus.WON,
    "warning_closed": DisputeStatus.WON,
    "prevented": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
"""Every other status means that the bank has not decided: an inquiry, evidence wanted, under review."""


async def contested(session: AsyncSession, payment_id: UUID, found: DisputeObject, context: Change) -> None:
    """Bring a dispute, its money and the payout to where Stripe says they are."""
    rows = await load(session, context.booking_id, lock=True)
    dispute = await _row(session, payment_id, found, context)
    for movement in found.movements:
        await _post(session, rows, found, movement)
    status = CLOSED.get(found.status)
    if status is not None and dispute.status is DisputeStatus.OPEN:
        await move(session, dispute, status, context)
    await follow(session, rows, context)


async def is_known(session: AsyncSession, found: DisputeObject) -> bool:
    """Whether our books say all that Stripe does."""
    status = await session.scalar(select(Dispute.status).where(Dispute.dispute_id == found.id))
    if status is None or (status is DisputeStatus.OPEN and found.status in CLOSED):
        return False
    return all([await is_posted(session, JournalKind.DISPUTE, one.id) for one in found.movements])


async def _row(session: AsyncSession, payment_id: UUID, found: DisputeObject, context: Change) -> Dispute:
    known = select(Dispute).where(Dispute.dispute_id == found.id).execution_options(populate_existing=True)
    dispute = (await session.scalars(known.with_for_update())).one_or_none()
    if dispute is None:
        dispute = Dispute(
            id=row_id_for(found.id, "dispute"),
            booking_id=context.booking_id,
            payment_id=payment_id,
            status=DisputeStatus.OPEN,
            amount=found.amount,
            currency=found.currency,
            reason=found.reason,
            dispute_id=found.id,
        )
        created(session, dispute, context)
        await session.flush()
    return dispute


async def _post(session: AsyncSession, rows: Records, found: DisputeObject, movement: Movement) -> None:
    if await is_posted(session, JournalKind.DISPUTE, movement.id):
        return
    await shift(session, rows, JournalKind.DISPUTE, movement.id, disputed=_taken(found, movement))
    # Stripe takes its fee in the currency that the platform settles in.
    fee = ledger.dispute_fee(movement.fee)
    kind, booking_id = JournalKind.DISPUTE_FEE, rows.booking.id
    session.add_all(ledger.entries(kind, booking_id, movement.currency, fee, movement.id))


def _taken(found: DisputeObject, movement: Movement) -> int:
    """What the bank took, below zero what it gave back, in the charge's currency."""
    if movement.currency == found.currency:
        return -movement.amount
    return found.amount if movement.amount < 0 else -found.amount
