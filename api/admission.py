"""What can be told to be impossible by looking, before any workflow is started for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from api import classes, queries
from api.errors import Code, FieldError, Problem
from api.schemas import NewBooking
from models.availability import Span, is_open
from models.policy import Policy
from models.states import SessionStatus
from settings import PolicyDefaults

BOOKABLE_AHEAD: Final = timedelta(days=365)
STARTING_NOW: Final = timedelta(minutes=1)
"""A session that starts "now" was that when the client looked at the clock, not when we do."""


@dataclass(frozen=True)
class Seeker:
    """Who wants a seat, and the booking that is to be made of it."""

    client_id: str
    booking_id: UUID


@dataclass(frozen=True)
class Wanted:
    """What a request names: a service at a time, or a class."""

    offer: queries.Offer
    starts_at: datetime
    session_id: UUID | None = None


async def admit(
    session: AsyncSession, wanted: NewBooking, seeker: Seeker, defaults: PolicyDefaults, now: datetime
) -> Wanted:
    """What is wanted, if nothing plain speaks against booking it.

    Raises:
        Problem: something does.
    """
    if wanted.checkout != "payment_intent":
        raise invalid("checkout", f"{wanted.checkout.capitalize()} checkout is not offered yet.")
    named = await name(session, wanted)
    _check_price(wanted, named.offer)
    policy = defaults.resolve(named.offer.service.policy)
    if named.session_id is not None and named.starts_at <= now:
        raise Problem(Code.CLASS_NOT_FOUND, "The class has begun.")
    check_horizon(named.starts_at, now, "session_id" if named.session_id else "starts_at")
    _check_notice(named, policy, now)
    if named.session_id is not None:
        await _check_seat(session, named.session_id, seeker)
    else:
        await _check_slot(session, named, seeker.booking_id)
    return named


async def name(session: AsyncSession, wanted: NewBooking) -> Wanted:
    """What a request names, if it is on offer.

    Raises:
        Problem: 404 `not_found` or `class_not_found`; 422, when the service takes only the other of the two.
    """
    if wanted.session_id is not None:
        return await _class(session, wanted.session_id, wanted.service_id)
    if wanted.service_id is None or wanted.starts_at is None:
        raise AssertionError("a body without either does not validate")
    offer = await queries.offer(session, wanted.service_id)
    if offer is None or not offer.service.active:
        raise Problem(Code.NOT_FOUND, "There is no such service to book.")
    if offer.service.capacity > 1:
        raise invalid("session_id", "This service is held as classes: name one of its sessions.")
    return Wanted(offer, wanted.starts_at)


async def _class(session: AsyncSession, session_id: UUID, service_id: UUID | None) -> Wanted:
    found = await classes.find_class(session, session_id)
    if found is None or found.session.status is not SessionStatus.SCHEDULED or not found.service.active:
        raise Problem(Code.CLASS_NOT_FOUND)
    if service_id not in {None, found.service.id}:
        raise Problem(Code.CLASS_NOT_FOUND)
    return Wanted(queries.Offer(found.service, found.provider), found.session.starts_at, session_id)


def check_horizon(starts_at: datetime, now: datetime, field: str) -> None:
    """Refuse what is over, or further ahead than anybody can say.

    Raises:
        Problem: 422 `validation_failed`.
    """
    if starts_at > now + BOOKABLE_AHEAD:
        raise invalid(field, f"Sessions can be booked {BOOKABLE_AHEAD.days} days ahead, not more.")
    if starts_at < now - STARTING_NOW:
        raise invalid(field, "The session would start in the past.")


def invalid(field: str, message: str) -> Problem:
    """One field of the body that cannot be."""
    errors = [FieldError(field=f"body.{field}", message=message)]
    return Problem(Code.VALIDATION_FAILED, message, errors=errors)


def _check_price(wanted: NewBooking, offer: queries.Offer) -> None:
    service = offer.service
    other_amount = wanted.amount is not None and wanted.amount != service.amount
    other_currency = wanted.currency is not None and wanted.currency.lower() != service.currency.lower()
    if other_amount or other_currency:
        raise Problem(Code.AMOUNT_MISMATCH)


def _check_notice(named: Wanted, policy: Policy, now: datetime) -> None:
    if named.starts_at < now - STARTING_NOW + policy.min_notice:
        hours = policy.min_notice / timedelta(hours=1)
        field = "session_id" if named.session_id else "starts_at"
        raise invalid(field, f"This service has to be booked {hours:g} hours ahead.")


async def _check_slot(session: AsyncSession, named: Wanted, booking_id: UUID) -> None:
    provider = named.offer.provider
    duration = timedelta(minutes=named.offer.service.duration_minutes)
    span = Span(named.starts_at, named.starts_at + duration)
    hours = await queries.opening_hours(session, provider.id)
    if not is_open(hours, ZoneInfo(provider.time_zone), *span):
        raise Problem(Code.OUTSIDE_OPENING_HOURS)
    if await queries.busy(session, provider.id, span, besides=booking_id):
        raise Problem(Code.SLOT_TAKEN)


async def _check_seat(session: AsyncSession, session_id: UUID, seeker: Seeker) -> None:
    seat = await classes.seat_of(session, session_id, seeker.client_id)
    if seat == seeker.booking_id:
        return
    if seat is not None:
        raise Problem(Code.ALREADY_BOOKED)
    found = await classes.find_class(session, session_id)
    if found is None or not found.seats_left:
        raise Problem(Code.CAPACITY_FULL)
