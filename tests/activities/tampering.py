"""Rows put where a test wants them, behind the back of everything that guards them."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Update, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from models.bookings import Booking
from models.payments import BankPayout, Payment, Payout
from models.records import StripeOperation
from models.states import BankPayoutStatus, PaymentStatus
from tests.activities.desk import Desk


async def payment_of(desk: Desk, booking_id: UUID) -> Payment:
    """The booking's latest payment."""
    latest = select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number.desc())

    async def work(session: AsyncSession) -> Payment:
        return (await session.scalars(latest.limit(1))).one()

    return await desk.database.run(work)


async def change_payment(desk: Desk, booking_id: UUID, **values: Any) -> None:
    await _change(desk, update(Payment).where(Payment.booking_id == booking_id).values(**values))


async def change_payout(desk: Desk, booking_id: UUID, **values: Any) -> None:
    await _change(desk, update(Payout).where(Payout.booking_id == booking_id).values(**values))


async def change_booking(desk: Desk, booking_id: UUID, **values: Any) -> None:
    await _change(desk, update(Booking).where(Booking.id == booking_id).values(**values))


async def change_operation(desk: Desk, key: str, **values: Any) -> None:
    await _change(desk, update(StripeOperation).where(StripeOperation.key == key).values(**values))


async def _change(desk: Desk, statement: Update) -> None:
    async def work(session: AsyncSession) -> None:
        await session.execute(statement)

    await desk.database.run(work)


async def replan(desk: Desk, booking_id: UUID) -> None:
    """As after a re-plan: the card is kept, and only an operation remembers the intent."""
    await change_payment(
        desk, booking_id, status=PaymentStatus.SAVED, payment_intent_id=None, charge_id=None, cycle=2
    )


async def sent_to_bank(desk: Desk, booking_id: UUID, account: str) -> str:
    """A bank payout of the booking's share; answers its id at Stripe."""
    payout_id = f"po_{uuid4().hex}"

    async def work(session: AsyncSession) -> None:
        payout = (await session.scalars(select(Payout).where(Payout.booking_id == booking_id))).one()
        session.add(
            BankPayout(
                id=uuid4(),
                booking_id=booking_id,
                payout_id=payout.id,
                number=1,
                status=BankPayoutStatus.PAID,
                amount=payout.amount,
                currency=payout.currency,
                account=account,
                stripe_payout_id=payout_id,
            )
        )

    await desk.database.run(work)
    return payout_id
