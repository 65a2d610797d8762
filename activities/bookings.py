"""The seat: take it, confirm it, let it go."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.bookkeeping import settled
from activities.errors import Failure, StepError
from activities.records import change, load
from activities.standing import state
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Price
from models.availability import OpeningHours, is_open
from models.bookings import Booking, BookingRequest, Session
from models.catalogue import AvailabilityRule, Provider, Service
from models.database import Database, sqlstate
from models.keys import row_id_for
from models.payments import Payment
from models.policy import PaymentPlan, Policy, choose_plan
from models.states import TERMINAL_BOOKING, BookingStatus, PaymentStatus, SessionStatus
from models.transitions import created, move
from settings import PolicyDefaults
from workflows.contracts import (
    Abandon,
    AttentionNote,
    BookingState,
    Do,
    Refusal,
    Reserve,
    Reserved,
    StartBooking,
)
from workflows.steps import BookingSteps

EXCLUSION_VIOLATION = "23P01"


@dataclass(frozen=True)
class Offer:
    """What a service offers at the moment of booking."""

    service: Service
    provider: Provider
    hours: list[OpeningHours]
    policy: Policy


class BookingActivities(BookingSteps):
    """Implements `BookingSteps` on Postgres."""

    def __init__(self, database: Database, gateway: StripeGateway, defaults: PolicyDefaults) -> None:
        self._database = database
        self._gateway = gateway
        self._defaults = defaults

    @activity.defn
    async def reserve(self, step: Reserve) -> Reserved:
        """Take the seat, or answer with what an earlier attempt took or was refused."""
        earlier = await self._database.run(lambda session: _earlier(session, step.request.booking_id))
        if earlier:
            return earlier
        offer = await self._database.run(lambda session: self._offer(session, step.request.service_id))
        if offer is None:
            return await self._refuse(step.request, Refusal.NOT_FOUND)
        if refusal := self._objection(offer, step):
            return await self._refuse(step.request, refusal)
        price = await self._gateway.retrieve_price(offer.service.price_id)
        if not price.active or price.unit_amount <= 0:
            return await self._refuse(step.request, Refusal.NOT_FOUND)
        return await self._database.run(lambda session: self._take_seat(session, step, offer, price))

    @activity.defn
    async def confirm(self, step: Do) -> BookingState:
        """Promote the drafts; `accepted_at` is the saga's instant."""

        async def work(session: AsyncSession) -> BookingState:
            rows = await load(session, step.booking_id, lock=True)
            context = change(step.booking_id, step.at)
            if rows.booking.status not in TERMINAL_BOOKING:
                await move(session, rows.booking, BookingStatus.CONFIRMED, context, accepted_at=step.at)
                await move(session, rows.session, SessionStatus.SCHEDULED, context)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def release(self, step: Abandon) -> BookingState | None:
        """End the booking CANCELLED; a booking that ended already, or never was, stays as it is."""

        async def work(session: AsyncSession) -> BookingState | None:
            if await _call_off(session, step.booking_id):
                return None
            rows = await load(session, step.booking_id, lock=True)
            if rows.booking.status not in TERMINAL_BOOKING:
                if not settled(rows.payment, 0):
                    raise StepError(Failure.MONEY_NOT_SETTLED, "the client's money has not gone back yet")
                context = change(step.booking_id, step.at, step.actor, step.reason)
                target = BookingStatus.CANCELLED
                await move(session, rows.booking, target, context, status_reason=step.reason)
                await move(session, rows.session, SessionStatus.CANCELLED, context)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def record_attention(self, note: AttentionNote) -> None:
        """Show the parked step on the booking; a later note replaces it."""

        async def work(session: AsyncSession) -> None:
            since = func.coalesce(Booking.attention_since, note.at) if note.step else None
            await session.execute(
                update(Booking)
                .where(Booking.id == note.booking_id)
                .values(attention_step=note.step, attention_message=note.message, attention_since=since)
            )

        await self._database.run(work)

    async def _offer(self, session: AsyncSession, service_id: UUID) -> Offer | None:
        service = await session.get(Service, service_id)
        if service is None or not service.active:
            return None
        provider = await session.get_one(Provider, service.provider_id)
        rules = await session.scalars(
            select(AvailabilityRule).where(AvailabilityRule.provider_id == provider.id)
        )
        hours = [
            OpeningHours(
                weekday=rule.weekday, opens_minute=rule.opens_minute, closes_minute=rule.closes_minute
            )
            for rule in rules
        ]
        return Offer(service, provider, hours, self._defaults.resolve(service.policy))

    def _objection(self, offer: Offer, step: Reserve) -> Refusal | None:
        starts_at = step.request.starts_at
        ends_at = starts_at + timedelta(minutes=offer.service.duration_minutes)
        if offer.provider.stripe_account_id is None:
            return Refusal.PROVIDER_NOT_READY
        if not is_open(offer.hours, ZoneInfo(offer.provider.time_zone), starts_at, ends_at):
            return Refusal.OUTSIDE_OPENING_HOURS
        if self._plan(offer, ends_at, step.at) is PaymentPlan.AUTHORIZE_LATER:
            return Refusal.VALIDATION_FAILED
        return None

    def _plan(self, offer: Offer, ends_at: datetime, at: datetime) -> PaymentPlan:
        return choose_plan(offer.policy, ends_at, at, self._defaults.authorization_window)

    async def _refuse(self, request: StartBooking, refusal: Refusal) -> Reserved:
        async def work(session: AsyncSession) -> Reserved:
            earlier = await _earlier(session, request.booking_id)
            return earlier or await _remember_refusal(session, request.booking_id, refusal)

        return await self._database.run(work)

    async def _take_seat(self, session: AsyncSession, step: Reserve, offer: Offer, price: Price) -> Reserved:
        # The constraint is the promise; this lock keeps rivals from deadlocking on it (DESIGN 6).
        await session.execute(select(func.pg_advisory_xact_lock(offer.provider.provider_no)))
        if earlier := await _earlier(session, step.request.booking_id):
            return earlier
        try:
            async with session.begin_nested():
                await self._draft(session, step, offer, price)
        except IntegrityError as error:
            if sqlstate(error) != EXCLUSION_VIOLATION:
                raise
            return await _remember_refusal(session, step.request.booking_id, Refusal.SLOT_TAKEN)
        return Reserved(booking=await state(session, step.request.booking_id))

    async def _draft(self, session: AsyncSession, step: Reserve, offer: Offer, price: Price) -> None:
        request, context = step.request, change(step.request.booking_id, step.at)
        block = _session(request, offer)
        session.add(block)
        await session.flush()
        booking = _booking(step, offer, price, block, self._plan(offer, block.ends_at, step.at))
        session.add(booking)
        await session.flush()
        payment = Payment(
            id=row_id_for(booking.id, "payment"),
            booking_id=booking.id,
            status=PaymentStatus.PENDING,
            amount=booking.amount,
            currency=booking.currency,
        )
        for row in (block, booking, payment):
            created(session, row, context)
        await session.flush()


