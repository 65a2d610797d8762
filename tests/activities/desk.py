"""Bookings on their way, and a picture of where their money is: at Stripe and on our books."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, text, update
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
from workflows.orders import Moving, Reschedule

CLIENT: Final = Actor(role=Role.CLIENT, id="client")
PROVIDER: Final = Actor(role=Role.PROVIDER, id="provider")
OPS: Final = Actor(role=Role.OPS, id="ops")
CHARGE_NOW: Final = {"capture": "on_payment"}
SOON: Final = timedelta(hours=2)
FAR_OFF: Final = timedelta(days=20)
"""Beyond any authorization: the card is kept now and charged nearer the date."""
NEEDS_3DS: Final = "pm_card_authenticationRequired"
REFUSED_LATER: Final = "pm_card_chargeCustomerFail"
"""Can be kept, and is refused when it is charged."""


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
    setups: tuple[str, ...] = ()
    captured: int = 0
    refunds: tuple[int, ...] = ()
    transfers: tuple[int, ...] = ()
    reversals: tuple[int, ...] = ()
    bank: tuple[int, ...] = ()
    """Payouts of the provider's account to its bank."""


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

    async def reserved(self, shop: Shop, starts_in: timedelta = SOON) -> UUID:
        request = await shop.asked(shop.request(starts_in))
        reserved = await self.activities().bookings.reserve(Reserve(request=request, at=now()))
        assert reserved.refusal is None
        return request.booking_id

    async def reserved_far_off(self, shop: Shop) -> UUID:
        return await self.reserved(shop, FAR_OFF)

    async def opened(self, shop: Shop, starts_in: timedelta = SOON) -> UUID:
        booking_id = await self.reserved(shop, starts_in)
        await self.activities().payments.open_payment(do(booking_id))
        return booking_id

    async def opened_far_off(self, shop: Shop) -> UUID:
        return await self.opened(shop, FAR_OFF)

    async def paid(self, shop: Shop, card: str = "pm_card_visa") -> UUID:
        """The client has paid and nobody has told us."""
        booking_id = await self.opened(shop)
        await self.confirm_card(booking_id, card)
        return booking_id

    async def confirm_card(self, booking_id: UUID, card: str = "pm_card_visa") -> None:
        intent_id = await self.intent_id(booking_id)
        await self.sdk.v1.payment_intents.confirm_async(intent_id, {"payment_method": card})

    async def keep_card(self, booking_id: UUID, card: str = "pm_card_visa") -> None:
        """The client gives a card to be kept; nobody has told us."""
        setup_id = (await self.payment(booking_id)).setup_intent_id
        assert setup_id is not None
        await self.sdk.v1.setup_intents.confirm_async(setup_id, {"payment_method": card})

    async def authenticate(self, intent_id: str, *, kind: str = "payment_intents") -> None:
        await self.control.ask("POST", f"/{kind}/{intent_id}/authenticate", outcome="success")

    async def confirmed(self, shop: Shop, card: str = "pm_card_visa") -> UUID:
        booking_id = await self.paid(shop, card)
        if card == NEEDS_3DS:
            await self.authenticate(await self.intent_id(booking_id))
        await self.activities().payments.read_payment(do(booking_id))
        await self.activities().bookings.confirm(do(booking_id))
        return booking_id

    async def saved(self, shop: Shop, card: str = "pm_card_visa") -> UUID:
        """Confirmed, the card kept and not charged."""
        booking_id = await self.opened_far_off(shop)
        await self.keep_card(booking_id, card)
        await self.activities().payments.read_payment(do(booking_id))
        await self.activities().bookings.confirm(do(booking_id))
        return booking_id

    async def chargeable(self, shop: Shop, card: str = "pm_card_visa") -> UUID:
        """The kept card's day has come."""
        booking_id = await self.saved(shop, card)
        await self.comes_due(booking_id, authorize_at=now())
        return booking_id

    async def unrepaired(self, shop: Shop) -> UUID:
        """The kept card was refused, and the time to repair it is over."""
        booking_id = await self.chargeable(shop, REFUSED_LATER)
        await self.activities().authorizations.authorize(do(booking_id))
        await self.comes_due(booking_id, fix_by=now())
        return booking_id

    async def ending(self, shop: Shop, card: str = "pm_card_visa") -> UUID:
        """The authorization ends before the outcome is known."""
        booking_id = await self.confirmed(shop, card)
        await self.comes_due(booking_id, renew_at=now())
        return booking_id

    async def moved_far_off(self, shop: Shop) -> UUID:
        """Authorized, and moved beyond its authorization."""
        booking_id = await self.confirmed(shop)
        starts_at = (await shop.session_of(booking_id)).starts_at + FAR_OFF
        order = Reschedule(actor=PROVIDER, starts_at=starts_at)
        moved = await self.activities().bookings.reschedule(
            Moving(booking_id=booking_id, at=now(), order=order)
        )
        assert moved.booking.replan
        return booking_id

    async def comes_due(self, booking_id: UUID, **deadlines: datetime) -> None:
        """Time passes up to a deadline of the payment."""

        async def work(session: AsyncSession) -> None:
            await session.execute(update(Payment).where(Payment.booking_id == booking_id).values(**deadlines))

        await self.database.run(work)

    async def earned(self, shop: Shop) -> UUID:
        """Completed and captured; the provider's share is held."""
        booking_id = await self.confirmed(shop)
        await self.activities().payments.settle(completed(booking_id))
        return booking_id

    # --- looking ----------------------------------------------------------------------------------

    async def somebody_waits(self) -> bool:
        """Whether a transaction in this database stands in line for a lock; others have databases beside it."""
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(await self.database.run(lambda session: session.scalar(waiting)))

    async def payment(self, booking_id: UUID) -> Payment:
        """The booking's payment; the latest, when it was authorized anew."""
        found = select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number.desc())

        async def work(session: AsyncSession) -> Payment:
            return (await session.scalars(found.limit(1))).one()

        return await self.database.run(work)

    async def intent_id(self, booking_id: UUID) -> str:
        intent_id = (await self.payment(booking_id)).payment_intent_id
        assert intent_id is not None
        return intent_id

    async def operations(self, booking_id: UUID, kind: str) -> list[StripeOperation]:
        """The attempts at one kind of write on the row that was written to last, first to last."""
        query = (
            select(StripeOperation)
            .where(StripeOperation.booking_id == booking_id, StripeOperation.kind == kind)
            .order_by(StripeOperation.started_at, StripeOperation.attempt)
        )

        async def work(session: AsyncSession) -> list[StripeOperation]:
            every = list(await session.scalars(query))
            return [one for one in every if one.row_id == every[-1].row_id]

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
        setups = [
            setup
            for setup in await self.control.objects("setup_intent")
            if setup["metadata"].get("booking_id") == str(booking_id)
        ]
        mine = {intent["id"] for intent in intents}
        charges = [one for one in await self.control.objects("charge") if one["payment_intent"] in mine]
        refunds = [one for one in await self.control.objects("refund") if one["payment_intent"] in mine]
        group = transfer_group_for(booking_id)
        transfers = [one for one in await self.control.objects("transfer") if one["transfer_group"] == group]
        sent = {one["id"] for one in transfers}
        reversals = [
            one for one in await self.control.objects("transfer_reversal") if one["transfer"] in sent
        ]
        bank = [
            one
            for one in await self.control.objects("payout")
            if one["metadata"].get("booking_id") == str(booking_id)
        ]
        return Picture(
            booking=booking.status,
            payment=payment.status,
            payout=payout.status if payout else None,
            books=_balances(entries),
            journals=dict(Counter(kind for _, kind in {(one.journal_id, one.kind.value) for one in entries})),
            customers=sum(one["metadata"].get("client_id") == booking.client_id for one in customers),
            intents=tuple(intent["status"] for intent in intents),
            setups=tuple(setup["status"] for setup in setups),
            captured=sum(one["amount_captured"] for one in charges),
            refunds=tuple(one["amount"] for one in refunds),
            transfers=tuple(one["amount"] for one in transfers),
            reversals=tuple(one["amount"] for one in reversals),
            bank=tuple(one["amount"] for one in bank),
        )


