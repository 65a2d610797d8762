"""`POST /api/bookings/confirm`: the client has just paid and does not want to wait for a webhook."""

from typing import Final

from activities.errors import StripeFailure
from api import queries, sagas
from api.auth import Caller
from api.dependencies import Dependencies
from api.errors import Code, Problem
from models.states import BookingStatus
from workflows.booking import BookingWorkflow

PAID: Final = frozenset({"requires_capture", "succeeded"})
"""Stripe's statuses of an intent whose money is there."""

STANDS: Final = frozenset(
    {BookingStatus.CONFIRMED, BookingStatus.COMPLETED, BookingStatus.NO_SHOW, BookingStatus.FORFEIT}
)
"""Confirmed, now or once."""


async def confirm(
    deps: Dependencies, caller: Caller, intent_id: str, key: str | None
) -> queries.BookingRecord:
    """The booking that the payment confirms; asking again answers alike.

    Raises:
        Problem: the payment is not the caller's, not made, or not the one that was asked for.
    """
    record = await _of_intent(deps, caller, intent_id)
    if record.booking.status is BookingStatus.PENDING:
        await _ask(deps, caller, record, key)
        record = await _of_intent(deps, caller, intent_id)
    if record.booking.status in STANDS:
        return record
    if record.booking.status is BookingStatus.PENDING:
        raise await _unconfirmed(deps, record, intent_id)
    detail = f"The booking is {record.booking.status}."
    raise Problem(Code.INVALID_STATE, detail, booking_id=record.booking.id)


async def _of_intent(deps: Dependencies, caller: Caller, intent_id: str) -> queries.BookingRecord:
    async with deps.database.transaction() as session:
        record = await queries.booking_paid_by(session, intent_id, caller)
    if record is None:
        raise Problem(Code.NOT_FOUND)
    return record


async def _ask(deps: Dependencies, caller: Caller, record: queries.BookingRecord, key: str | None) -> None:
    booking_id = record.booking.id
    asked_as = sagas.update_id("confirm", caller.subject, booking_id, key)
    handle = sagas.handle_of(deps.temporal, booking_id)
    try:
        await sagas.answered(
            deps.temporal, booking_id, handle.execute_update(BookingWorkflow.confirm, id=asked_as)
        )
    except sagas.Gone:
        return
    except (sagas.NoAnswer, sagas.Unreachable):
        raise Problem(Code.BOOKING_CONFIRM_FAILED, booking_id=booking_id) from None


async def _unconfirmed(deps: Dependencies, record: queries.BookingRecord, intent_id: str) -> Problem:
    """Why the workflow, asked just now, still waits: Stripe knows whether the money is there."""
    try:
        intent = await deps.gateway.retrieve_intent(intent_id)
    except StripeFailure:
        return Problem(Code.BOOKING_CONFIRM_FAILED, booking_id=record.booking.id)
    if intent.status in PAID:
        return Problem(Code.PAYMENT_METADATA_MISMATCH, booking_id=record.booking.id)
    detail = f"The payment has not succeeded yet: it is {intent.status}."
    return Problem(Code.PAYMENT_NOT_SUCCEEDED, detail, booking_id=record.booking.id)