def _session(request: StartBooking, offer: Offer) -> Session:
    return Session(
        id=row_id_for(request.booking_id, "session"),
        provider_id=offer.provider.id,
        provider_no=offer.provider.provider_no,
        service_id=offer.service.id,
        status=SessionStatus.DRAFT,
        starts_at=request.starts_at,
        ends_at=request.starts_at + timedelta(minutes=offer.service.duration_minutes),
        capacity=1,
    )


def _booking(step: Reserve, offer: Offer, price: Price, block: Session, plan: PaymentPlan) -> Booking:
    return Booking(
        id=step.request.booking_id,
        session_id=block.id,
        service_id=offer.service.id,
        provider_id=offer.provider.id,
        client_id=step.request.client_id,
        status=BookingStatus.PENDING,
        policy=offer.policy.model_dump(mode="json"),
        plan=plan,
        price_id=price.id,
        amount=price.unit_amount,
        currency=price.currency,
        time_zone=offer.provider.time_zone,
        expires_at=step.at + offer.policy.payment_window,
        completion_due_at=block.ends_at + offer.policy.completion_grace,
    )


async def _earlier(session: AsyncSession, booking_id: UUID) -> Reserved | None:
    """What an earlier run or attempt made of the same request.

    The request's row stays locked: a slow attempt and whoever gave up on it take turns.
    """
    request = await session.get(BookingRequest, booking_id, with_for_update=True)
    if await session.get(Booking, booking_id) is not None:
        return Reserved(booking=await state(session, booking_id))
    if request is not None and request.refusal is not None:
        return Reserved(refusal=Refusal(request.refusal))
    return None


async def _call_off(session: AsyncSession, booking_id: UUID) -> bool:
    """Whether there never was a booking; then none can be made of its request any more."""
    if await _earlier(session, booking_id) is None:
        await _remember_refusal(session, booking_id, Refusal.CALLED_OFF)
    return await session.get(Booking, booking_id) is None


async def _remember_refusal(session: AsyncSession, booking_id: UUID, refusal: Refusal) -> Reserved:
    """The same key gets the same answer for as long as we live, not as Temporal remembers."""
    await session.execute(
        update(BookingRequest).where(BookingRequest.booking_id == booking_id).values(refusal=refusal)
    )
    return Reserved(refusal=refusal)
