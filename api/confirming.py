"""`POST /api/bookings/confirm`: the client has just paid and does not want to wait for a webhook."""

import contextlib
from typing import Final
from uuid import UUID

from activities.errors import Failure, StripeFailure
from api import queries, sagas
from api.auth import Caller
from api.checkout import repairable
from api.dependencies import Dependencies
from api.effects import STANDS
from api.errors import Code, Problem
from models.bookings import Booking
from models.states import BookingStatus
from workflows.booking import BookingWorkflow

PAID: Final = frozenset({"requires_capture", "succeeded"})
"""Stripe's statuses of an intent whose money is there."""

SETUP: Final = "seti_"
"""How Stripe's ids of SetupIntents begin."""

ASKS: Final = 2
"""A payment that was made while the workflow asked Stripe is seen when it asks again; one that still
does not confirm the booking then is not the one that was asked for."""

PAID_FOR: Final = STANDS | {BookingStatus.AWAITING_APPROVAL}
"""The client has done its part, now or once."""


async def confirm(deps: Dependencies, caller: Caller, intent_id: str) -> queries.BookingRecord:
    """The booking that the payment confirms; asking again answers alike, or better.

    Raises:
        Problem: the payment is not the caller's, not made, or not the one that was asked for.
    """
    record = await _of_intent(deps, caller, intent_id)
    for _ in range(ASKS):
        if _waits(record):
            record = await _asked(deps, caller, record, intent_id)
    if record.booking.status in PAID_FOR:
        return record
    if record.booking.status is BookingStatus.PENDING:
        raise Problem(_obstacle(record.booking), booking_id=record.booking.id)
    detail = f"The booking is {record.booking.status}."
    raise Problem(Code.INVALID_STATE, detail, booking_id=record.booking.id)


def _waits(record: queries.BookingRecord) -> bool:
    """Whether the booking still has to hear of a payment; of a refused card that was repaired, too."""
    return record.booking.status is BookingStatus.PENDING or repairable(record)


def _obstacle(booking: Booking) -> Code:
    """Paid and not confirmed: the payment is not the one we asked for, or a step is parked."""
    told = booking.attention_message or Failure.PAYMENT_MISMATCH
    mismatch = told.startswith(Failure.PAYMENT_MISMATCH)
    return Code.PAYMENT_METADATA_MISMATCH if mismatch else Code.BOOKING_CONFIRM_FAILED


async def _of_intent(deps: Dependencies, caller: Caller, intent_id: str) -> queries.BookingRecord:
    async with deps.database.transaction() as session:
        record = await queries.booking_paid_by(session, intent_id, caller)
    if record is None:
        raise Problem(Code.NOT_FOUND)
    return record


async def _asked(
    deps: Dependencies, caller: Caller, record: queries.BookingRecord, intent_id: str
) -> queries.BookingRecord:
    """The booking after its workflow has asked Stripe; still PENDING only although the money is there."""
    booking_id = record.booking.id
    try:
        async with deps.turns.take(booking_id):
            record = await _of_intent(deps, caller, intent_id)
            if _waits(record):
                await _ask(deps, booking_id)
                record = await _of_intent(deps, caller, intent_id)
    except (sagas.NoAnswer, sagas.Unreachable):
        raise Problem(Code.BOOKING_CONFIRM_FAILED, booking_id=booking_id) from None
    if _waits(record):
        await _check_paid(deps, booking_id, intent_id)
    return record


async def _ask(deps: Dependencies, booking_id: UUID) -> None:
    """Every question is a new one: under a repeated id Temporal would give yesterday's answer."""
    call = sagas.handle_of(deps.temporal, booking_id).execute_update(BookingWorkflow.confirm)
    # A workflow that is over has left its last word in Postgres.
    with contextlib.suppress(sagas.Gone):
        await sagas.answered(deps.temporal, booking_id, call)


async def _check_paid(deps: Dependencies, booking_id: UUID, intent_id: str) -> None:
    """Refuse a payment that has not been made; Stripe knows.

    Raises:
        Problem: not paid, or Stripe does not say.
    """
    try:
        kept = intent_id.startswith(SETUP)
        status = await (_setup_status if kept else _intent_status)(deps, intent_id)
    except StripeFailure:
        raise Problem(Code.BOOKING_CONFIRM_FAILED, booking_id=booking_id) from None
    if status not in PAID:
        detail = f"The payment has not succeeded yet: it is {status}."
        raise Problem(Code.PAYMENT_NOT_SUCCEEDED, detail, booking_id=booking_id)


async def _intent_status(deps: Dependencies, intent_id: str) -> str:
    return (await deps.gateway.retrieve_intent(intent_id)).status


async def _setup_status(deps: Dependencies, setup_id: str) -> str:
    return (await deps.gateway.retrieve_setup(setup_id)).status