def now() -> datetime:
    return datetime.now(UTC)


def do(booking_id: UUID, adopt: str | None = None, at: datetime | None = None) -> Do:
    return Do(booking_id=booking_id, at=at or now(), adopt=adopt)


def completed(booking_id: UUID) -> Settle:
    return _settle(booking_id, ReportedOutcome.COMPLETED, CLIENT)


def cancelled_by(actor: Actor, booking_id: UUID) -> Settle:
    return _settle(booking_id, ReportedOutcome.CANCELLED, actor)


def abandoned(booking_id: UUID, reason: str = "payment_timeout") -> Abandon:
    return Abandon(booking_id=booking_id, at=now(), reason=reason, actor=CLIENT)


def settling(booking_id: UUID, kind: ReportedOutcome, actor: Actor, keep: int | None = None) -> Settle:
    """The same without a reason of its own."""
    return Settle(booking_id=booking_id, outcome=Outcome(kind=kind, actor=actor, at=now(), keep=keep))


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
    payments = select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number.desc())
    payment = (await session.scalars(payments.limit(1))).one()
    payout = (await session.scalars(select(Payout).where(Payout.booking_id == booking_id))).one_or_none()
    entries = await session.scalars(select(LedgerEntry).where(LedgerEntry.booking_id == booking_id))
    return await session.get_one(Booking, booking_id), payment, payout, list(entries)


def _balances(entries: list[LedgerEntry]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for entry in entries:
        totals[entry.account.value] += entry.amount if entry.side is Side.DEBIT else -entry.amount
    return {account: total for account, total in totals.items() if total}
