"""Moving a booking: the new slot is taken in the transaction that lets the old one go, or nothing is.

The payment stays what it is. Only where its authorization would not live to see the new date is it
marked for re-planning; a kept card gets its day anew (DESIGN section 5, TRAPS 48). Of a client who
moved the booking when cancelling it would have cost something, the authorization is never let go:
nothing could be kept of a card that is only saved (ADR 0015).
"""

from datetime import timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from activities.decisions import terms_of
from activities.records import Records, change, load
from activities.seats import TAKEN, NoSeat, opening_hours, queue_for, seat_in
from activities.standing import state
from models import clock
from models.announcements import Kind
from models.availability import is_open
from models.bookings import Booking, Session
from models.catalogue import Provider
from models.database import sqlstate
from models.keys import row_id_for
from models.money import BASIS_POINTS
from models.outbox import announce
from models.payments import Payment
from models.policy import Policy, tier_reached
from models.states import BookingStatus, PaymentStatus, Role, SessionStatus, StatusReason
from models.transitions import created, move
from workflows.contracts import Refusal
from workflows.orders import Changed, Moving

TOO_LATE: Final = "too_late"
INVALID_STATE: Final = "invalid_state"


class Refused(Exception):
    """The booking cannot be moved like that: a problem code, and a sentence for people."""

    def __init__(self, code: str, detail: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


async def reschedule(session: AsyncSession, step: Moving) -> Changed:
    """Move the booking as ordered; a move that was made already answers with the booking as it is."""
    await queue_for(session, await _provider_no(session, step))
    rows = await load(session, step.booking_id, lock=True)
    if _there(rows, step):
        return Changed(booking=await state(session, step.booking_id))
    try:
        _check_still_there(rows, step)
        _check(rows, step)
        async with session.begin_nested():
            await _move(session, rows, step)
    except Refused as refused:
        booking = await state(session, step.booking_id)
        return Changed(booking=booking, refusal=refused.code, detail=refused.detail)
    return Changed(booking=await state(session, step.booking_id))


async def _provider_no(session: AsyncSession, step: Moving) -> int:
    """The provider's number, read without a lock: a booking never changes its provider."""
    found = (
        select(Provider.provider_no)
        .join(Booking, Booking.provider_id == Provider.id)
        .where(Booking.id == step.booking_id)
    )
    return await session.scalar(found) or 0


def _there(rows: Records, step: Moving) -> bool:
    order = step.order
    if order.session_id is not None:
        return rows.session.id == order.session_id
    return rows.session.starts_at == order.starts_at


def _check_still_there(rows: Records, step: Moving) -> None:
    """Refuse an order of a booking that has been moved since: a slow attempt must not move it back.

    Raises:
        Refused: it has.
    """
    if step.from_session_id not in (None, rows.session.id):
        raise Refused(INVALID_STATE, "The booking has been moved meanwhile.")


def _check(rows: Records, step: Moving) -> None:
    """Refuse what the state, the clock or the policy does not allow.

    Raises:
        Refused: with the problem code.
    """
    booking, starts_at = rows.booking, rows.session.starts_at
    if booking.status is not BookingStatus.CONFIRMED or booking.outcome_status is not None:
        raise Refused(INVALID_STATE, f"A booking that is {booking.status} cannot be moved.")
    client = step.order.actor.role is Role.CLIENT
    last = starts_at - rows.policy.reschedule_cutoff if client else starts_at
    if step.at > last or step.at >= starts_at:
        raise Refused(TOO_LATE, f"The booking could be moved until {last:%Y-%m-%d %H:%M} UTC.")
    notice = rows.policy.min_notice if client else timedelta(0)
    if rows.session.capacity == 1 and step.order.starts_at < step.at + notice:
        raise Refused(TOO_LATE, "The new time is too soon, or has passed.")


async def _move(session: AsyncSession, rows: Records, step: Moving) -> None:
    old, terms = rows.session, terms_of(rows.booking, rows.session, rows.payment)
    new = await (_slot(session, rows, step) if old.capacity == 1 else _class(session, rows, step))
    if step.order.actor.role is Role.CLIENT:
        rows.booking.refund_cap_bps = tier_reached(terms, step.at)
    rows.booking.session_id = new.id
    rows.booking.completion_due_at = new.ends_at + rows.policy.completion_grace
    _plan_payment(rows.payment, rows.policy, rows.booking, new, step)
    await session.flush()
    facts = {"previous_starts_at": old.starts_at}
    await announce(session, Kind.RESCHEDULED, rows.booking.id, step.at, **facts)


async def _slot(session: AsyncSession, rows: Records, step: Moving) -> Session:
    """A new session of the provider's time instead of the old one, which it may overlap."""
    old, starts_at = rows.session, step.order.starts_at
    ends_at = starts_at + (old.ends_at - old.starts_at)
    provider = await session.get_one(Provider, rows.booking.provider_id)
    hours = await opening_hours(session, provider.id)
    if not is_open(hours, ZoneInfo(provider.time_zone), starts_at, ends_at):
        raise Refused(Refusal.OUTSIDE_OPENING_HOURS)
    context = change(rows.booking.id, step.at, step.order.actor, StatusReason.RESCHEDULED)
    await move(session, old, SessionStatus.CANCELLED, context)
    new = Session(
        id=await _new_id(session, rows.booking),
        provider_id=old.provider_id,
        provider_no=old.provider_no,
        service_id=old.service_id,
        status=SessionStatus.DRAFT,
        starts_at=starts_at,
        ends_at=ends_at,
        capacity=1,
    )
    created(session, new, context)
    try:
        await session.flush()
    except IntegrityError as error:
        if TAKEN.get(sqlstate(error)) is not Refusal.SLOT_TAKEN:
            raise
        raise Refused(Refusal.SLOT_TAKEN) from None
    await move(session, new, SessionStatus.SCHEDULED, context)
    return new


async def _class(session: AsyncSession, rows: Records, step: Moving) -> Session:
    """A seat in another class of the same service; neither class changes its status by it."""
    booking, order = rows.booking, step.order
    wanted = order.session_id
    if wanted is None:
        wanted = await session.scalar(
            select(Session.id).where(
                Session.service_id == booking.service_id,
                Session.starts_at == order.starts_at,
                Session.status == SessionStatus.SCHEDULED,
            )
        )
    if wanted is None:
        raise Refused(Refusal.CLASS_NOT_FOUND)
    try:
        return await seat_in(session, wanted, booking.service_id, booking.client_id, step.at)
    except NoSeat as full:
        raise Refused(full.refusal) from None


async def _new_id(session: AsyncSession, booking: Booking) -> UUID:
    number = 2
    while await session.get(Session, new_id := row_id_for(booking.id, "session", number)):
        number += 1
    return new_id


def _plan_payment(payment: Payment, policy: Policy, booking: Booking, new: Session, step: Moving) -> None:
    """Set a kept card's day anew; mark an authorization that ends before the booking can be settled."""
    due = clock.authorize_at(policy, new.starts_at, step.at)
    if payment.status is PaymentStatus.SAVED:
        payment.authorize_at = due
        if payment.fix_by is not None:
            # Moved far enough, the card is tried again on its day; else what was given to repair it stands.
            later = due > step.at
            payment.fix_by = None if later else min(payment.fix_by, clock.fix_by(new.starts_at, step.at))
    elif payment.status is PaymentStatus.AUTHORIZED:
        reached = BASIS_POINTS if booking.refund_cap_bps is None else booking.refund_cap_bps
        ends_first = payment.renew_at is not None and booking.completion_due_at > payment.renew_at
        later = due > step.at and payment.payment_method_id is not None
        payment.replan = ends_first and later and reached == BASIS_POINTS
