"""Loading a booking's rows, and answering with them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.errors import BookingMissing
from models.bookings import Booking, Session
from models.payments import Payment, Payout
from models.policy import Policy
from models.transitions import Change
from workflows.contracts import SYSTEM, Actor

BESIDE_REFERENCES: Final = {"key_share": True}
"""FOR NO KEY UPDATE: rows that only name the booking, such as another booking's audit of its debt, may be
written beside the lock. With FOR UPDATE, whoever nets a debt and whoever raises it could wait for each other."""


@dataclass(frozen=True)
class Records:
    """A booking with everything that hangs on it."""

    booking: Booking
    session: Session
    payment: Payment
    payout: Payout | None

    @property
    def policy(self) -> Policy:
        """The rules as they were when the booking was made."""
        return Policy.model_validate(self.booking.policy)


async def load(session: AsyncSession, booking_id: UUID, *, lock: bool = False) -> Records:
    """The rows of a booking; with `lock`, locked in one order and read anew.

    A lock alone would not do: a session answers with the object it already has, as it was.

    Raises:
        BookingMissing: there is no such booking.
    """
    await session.flush()
    booking = await session.get(
        Booking, booking_id, with_for_update=BESIDE_REFERENCES if lock else None, populate_existing=lock
    )
    if booking is None:
        raise BookingMissing(booking_id)
    block = await session.get_one(
        Session, booking.session_id, with_for_update=lock or None, populate_existing=lock
    )
    payments = select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number.desc())
    payouts = select(Payout).where(Payout.booking_id == booking_id)
    if lock:
        payments = payments.with_for_update().execution_options(populate_existing=True)
        payouts = payouts.with_for_update().execution_options(populate_existing=True)
    payment = (await session.scalars(payments.limit(1))).one()
    return Records(booking, block, payment, (await session.scalars(payouts)).one_or_none())


async def lock_payment(session: AsyncSession, booking_id: UUID, payment_id: UUID) -> Payment:
    """A payment as it is now, locked in the order of `load`: its booking first."""
    await session.flush()
    await session.get_one(Booking, booking_id, with_for_update=BESIDE_REFERENCES, populate_existing=True)
    return await session.get_one(Payment, payment_id, with_for_update=True, populate_existing=True)


def change(booking_id: UUID, at: datetime, actor: Actor = SYSTEM, reason: str | None = None) -> Change:
    """A transition's context, with the Temporal run behind it where there is one."""
    run_id = activity.info().workflow_run_id if activity.in_activity() else None
    return Change(booking_id, at, actor.role, actor.id, reason, run_id)
