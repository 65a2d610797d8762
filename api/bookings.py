"""Bookings over HTTP: thin routes; what they do lives in `starting`, `actions` and `confirming`."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status

from api import queries, quoting
from api.actions import CANCEL, COMPLETE, RESOLVE, Told, actor_of, find, keep_words, tell
from api.auth import Caller
from api.checkout import checkout_if_any, fresh_checkout
from api.confirming import confirm
from api.dependencies import Anyone, AsClient, AsOps, Deps, IdempotencyKey
from api.errors import RETRY_SOON, Code, documented
from api.paging import Paged, Position
from api.presenting import present
from api.schemas import (
    BOOKING_EXAMPLE,
    BookingPage,
    BookingResource,
    CancelBooking,
    CancellationQuote,
    CheckoutPart,
    ConfirmPayment,
    NewBooking,
    PendingBooking,
    ResolveStep,
    Utc,
)
from api.starting import Booked, Order, book
from models.keys import workflow_id_for
from models.states import BookingStatus
from workflows.booking import BookingWorkflow
from workflows.contracts import Resolve

router = APIRouter(prefix="/api/bookings", tags=["bookings"])

OWNED: Final = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.BOOKING_NOT_READY, Code.VALIDATION_FAILED)
DECIDED: Final = (*OWNED, Code.FORBIDDEN, Code.INVALID_REQUEST, Code.INVALID_STATE, Code.TOO_LATE)

UNDERWAY: Final[dict[int | str, dict[str, Any]]] = {
    status.HTTP_202_ACCEPTED: {
        "model": BookingResource,
        "description": "Not answered in time; look again at `Location`, or repeat the request",
    }
}


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
            Code.SLOT_TAKEN,
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
    """Take the slot and open its payment. The seat is held from now until `expires_at`."""
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


@router.get("/{booking_id}", summary="Look at a booking", responses=documented(*OWNED, Code.SLOT_TAKEN))
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


@router.post(
    "/{booking_id}/complete",
    summary="Say that the session has happened",
    responses=UNDERWAY | documented(*DECIDED),
)
async def complete_booking(
    booking_id: UUID, caller: Anyone, deps: Deps, response: Response, key: IdempotencyKey = None
) -> BookingResource:
    """From the session's start on: captures the money and starts the payout hold."""
    told = await tell(
        deps,
        caller,
        booking_id,
        COMPLETE,
        lambda handle, decide, told_as: handle.execute_update(BookingWorkflow.complete, decide, id=told_as),
        key=key,
    )
    return _show(told, caller, response)


@router.post("/{booking_id}/cancel", summary="Cancel", responses=UNDERWAY | documented(*DECIDED))
async def cancel_booking(
    booking_id: UUID,
    caller: Anyone,
    deps: Deps,
    *,
    response: Response,
    why: CancelBooking | None = None,
    key: IdempotencyKey = None,
) -> BookingResource:
    """Money goes back as the booking's policy says; see the quote."""
    told = await tell(
        deps,
        caller,
        booking_id,
        CANCEL,
        lambda handle, decide, told_as: handle.execute_update(BookingWorkflow.cancel, decide, id=told_as),
        key=key,
    )
    if why is not None and why.reason:
        await keep_words(deps, caller, booking_id, why.reason)
    return _show(told, caller, response)


@router.post(
    "/{booking_id}/resolve", summary="Decide about a parked step", responses=UNDERWAY | documented(*DECIDED)
)
async def resolve_step(
    booking_id: UUID,
    decision: ResolveStep,
    caller: AsOps,
    deps: Deps,
    *,
    response: Response,
    key: IdempotencyKey = None,
) -> BookingResource:
    """Retry it, adopt what exists at Stripe, or abort the booking."""
    resolve = Resolve(actor=actor_of(caller), **decision.model_dump())
    told = await tell(
        deps,
        caller,
        booking_id,
        RESOLVE,
        lambda handle, _, told_as: handle.execute_update(BookingWorkflow.resolve, resolve, id=told_as),
        key=key,
    )
    return _show(told, caller, response)


def _show(told: Told, caller: Caller, response: Response) -> BookingResource:
    if not told.answered:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Location"] = f"/api/bookings/{told.record.booking.id}"
        response.headers.update(RETRY_SOON)
    return present(told.record, caller)
