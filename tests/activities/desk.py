"""Bookings on their way, and a picture of where their money is: at Stripe and on our books."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.client import Client

from activities.operations import Operations
from activities.payments import PaymentActivities
from activities.payouts import PayoutActivities
from activities.stripe_gateway import StripeGateway, utc_now
from activities.stripe_writes import StripeWrites
from activities.wiring import Activities, build
from models.bookings import Booking
from models.database import Database
from models.keys import transfer_group_for
from models.ledger import LedgerEntry, Side
from models.payments import Payment, Payout
from models.records import StripeOperation
from models.states import ReportedOutcome, Role
from settings import PolicyDefaults
from tests.sandbox.stripe.conftest import Control
from tests.support.shop import Shop, open_shop
from workflows.contracts import Abandon, Actor, Do, Outcome, Reserve, Settle

CLIENT: Final = Actor(role=Role.CLIENT, id="client")
PROVIDER: Final = Actor(role=Role.PROVIDER, id="provider")
CHARGE_NOW: Final = {"capture": "on_payment"}


@dataclass(frozen=True)
class Picture:
    """Where a booking and its money are. Equal pictures mean that nobody could tell the difference."""

    booking: str = "PENDING"
    payment: str = "PENDING"
    payout: str | None = None
    books: Mapping[str, int] = field(default_factory=dict)
    """Debits less credits of every account that is not zero."""
    journals: Mapping[str, int] = field(default_factory=dict)
    customers: int = 1
    intents: tuple[str, ...] = ("requires_payment_method",)
    captured: int = 0
    refunds: tuple[int, ...] = ()
    transfers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Desk:
    """One test's parts."""

    database: Database
    gateway: StripeGateway
    temporal: Client
    sdk: StripeClient
    control: Control

    def activities(
        self, database: Database | None = None, gateway: StripeGateway | None = None
    ) -> Activities:
        """The product's activities, as its worker builds them."""
        return build(database or self.database, gateway or self.gateway, self.temporal, PolicyDefaults())

    def with_parts(
        self, *, writes: StripeWrites | None = None, now: Callable[[], datetime] = utc_now
    ) -> tuple[PaymentActivities, PayoutActivities]:
        """The money activities with other writes, or another clock, than the worker gives them."""
        writes, operations = writes or StripeWrites(self.gateway), Operations(self.database, now)
        payments = PaymentActivities(self.database, self.gateway, writes, operations)
        return payments, PayoutActivities(self.database, self.gateway, writes, operations)

    async def shop(self, **options: Any) -> Shop:
        return await open_shop(self.database, self.gateway, **options)

    # --- a booking's way ------------------------------------------------------------------------

    async def reserved(self, shop: Shop) -> UUID:
        request = await shop.asked(shop.request())
        reserved = await self.activities().bookings.reserve(Reserve(request=request, at=now()))
        assert reserved.refusal is None
        return request.booking_id

    async def opened(self, shop: Shop) -> UUID:
        booking_id = await self.reserved(shop)
        await self.activities().payments.open_payment(do(booking_id))
        return booking_id

    async def paid(self, shop: Shop, card: str = "pm_card_visa") -> UUID:
        """The client has paid and nobody has told us."""
        booking_id = await self.opened(shop)
        await self.confirm_card(booking_id, card)
        return booking_id

    async def confirm_card(self, booking_id: UUID, card: str = "pm_card_visa") -> None:
        intent_id = await self.intent_id(booking_id)
        await self.sdk.v1.payment_intents.confirm_async(intent_id, {"payment_method": card})

    async def confirmed(self, shop: Shop) -> UUID:
        booking_id = await self.paid(shop)
        await self.activities().payments.read_payment(do(booking_id))
        await self.activities().bookings.confirm(do(booking_id))
        return booking_id

    async def earned(self, shop: Shop) -> UUID:
        """Completed and captured; the provider's share is held."""
        booking_id = await self.confirmed(shop)
        await self.activities().payments.settle(completed(booking_id))
        return booking_id

    # --- looking ----------------------------------------------------------------------------------

    async def intent_id(self, booking_id: UUID) -> str:
        found = select(Payment.payment_intent_id).where(Payment.booking_id == booking_id)
        intent_id = await self.database.run(lambda session: session.scalar(found))
        assert intent_id is not None
        return intent_id

    async def operations(self, booking_id: UUID, kind: str) -> list[StripeOperation]:
        """The attempts at one kind of write, first to last."""
        query = (
            select(StripeOperation)
            .where(StripeOperation.booking_id == booking_id, StripeOperation.kind == kind)
            .order_by(StripeOperation.attempt)
        )

        async def work(session: AsyncSession) -> list[StripeOperation]:
            return list(await session.scalars(query))

        return await self.database.run(work)

    async def picture(self, booking_id: UUID) -> Picture:
        booking, payment, payout, entries = await self.database.run(
            lambda session: _rows(session, booking_id)
        )
        customers = await self.control.objects("customer")
        intents = [
            intent
            for intent in await self.control.objects("payment_intent")
            if intent["metadata"].get("booking_id") == str(booking_id)
        ]
        mine = {intent["id"] for intent in intents}
        charges = [one for one in await self.control.objects("charge") if one["payment_intent"] in mine]
        refunds = [one for one in await self.control.objects("refund") if one["payment_intent"] in mine]
        group = transfer_group_for(booking_id)
        transfers = [one for one in await self.control.objects("transfer") if one["transfer_group"] == group]
        return Picture(
            booking=booking.status,
            payment=payment.status,
            payout=payout.status if payout else None,
            books=_balances(entries),
            journals=dict(Counter(kind for _, kind in {(one.journal_id, one.kind.value) for one in entries})),
            customers=sum(one["metadata"].get("client_id") == booking.client_id for one in customers),
            intents=tuple(intent["status"] for intent in intents),
            captured=sum(one["amount_captured"] for one in charges),
            refunds=tuple(one["amount"] for one in refunds),
            transfers=tuple(one["amount"] for one in transfers),
        )


