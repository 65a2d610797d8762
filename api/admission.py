"""What can be told to be impossible by looking, before any workflow is started for it."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from api import queries
from api.errors import Code, FieldError, Problem
from api.schemas import NewBooking
from models.availability import Span, is_open
from models.policy import PaymentPlan, Policy, choose_plan
from settings import PolicyDefaults

BOOKABLE_AHEAD: Final = timedelta(days=365)
STARTING_NOW: Final = timedelta(minutes=1)
"""A session that starts "now" was that when the client looked at the clock, not when we do."""


async def admit(
    session: AsyncSession, wanted: NewBooking, booking_id: UUID, defaults: PolicyDefaults, now: datetime
) -> queries.Offer:
    """What is offered, if nothing plain speaks against booking it.

    Raises:
        Problem: something does.
    """
    if wanted.checkout != "payment_intent":
        raise _invalid("checkout", f"{wanted.checkout.capitalize()} checkout is not offered yet.")
    offer = await bookable(session, wanted.service_id)
    _check_price(wanted, offer)
    policy = defaults.resolve(offer.service.policy)
    span = Span(wanted.starts_at, wanted.starts_at + _duration(offer, wanted, now))
    _check_time(span, policy, defaults, now)
    hours = await queries.opening_hours(session, offer.provider.id)
    if not is_open(hours, ZoneInfo(offer.provider.time_zone), *span):
        raise Problem(Code.OUTSIDE_OPENING_HOURS)
    if await queries.busy(session, offer.provider.id, span, besides=booking_id):
        raise Problem(Code.SLOT_TAKEN)
    return offer


async def bookable(session: AsyncSession, service_id: UUID) -> queries.Offer:
    """The service, if it is on offer.

    Raises:
        Problem: 404 `not_found`.
    """
    offer = await queries.offer(session, service_id)
    if offer is None or not offer.service.active:
        raise Problem(Code.NOT_FOUND, "There is no such service to book.")
    return offer


def payable(policy: Policy, ends_at: datetime, defaults: PolicyDefaults, now: datetime) -> bool:
    """Whether the money could be taken or held now; keeping a card for later is not offered yet."""
    plan = choose_plan(policy, ends_at, now, defaults.authorization_window)
    return plan is not PaymentPlan.AUTHORIZE_LATER


def _check_price(wanted: NewBooking, offer: queries.Offer) -> None:
    service = offer.service
    other_amount = wanted.amount is not None and wanted.amount != service.amount
    other_currency = wanted.currency is not None and wanted.currency.lower() != service.currency.lower()
    if other_amount or other_currency:
        raise Problem(Code.AMOUNT_MISMATCH)


def _duration(offer: queries.Offer, wanted: NewBooking, now: datetime) -> timedelta:
    if wanted.starts_at > now + BOOKABLE_AHEAD:
        raise _invalid("starts_at", f"Sessions can be booked {BOOKABLE_AHEAD.days} days ahead, not more.")
    return timedelta(minutes=offer.service.duration_minutes)


def _check_time(span: Span, policy: Policy, defaults: PolicyDefaults, now: datetime) -> None:
    if span.start < now - STARTING_NOW:
        raise _invalid("starts_at", "The session would start in the past.")
    if span.start < now - STARTING_NOW + policy.min_notice:
        hours = policy.min_notice / timedelta(hours=1)
        raise _invalid("starts_at", f"This service has to be booked {hours:g} hours ahead.")
    if not payable(policy, span.end, defaults, now):
        raise _invalid("starts_at", "Sessions this far ahead are not offered yet; choose an earlier one.")


def _invalid(field: str, message: str) -> Problem:
    errors = [FieldError(field=f"body.{field}", message=message)]
    return Problem(Code.VALIDATION_FAILED, message, errors=errors)
