"""Taking a seat: a session of one's own, or a place in a class (DESIGN 3.1 and 6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from activities.records import change
from activities.standing import state
from activities.stripe_objects import Price
from models.availability import OpeningHours, is_open
from models.bookings import Booking, BookingRequest, Session
from models.catalogue import AvailabilityRule, Provider, Service
from models.database import sqlstate
from models.keys import row_id_for
from models.payments import Payment
from models.policy import PaymentPlan, Policy, choose_plan
from models.states import SEAT_HOLDING, BookingStatus, PaymentStatus, SessionStatus
from models.transitions import created
from settings import PolicyDefaults
from workflows.contracts import Refusal, Reserve, Reserved, StartBooking

TAKEN: Final[dict[str | None, Refusal]] = {"23P01": Refusal.SLOT_TAKEN, "23505": Refusal.ALREADY_BOOKED}
"""What Postgres refuses: two sessions of a provider at once, two seats of a client in one class."""

_LATE: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.FAILED})
"""A payment of an ended booking that may have been made after all."""


class NoSeat(Exception):
    """There is no seat to give."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(frozen=True)
class Offer:
    """What a service offers at the moment of booking; money that needs a later day needs `window`."""

    service: Service
    provider: Provider
    hours: list[OpeningHours]
    policy: Policy
    window: timedelta

    def plan(self, ends_at: datetime, now: datetime) -> PaymentPlan:
        """When the money for a session that ends then is taken."""
        return choose_plan(self.policy, ends_at, now, self.window)

    def objection(self, request: StartBooking) -> Refusal | None:
        """What speaks against the request before any seat is looked at."""
        if self.provider.stripe_account_id is None:
            return Refusal.PROVIDER_NOT_READY
        if request.session_id is not None:
            return None  # a class is put up by its provider, whatever the opening hours
        ends_at = request.starts_at + timedelta(minutes=self.service.duration_minutes)
        if not is_open(self.hours, ZoneInfo(self.provider.time_zone), request.starts_at, ends_at):
            return Refusal.OUTSIDE_OPENING_HOURS
        return None


async def offer_of(session: AsyncSession, service_id: UUID, defaults: PolicyDefaults) -> Offer | None:
    """The service as it is offered now; None when it is not."""
    service = await session.get(Service, service_id)
    if service is None or not service.active:
        return None
    provider = await session.get_one(Provider, service.provider_id)
    hours = await opening_hours(session, provider.id)
    window = defaults.authorization_window
    return Offer(service, provider, hours, defaults.resolve(service.policy), window)


async def opening_hours(session: AsyncSession, provider_id: UUID) -> list[OpeningHours]:
    """When the provider can be booked, in its own zone."""
    rules = await session.scalars(select(AvailabilityRule).where(AvailabilityRule.provider_id == provider_id))
    return [
        OpeningHours(weekday=rule.weekday, opens_minute=rule.opens_minute, closes_minute=rule.closes_minute)
        for rule in rules
    ]


async def earlier(session: AsyncSession, booking_id: UUID) -> Reserved | None:
    """What an earlier run or attempt made of the same request.

    The request's row stays locked: a slow attempt and whoever gave up on it take turns.
    """
    request = await session.get(BookingRequest, booking_id, with_for_update=True)
    if await session.get(Booking, booking_id) is not None:
        return Reserved(booking=await state(session, booking_id))
    if request is not None and request.refusal is not None:
        return Reserved(refusal=Refusal(request.refusal))
    return None


async def call_off(session: AsyncSession, booking_id: UUID) -> bool:
    """Whether there never was a booking; then none can be made of its request any more."""
    if await earlier(session, booking_id) is None:
        await remember_refusal(session, booking_id, Refusal.CALLED_OFF)
    return await session.get(Booking, booking_id) is None


async def remember_refusal(session: AsyncSession, booking_id: UUID, refusal: Refusal) -> Reserved:
    """The same key gets the same answer for as long as we live, not as Temporal remembers."""
    await session.execute(
        update(BookingRequest).where(BookingRequest.booking_id == booking_id).values(refusal=refusal)
    )
    return Reserved(refusal=refusal)


async def queue_for(session: AsyncSession, provider_no: int) -> None:
    """Stand in line for the provider's time until the transaction ends.

    The constraint is the promise; this lock keeps rivals from deadlocking on it (DESIGN 6). Take it
    before any row.
    """
    await session.execute(select(func.pg_advisory_xact_lock(provider_no)))


