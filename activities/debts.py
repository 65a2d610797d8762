"""What providers owe: raised by one booking, paid with the shares of later ones (DESIGN section 5).

Every function runs in a transaction that holds the booking's lock.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import debts_of, next_reference, post
from activities.records import Records
from models import ledger
from models.books import netting, repay
from models.ledger import JournalKind
from models.payments import ProviderDebt
from models.records import AuditEvent
from models.transitions import Change

RAISED = "RAISED"
RELIEVED = "RELIEVED"
NETTED = "NETTED"
SETTLED = "SETTLED"


async def raise_debt(session: AsyncSession, rows: Records, amount: int, context: Change) -> None:
    """The provider has had `amount` minor units too much, and they cannot be reversed."""
    debt = await _debt_of(session, rows.booking.id)
    if debt is None:
        debt = ProviderDebt(
            booking_id=rows.booking.id,
            provider_id=rows.booking.provider_id,
            currency=rows.booking.currency,
            raised=0,
            settled=0,
        )
        session.add(debt)
    debt.raised += amount
    reference = await next_reference(session, rows, JournalKind.DEBT)
    post(session, rows, JournalKind.DEBT, ledger.debt(amount), reference=reference)
    _note(
        session,
        debt,
        RAISED,
        f"{amount} {debt.currency}: {context.reason or 'more was paid than is due'}",
        context,
    )
    await session.flush()


async def relieve(session: AsyncSession, rows: Records, due: int, context: Change) -> int:
    """Forgive of the booking's own debt what the provider is due after all; answers how much that is.

    What was netted from other bookings already is paid for, and comes back by transfer.
    """
    debt = await _debt_of(session, rows.booking.id)
    amount = min(due, debt.raised - debt.settled) if debt is not None else 0
    if debt is None or amount <= 0:
        return 0
    debt.raised -= amount
    reference = await next_reference(session, rows, JournalKind.DEBT_RELIEF)
    post(session, rows, JournalKind.DEBT_RELIEF, ledger.debt_relief(amount), reference=reference)
    _note(session, debt, RELIEVED, f"{amount} {debt.currency} less is owed", context)
    await session.flush()
    return amount


async def net(session: AsyncSession, rows: Records, due: int, context: Change) -> int:
    """Pay the provider's debts, the oldest first, with a part of what it is due now; answers how much.

    Called when a transfer's row is made, or would be: a share may pay debts alone, and later again.
    """
    debts = await debts_of(session, rows.booking.provider_id, rows.booking.currency)
    owed = sum(debt.raised - debt.settled for debt in debts)
    netted = netting(due, owed, rows.policy.debt_cap_bps, rows.booking.currency)
    for debt, part in zip(debts, repay([debt.raised - debt.settled for debt in debts], netted), strict=True):
        if part == 0:
            break
        debt.settled += part
        whole = debt.settled == debt.raised
        paid_with = f"{part} {debt.currency} netted from the payout of booking {rows.booking.id}"
        _note(session, debt, SETTLED if whole else NETTED, paid_with, context)
    if netted:
        reference = await next_reference(session, rows, JournalKind.NETTING)
        post(session, rows, JournalKind.NETTING, ledger.netting(netted), reference=reference)
    await session.flush()
    return netted


async def _debt_of(session: AsyncSession, booking_id: UUID) -> ProviderDebt | None:
    return await session.get(ProviderDebt, booking_id, with_for_update=True, populate_existing=True)


def _note(session: AsyncSession, debt: ProviderDebt, status: str, why: str, context: Change) -> None:
    """One audit line per debt, on the booking that raised it."""
    session.add(
        AuditEvent(
            booking_id=debt.booking_id,
            entity="debt",
            entity_id=debt.booking_id,
            from_status=None,
            to_status=status,
            actor_role=context.actor_role,
            actor_id=context.actor_id,
            reason=why,
            at=context.at,
            workflow_run_id=context.run_id,
        )
    )
