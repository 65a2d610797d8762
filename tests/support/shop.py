"""A test's own provider, service and client, and what it does with them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.stripe_gateway import StripeGateway
from models.bookings import Booking, BookingRequest, Session
from models.catalogue import AvailabilityRule, Client, Provider, Service
from models.database import Database
from models.ledger import LedgerEntry, Side
from models.payments import Payment, Payout
from workflows.contracts import StartBooking

MINUTES_PER_DAY = 1440


@dataclass(frozen=True)
class Shop:
    """Everything that a booking needs, and a look at what became of it."""

    database: Database
    provider_id: UUID
    provider_subject: str
    account_id: str
    service_id: UUID
    client_id: str
    amount: int

    def request(
        self, starts_in: timedelta = timedelta(hours=2), booking_id: UUID | None = None
    ) -> StartBooking:
        starts_at = datetime.now(UTC).replace(microsecond=0) + starts_in
        return StartBooking(
            booking_id=booking_id or uuid4(),
            client_id=self.client_id,
            service_id=self.service_id,
            starts_at=starts_at,
        )

    async def asked(self, request: StartBooking) -> StartBooking:
        """Store what the API stores before it starts the workflow."""

        async def work(session: AsyncSession) -> None:
            session.add(
                BookingRequest(booking_id=request.booking_id, client_id=request.client_id, fingerprint="test")
            )

        await self.database.run(work)
        return request

    async def booking(self, booking_id: UUID) -> Booking:
        return await self.database.run(lambda session: session.get_one(Booking, booking_id))

    async def session_of(self, booking_id: UUID) -> Session:
        booking = await self.booking(booking_id)
        return await self.database.run(lambda session: session.get_one(Session, booking.session_id))

    async def payment(self, booking_id: UUID) -> Payment:
        found = select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number.desc())
        row: Payment = await self._one(found.limit(1))
        return row

    async def payout(self, booking_id: UUID) -> Payout:
        row: Payout = await self._one(select(Payout).where(Payout.booking_id == booking_id))
        return row

    async def ledger(self, booking_id: UUID) -> dict[str, int]:
        """Debits less credits per account, in minor units."""
        lines = select(LedgerEntry).where(LedgerEntry.booking_id == booking_id)
        entries = await self.database.run(lambda session: _all(session, lines))
        totals: dict[str, int] = {}
        for entry in entries:
            signed = entry.amount if entry.side is Side.DEBIT else -entry.amount
            totals[entry.account] = totals.get(entry.account, 0) + signed
        return totals

    async def _one(self, query: Any) -> Any:
        return await self.database.run(lambda session: _single(session, query))


async def _single(session: AsyncSession, query: Any) -> Any:
    return (await session.scalars(query)).one()


async def _all(session: AsyncSession, query: Any) -> list[Any]:
    return list(await session.scalars(query))


async def open_shop(
    database: Database,
    gateway: StripeGateway,
    *,
    amount: int = 12_000,
    currency: str = "eur",
    duration_minutes: int = 60,
    capacity: int = 1,
    policy: dict[str, Any] | None = None,
) -> Shop:
    provider_id, service_id, client_id = uuid4(), uuid4(), f"client-{uuid4()}"
    account = await gateway.create_account(
        provider_id=str(provider_id),
        email="provider@test.example",
        country="DE",
        key=f"account:{provider_id}",
    )
    product_id = await gateway.create_product(name="Lesson", description=None, key=f"product:{service_id}")
    price = await gateway.create_price(
        product_id=product_id, amount=amount, currency=currency, key=f"price:{service_id}"
    )
    subject = f"provider-{provider_id}"

    async def work(session: AsyncSession) -> None:
        session.add(
            Provider(
                id=provider_id,
                subject=subject,
                name="Test Provider",
                email="provider@test.example",
                time_zone="Europe/Berlin",
                country="DE",
                stripe_account_id=account.id,
                transfers_active=True,
                payouts_enabled=True,
            )
        )
        session.add(Client(id=client_id, name="Test Client", email="client@test.example"))
        await session.flush()
        for day in range(7):
            session.add(
                AvailabilityRule(
                    provider_id=provider_id, weekday=day, opens_minute=0, closes_minute=MINUTES_PER_DAY
                )
            )
        session.add(
            Service(
                id=service_id,
                provider_id=provider_id,
                name="Lesson",
                duration_minutes=duration_minutes,
                capacity=capacity,
                price_id=price.id,
                product_id=product_id,
                amount=amount,
                currency=currency,
                policy=policy or {},
            )
        )

    await database.run(work)
    return Shop(database, provider_id, subject, account.id, service_id, client_id, amount)