async def take_seat(session: AsyncSession, step: Reserve, offer: Offer, price: Price) -> Reserved:
    """Session, booking and payment at once, or the refusal, remembered."""
    await queue_for(session, offer.provider.provider_no)
    if known := await earlier(session, step.request.booking_id):
        return known
    try:
        async with session.begin_nested():
            await _draft(session, step, offer, price)
    except NoSeat as full:
        return await remember_refusal(session, step.request.booking_id, full.refusal)
    except IntegrityError as error:
        refusal = TAKEN.get(sqlstate(error))
        if refusal is None:
            raise
        return await remember_refusal(session, step.request.booking_id, refusal)
    return Reserved(booking=await state(session, step.request.booking_id))


async def seat_in(
    session: AsyncSession, session_id: UUID, service_id: UUID, client_id: str, at: datetime
) -> Session:
    """A class that has a seat for this client, its row locked until the transaction ends.

    Raises:
        NoSeat: there is no such class any more, it is full, or the client has a seat in it.
    """
    block = await session.get(Session, session_id, with_for_update=True, populate_existing=True)
    if block is None or block.service_id != service_id or block.status is not SessionStatus.SCHEDULED:
        raise NoSeat(Refusal.CLASS_NOT_FOUND)
    if block.capacity == 1 or block.starts_at <= at:
        raise NoSeat(Refusal.CLASS_NOT_FOUND)
    holders = select(Booking.client_id).where(
        Booking.session_id == session_id, Booking.status.in_(SEAT_HOLDING)
    )
    taken = list(await session.scalars(holders))
    if client_id in taken:
        raise NoSeat(Refusal.ALREADY_BOOKED)
    if len(taken) >= block.capacity:
        raise NoSeat(Refusal.CAPACITY_FULL)
    return block


async def _draft(session: AsyncSession, step: Reserve, offer: Offer, price: Price) -> None:
    request, context = step.request, change(step.request.booking_id, step.at)
    if request.session_id is not None:
        block = await seat_in(session, request.session_id, offer.service.id, request.client_id, step.at)
    else:
        block = _session(request, offer)
        session.add(block)
        await session.flush()
    booking = _booking(step, offer, price, block)
    session.add(booking)
    await session.flush()
    payment = await _payment(session, booking, request)
    for row in (booking, payment) if request.session_id else (block, booking, payment):
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


def _booking(step: Reserve, offer: Offer, price: Price, block: Session) -> Booking:
    return Booking(
        id=step.request.booking_id,
        session_id=block.id,
        service_id=offer.service.id,
        provider_id=offer.provider.id,
        client_id=step.request.client_id,
        status=BookingStatus.PENDING,
        policy=offer.policy.model_dump(mode="json"),
        plan=offer.plan(block.ends_at, step.at),
        price_id=price.id,
        amount=price.unit_amount,
        currency=price.currency,
        time_zone=offer.provider.time_zone,
        expires_at=step.at + offer.policy.payment_window,
        completion_due_at=block.ends_at + offer.policy.completion_grace,
    )


async def _payment(session: AsyncSession, booking: Booking, request: StartBooking) -> Payment:
    """The booking's payment; one that was made for a booking that had ended is taken over."""
    if request.payment_intent_id is not None:
        await _take_over(session, request.payment_intent_id, request.client_id)
    return Payment(
        id=row_id_for(booking.id, "payment"),
        booking_id=booking.id,
        status=PaymentStatus.PENDING,
        amount=booking.amount,
        currency=booking.currency,
        payment_intent_id=request.payment_intent_id,
    )


async def _take_over(session: AsyncSession, intent_id: str, client_id: str) -> None:
    """Loosen the payment from the ended booking that has it.

    Raises:
        NoSeat: it is somebody else's, or it has a booking.
    """
    found = select(Payment).where(Payment.payment_intent_id == intent_id).with_for_update()
    payment = (await session.scalars(found)).one_or_none()
    if payment is None:
        return
    former = await session.get_one(Booking, payment.booking_id)
    if former.client_id != client_id or payment.status not in _LATE:
        raise NoSeat(Refusal.CALLED_OFF)
    payment.payment_intent_id, payment.charge_id = None, None
    await session.flush()