def now() -> datetime:
    return datetime.now(UTC)


def do(booking_id: UUID, adopt: str | None = None, at: datetime | None = None) -> Do:
    return Do(booking_id=booking_id, at=at or now(), adopt=adopt)


def completed(booking_id: UUID) -> Settle:
    return _settle(booking_id, ReportedOutcome.COMPLETED, CLIENT)


def cancelled_by(actor: Actor, booking_id: UUID) -> Settle:
    return _settle(booking_id, ReportedOutcome.CANCELLED, actor)


def abandoned(booking_id: UUID) -> Abandon:
    return Abandon(booking_id=booking_id, at=now(), reason="payment_timeout", actor=CLIENT)


def _settle(booking_id: UUID, kind: ReportedOutcome, actor: Actor) -> Settle:
    outcome = Outcome(kind=kind, actor=actor, at=now(), reason=f"by {actor.role}")
    return Settle(booking_id=booking_id, outcome=outcome)


async def number(database: Database, query: Select[int]) -> int:
    """The one number that a query answers with."""

    async def work(session: AsyncSession) -> int:
        return int((await session.execute(query)).scalar_one())

    return await database.run(work)


async def _rows(
    session: AsyncSession, booking_id: UUID
) -> tuple[Booking, Payment, Payout | None, list[LedgerEntry]]:
    payment = (await session.scalars(select(Payment).where(Payment.booking_id == booking_id))).one()
    payout = (await session.scalars(select(Payout).where(Payout.booking_id == booking_id))).one_or_none()
    entries = await session.scalars(select(LedgerEntry).where(LedgerEntry.booking_id == booking_id))
    return await session.get_one(Booking, booking_id), payment, payout, list(entries)


def _balances(entries: list[LedgerEntry]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for entry in entries:
        totals[entry.account.value] += entry.amount if entry.side is Side.DEBIT else -entry.amount
    return {account: total for account, total in totals.items() if total}
