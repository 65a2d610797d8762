"""Payments that no live booking knows: whose they are, and what they could be good for (DESIGN section 9)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import StripeFailure
from activities.records import Records, load
from activities.refunding import surplus
from activities.routing import GONE
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent
from models.bookings import Booking, Session
from models.catalogue import Client, Service
from models.keys import APP, stray_id_for
from models.payments import Payment
from models.records import StripeOperation
from models.states import (
    LIVE_SESSION,
    SEAT_HOLDING,
    TERMINAL_BOOKING,
    BookingStatus,
    OperationState,
    StatusReason,
)
from workflows.contracts import StartBooking

STANDS: Final = frozenset({"requires_capture", "succeeded"})
NOBODY_CANCELLED: Final = frozenset(
    {StatusReason.PAYMENT_TIMEOUT, StatusReason.PAYMENT_FAILED, StatusReason.PAYMENT_UNAVAILABLE}
)
"""The booking ended for want of a payment: who pays after all still wants it."""


async def read_stray(gateway: StripeGateway, intent_id: str | None) -> Intent | None:
    """The intent; None when Stripe has none of that name."""
    if intent_id is None:
        return None
    try:
        return await gateway.retrieve_intent(intent_id)
    except StripeFailure as failure:
        if failure.code != "resource_missing":
            raise
        return None


def is_ours(intent: Intent, *, livemode: bool) -> bool:
    """Whether this product made the intent; others may use the same Stripe account."""
    return intent.metadata.get("app") == APP and intent.livemode == livemode


def stands(intent: Intent) -> bool:
    """Whether the client's money is authorized, or with us."""
    return intent.status in STANDS


async def being_made(session: AsyncSession, intent: Intent) -> bool:
    """Whether who made the intent has still to record it: an operation, or a booking that takes place."""
    found = await known(session, intent)
    if found and _is_seen_to(found) and intent.status != "canceled":
        return True
    key = intent.metadata.get("op")
    under_way = select(StripeOperation.key).where(
        StripeOperation.key == key,
        StripeOperation.state.in_([OperationState.STARTED, OperationState.UNKNOWN]),
    )
    return await session.scalar(under_way) is not None


@dataclass(frozen=True)
class Known:
    """The booking that a stray payment was meant for."""

    rows: Records
    payment: Payment | None
    """The row that has the intent; it may be one of an earlier round, that no row has any more."""
    made: bool
    """Whether one of the booking's own operations made it; else it only says that it is for the booking."""
    customer_id: str | None


async def known(session: AsyncSession, intent: Intent, *, lock: bool = False) -> Known | None:
    """The booking behind an intent: by our rows, else by our operations, else by what the intent says.

    What it says is a hint: it counts when the intent is the booking's client's.
    """
    by_row = select(Payment).where(Payment.payment_intent_id == intent.id)
    payment = (await session.scalars(by_row)).one_or_none()
    maker = payment.booking_id if payment else await _made_for(session, intent)
    booking_id = maker or await _hinted(session, intent)
    if booking_id is None:
        return None
    rows = await load(session, booking_id, lock=lock)
    client = await session.get_one(Client, rows.booking.client_id)
    return Known(rows, payment, maker is not None, client.stripe_customer_id)


async def _made_for(session: AsyncSession, intent: Intent) -> UUID | None:
    by_operation = (
        select(Booking.id)
        .join(StripeOperation, StripeOperation.booking_id == Booking.id)
        .where(StripeOperation.object_id == intent.id)
    )
    return (await session.scalars(by_operation)).first()


async def _hinted(session: AsyncSession, intent: Intent) -> UUID | None:
    try:
        hint = UUID(intent.metadata.get("booking_id", ""))
    except ValueError:
        return None
    theirs = (
        select(Booking.id)
        .join(Client, Client.id == Booking.client_id)
        .where(Booking.id == hint, Client.stripe_customer_id == intent.customer)
    )
    return (await session.scalars(theirs)).one_or_none()


async def retake(session: AsyncSession, intent: Intent, found: Known, now: datetime) -> StartBooking | str:
    """The booking that the payment could make instead of the one that ended; else why it cannot."""
    rows, booking = found.rows, found.rows.booking
    service = await session.get_one(Service, booking.service_id)
    if objection := _objection(intent, found, service, now):
        return objection
    if not await _is_free(session, rows):
        return "the time was given to somebody else"
    return StartBooking(
        booking_id=stray_id_for(intent.id),
        client_id=booking.client_id,
        service_id=booking.service_id,
        starts_at=rows.session.starts_at,
        session_id=rows.session.id if service.capacity > 1 else None,
        payment_intent_id=intent.id,
    )


def _objection(intent: Intent, found: Known, service: Service, now: datetime) -> str | None:
    booking = found.rows.booking
    paid = (intent.amount, intent.currency, intent.customer)
    still_wanted = booking.status is BookingStatus.CANCELLED and booking.status_reason in NOBODY_CANCELLED
    objections = {
        "the policy gives late payments back": found.rows.policy.late_payment != "retake",
        "the payment has had its second chance": booking.id == stray_id_for(intent.id),
        f"the booking ended {booking.status}, {booking.status_reason}": not still_wanted,
        "amount, currency or customer are not the booking's": paid
        != (booking.amount, booking.currency, found.customer_id),
        "the service is gone, or costs something else by now": not service.active
        or service.price_id != booking.price_id,
        "the session has started": found.rows.session.starts_at <= now,
    }
    return next((why for why, applies in objections.items() if applies), None)


async def _is_free(session: AsyncSession, rows: Records) -> bool:
    """A look only: whether the seat can be had is for `reserve` to say."""
    block = rows.session
    if block.capacity > 1:
        seats = select(func.count()).where(
            Booking.session_id == block.id, Booking.status.in_(list(SEAT_HOLDING))
        )
        mine = seats.where(Booking.client_id == rows.booking.client_id)
        taken, own = await session.scalar(seats), await session.scalar(mine)
        return block.status in LIVE_SESSION and (taken or 0) < block.capacity and not own
    rivals = select(func.count()).where(
        Session.provider_id == block.provider_id,
        Session.status.in_(list(LIVE_SESSION)),
        Session.starts_at < block.ends_at,
        Session.ends_at > block.starts_at,
    )
    return not await session.scalar(rivals)


def takes_place(found: Known) -> bool:
    """Whether the booking is still on its way, and sees to its own payment."""
    return found.rows.booking.status not in TERMINAL_BOOKING


def _is_seen_to(found: Known) -> bool:
    """Whether the booking made the payment itself, and records or cancels it by itself.

    The intent of a renewal has no row until it stands; whoever gives up on it, or decides the booking,
    cancels it.
    """
    return takes_place(found) and found.made and found.payment is None


def has_it(found: Known) -> bool:
    """Whether the booking's books have the payment, and nothing of it is left to be given back."""
    payment, rows = found.payment, found.rows
    if payment is None or payment.status in GONE:
        return False
    return takes_place(found) or rows.payout is not None or surplus(payment, rows.booking.keep or 0) <= 0
