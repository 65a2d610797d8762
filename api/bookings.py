"""Bookings over HTTP: thin routes; what they do lives in `starting`, `confirming` and `checkout`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status

from api import queries, quoting
from api.actions import find
from api.answering import OWNED
from api.checkout import checkout_if_any, fresh_checkout
from api.confirming import confirm
from api.dependencies import Anyone, AsClient, Deps, IdempotencyKey
from api.errors import RETRY_SOON, Code, documented
from api.paging import Paged, Position
from api.presenting import present
from api.schemas import (
    BOOKING_EXAMPLE,
    BookingPage,
    BookingResource,
    CancellationQuote,
    CheckoutPart,
    ConfirmPayment,
    NewBooking,
    PendingBooking,
    Utc,
)
from api.starting import Booked, Order, book
from models.keys import workflow_id_for
from models.states import BookingStatus

router = APIRouter(prefix="/api/bookings", tags=["bookings"])


def _example(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": BOOKING_EXAMPLE}}}


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Book a session",
    responses={
        status.HTTP_200_OK: _example("This request made the booking before; here it is as it is now")
        | {"model": BookingResource},
        status.HTTP_201_CREATED: _example("Booked; pay before `expires_at`"),
        status.HTTP_202_ACCEPTED: {
            "model": BookingResource | PendingBooking,
            "description": "Accepted; ask for it at `Location`",
        },
        **documented(
            Code.INVALID_REQUEST,
            Code.UNAUTHENTICATED,
            Code.FORBIDDEN,
            Code.NOT_FOUND,
            Code.CLASS_NOT_FOUND,
            Code.SLOT_TAKEN,
            Code.CAPACITY_FULL,
            Code.ALREADY_BOOKED,
            Code.AMOUNT_MISMATCH,
            Code.IDEMPOTENCY_KEY_REUSED,
            Code.INVALID_STATE,
            Code.VALIDATION_FAILED,
            Code.OUTSIDE_OPENING_HOURS,
            Code.PROVIDER_NOT_READY,
        ),
    },
)
async def create_booking(
    wanted: NewBooking, caller: AsClient, deps: Deps, response: Response, key: IdempotencyKey = None
) -> BookingResource | PendingBooking:
    """Take the slot, or a seat in a class, and open its payment. It is held from now until `expires_at`."""
    booked = await book(deps, Order.of(caller, wanted, key))
    response.headers["Location"] = f"/api/bookings/{booked.booking_id}"
    response.status_code = _status_of(booked)
    if not booked.answered:
        response.headers.update(RETRY_SOON)
    if booked.record is None:
        return PendingBooking(id=booked.booking_id, workflow_id=workflow_id_for(booked.booking_id))
    return present(booked.record, caller, await checkout_if_any(deps, booked.record))


def _status_of(booked: Booked) -> int:
    if not booked.answered:
        return status.HTTP_202_ACCEPTED
    return status.HTTP_201_CREATED if booked.created else status.HTTP_200_OK


def booking_filter(
    status: Annotated[BookingStatus | None, Query()] = None,
    provider_id: Annotated[UUID | None, Query()] = None,
    starts_from: Annotated[
        Utc | None, Query(alias="from", description="Only sessions that start then or later")
    ] = None,
) -> queries.BookingFilter:
    """Which bookings a query asks for."""
    return queries.BookingFilter(status=status, provider_id=provider_id, starts_from=starts_from)


@router.get(
    "",
    summary="List your bookings, the newest first",
    responses=documented(Code.UNAUTHENTICATED, Code.VALIDATION_FAILED),
)
async def list_bookings(
    caller: Anyone,
    deps: Deps,
    page: Paged,
    wanted: Annotated[queries.BookingFilter, Depends(booking_filter)],
) -> BookingPage:
    """A client's own bookings, those of a provider's services, or everything for ops."""
    async with deps.database.transaction() as session:
        found = await queries.bookings(session, caller, wanted, page.after, page.limit + 1)
    shown, more = found[: page.limit], len(found) > page.limit
    last = Position(created_at=shown[-1].booking.created_at, id=shown[-1].booking.id) if more else None
    return BookingPage(
        items=[present(record, caller) for record in shown], next_cursor=last.cursor() if last else None
    )


@router.post(
    "/confirm",
    summary="Say that you have paid",
    responses=documented(
        Code.INVALID_REQUEST,
        Code.UNAUTHENTICATED,
        Code.FORBIDDEN,
        Code.NOT_FOUND,
        Code.PAYMENT_NOT_SUCCEEDED,
        Code.PAYMENT_METADATA_MISMATCH,
        Code.INVALID_STATE,
        Code.VALIDATION_FAILED,
        Code.BOOKING_CONFIRM_FAILED,
    ),
)
async def confirm_booking(payment: ConfirmPayment, caller: AsClient, deps: Deps) -> BookingResource:
    """Ask Stripe now instead of waiting for its webhook. Harmless to repeat, with a key or without."""
    return present(await confirm(deps, caller, payment.payment_intent_id), caller)


@router.get(
    "/{booking_id}",
    summary="Look at a booking",
    responses=documented(*OWNED, Code.SLOT_TAKEN, Code.CAPACITY_FULL),
)
async def get_booking(booking_id: UUID, caller: Anyone, deps: Deps) -> BookingResource:
    """The booking as it stands; one that was refused after a 202 answers with its refusal."""
    return present(await find(deps, booking_id, caller), caller)


@router.get(
    "/{booking_id}/checkout",
    summary="Get what is needed to pay",
    responses=documented(*OWNED, Code.FORBIDDEN, Code.INVALID_STATE, Code.STRIPE_UNAVAILABLE),
)
async def get_checkout(booking_id: UUID, caller: AsClient, deps: Deps) -> CheckoutPart:
    """A fresh client secret, while payment is still open."""
    return await fresh_checkout(deps, await find(deps, booking_id, caller))


@router.get(
    "/{booking_id}/cancellation-quote",
    summary="See what cancelling would cost",
    responses=documented(*OWNED, Code.INVALID_STATE, Code.TOO_LATE),
)
async def get_cancellation_quote(booking_id: UUID, caller: Anyone, deps: Deps) -> CancellationQuote:
    """What would be kept and given back if the caller cancelled now."""
    return quoting.quote(await find(deps, booking_id, caller), caller, deps.now())
