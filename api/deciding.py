"""What becomes of a booking, over HTTP: its sides decide, and its workflow answers."""

from uuid import UUID

from fastapi import APIRouter, Response

from api import effects, sagas
from api.actions import actor_of, tell
from api.answering import DECIDED, UNDERWAY, show
from api.auth import Caller
from api.dependencies import Anyone, AsProvider, Deps, IdempotencyKey
from api.errors import Code, Problem, documented
from api.moving import destination
from api.order_schemas import MoveBooking, RejectBooking, ReportNoShow
from api.remarks import keep_remark, keep_words
from api.schemas import BookingResource, CancelBooking
from models.states import ReportedOutcome, Role
from workflows.orders import NoShow, Reschedule

router = APIRouter(prefix="/api/bookings", tags=["bookings"])


@router.post("/{booking_id}/approve", summary="Accept a booking", responses=UNDERWAY | documented(*DECIDED))
async def approve_booking(
    booking_id: UUID, caller: AsProvider, deps: Deps, response: Response, key: IdempotencyKey = None
) -> BookingResource:
    """While it awaits its provider's approval: the booking is confirmed."""
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.APPROVE,
        lambda decide, told_as: sagas.say(handle, "approve", decide, told_as),
        key=key,
    )
    return show(told, caller, response)


@router.post("/{booking_id}/reject", summary="Turn a booking down", responses=UNDERWAY | documented(*DECIDED))
async def reject_booking(
    booking_id: UUID,
    caller: AsProvider,
    deps: Deps,
    *,
    response: Response,
    why: RejectBooking | None = None,
    key: IdempotencyKey = None,
) -> BookingResource:
    """While it awaits its provider's approval: nobody stays charged, and the client reads the reason."""
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.REJECT,
        lambda decide, told_as: sagas.say(handle, "reject", decide, told_as),
        key=key,
    )
    await keep_remark(deps, caller, booking_id, "reject", why.reason if why else None)
    return show(told, caller, response)


@router.post(
    "/{booking_id}/complete",
    summary="Say that the session has happened",
    responses=UNDERWAY | documented(*DECIDED),
)
async def complete_booking(
    booking_id: UUID, caller: Anyone, deps: Deps, response: Response, key: IdempotencyKey = None
) -> BookingResource:
    """From the session's start on: captures the money and starts the payout hold."""
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.COMPLETE,
        lambda decide, told_as: sagas.say(handle, "complete", decide, told_as),
        key=key,
    )
    return show(told, caller, response)


@router.post(
    "/{booking_id}/no-show",
    summary="Say that somebody did not come",
    responses=UNDERWAY | documented(*DECIDED),
)
async def report_no_show(
    booking_id: UUID,
    report: ReportNoShow,
    caller: Anyone,
    deps: Deps,
    *,
    response: Response,
    key: IdempotencyKey = None,
) -> BookingResource:
    """From the session's start on.

    A client that did not come pays what the policy keeps. One whose provider did not come gets
    everything back, unless the provider contradicts: then ops decide.
    """
    kind = _missing(report, caller)
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.no_show(kind),
        lambda decide, told_as: sagas.say(handle, "no_show", NoShow(kind=kind, actor=decide.actor), told_as),
        key=key,
    )
    return show(told, caller, response)


def _missing(report: ReportNoShow, caller: Caller) -> ReportedOutcome:
    """What is reported; nobody can say of themselves that they did not come.

    Raises:
        Problem: the caller is the one who is said not to have come.
    """
    if caller.role is Role(report.who):
        raise Problem(Code.FORBIDDEN, "Only the other side, or ops, can report this; you can cancel.")
    client = report.who == "client"
    return ReportedOutcome.CLIENT_NO_SHOW if client else ReportedOutcome.PROVIDER_NO_SHOW


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
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.CANCEL,
        lambda decide, told_as: sagas.say(handle, "cancel", decide, told_as),
        key=key,
    )
    if why is not None and why.reason:
        await keep_words(deps, caller, booking_id, why.reason)
    return show(told, caller, response)


@router.post(
    "/{booking_id}/reschedule",
    summary="Move a booking",
    responses=UNDERWAY
    | documented(
        *DECIDED,
        Code.SLOT_TAKEN,
        Code.CLASS_NOT_FOUND,
        Code.CAPACITY_FULL,
        Code.ALREADY_BOOKED,
        Code.OUTSIDE_OPENING_HOURS,
    ),
)
async def reschedule_booking(
    booking_id: UUID,
    wanted: MoveBooking,
    caller: Anyone,
    deps: Deps,
    *,
    response: Response,
    key: IdempotencyKey = None,
) -> BookingResource:
    """The new time is taken before the old one is let go, and nobody pays again.

    A client can move until `reschedule_cutoff` before the start, and wins no cancellation tier back by it.
    """
    to = await destination(deps, caller, booking_id, wanted)
    order = Reschedule(actor=actor_of(caller), starts_at=to.starts_at, session_id=to.session_id)
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.reschedule(to.starts_at, to.session_id),
        lambda _, told_as: sagas.say(handle, "reschedule", order, told_as),
        key=key,
    )
    return show(told, caller, response)
