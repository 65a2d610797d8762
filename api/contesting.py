"""Captured money, over HTTP: contested, given back, held longer, released; and what ops decide."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from api import effects, refunding, sagas
from api.actions import actor_of, tell
from api.answering import DECIDED, UNDERWAY, show
from api.dependencies import AsClient, AsOps, AsSeller, Deps, IdempotencyKey
from api.errors import Code, documented
from api.order_schemas import ChangeHold, Contest, GiveBack
from api.remarks import keep_remark
from api.schemas import BookingResource, ResolveStep
from workflows.contracts import Resolve
from workflows.orders import HoldOrder, Objection

router = APIRouter(prefix="/api/bookings", tags=["bookings"])

MONEY: Final = (*DECIDED, Code.DISPUTE_OPEN)


@router.post("/{booking_id}/object", summary="Contest", responses=UNDERWAY | documented(*MONEY))
async def contest_payout(
    booking_id: UUID,
    why: Contest,
    caller: AsClient,
    deps: Deps,
    *,
    response: Response,
    key: IdempotencyKey = None,
) -> BookingResource:
    """During the payout hold: the provider is not paid until ops have decided."""
    order = Objection(actor=actor_of(caller))
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.OBJECT,
        lambda _, told_as: sagas.say(handle, "object", order, told_as),
        key=key,
    )
    await keep_remark(deps, caller, booking_id, "object", why.reason)
    return show(told, caller, response)


@router.post(
    "/{booking_id}/refund",
    summary="Give money back",
    responses=UNDERWAY | documented(*MONEY, Code.IDEMPOTENCY_KEY_REUSED),
)
async def refund_booking(
    booking_id: UUID,
    wanted: GiveBack,
    caller: AsSeller,
    deps: Deps,
    *,
    response: Response,
    key: IdempotencyKey = None,
) -> BookingResource:
    """Captured money, in whole or in part, also after the provider was paid.

    Send an `Idempotency-Key`: without one, every request is a refund of its own.
    """
    told = await refunding.give_back(deps, caller, booking_id, wanted.amount, key)
    await keep_remark(deps, caller, booking_id, "refund", wanted.reason)
    return show(told, caller, response)


@router.post("/{booking_id}/hold", summary="Pay out later, or now", responses=UNDERWAY | documented(*MONEY))
async def change_hold(
    booking_id: UUID,
    wanted: ChangeHold,
    caller: AsOps,
    deps: Deps,
    *,
    response: Response,
    key: IdempotencyKey = None,
) -> BookingResource:
    """Extend the payout hold, or end it."""
    order = HoldOrder(actor=actor_of(caller), **wanted.model_dump())
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.hold(wanted.action, wanted.until),
        lambda _, told_as: sagas.say(handle, "hold", order, told_as),
        key=key,
    )
    await keep_remark(deps, caller, booking_id, "hold", wanted.reason)
    return show(told, caller, response)


@router.post(
    "/{booking_id}/resolve",
    summary="Decide about a parked step, or between people",
    responses=UNDERWAY | documented(*MONEY),
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
    """A parked step: retry it, adopt what exists at Stripe, or abort.

    An objection, or reports that contradict each other: release the money to the provider, or refund
    an amount or everything.
    """
    resolve = Resolve(actor=actor_of(caller), **decision.model_dump())
    handle = sagas.handle_of(deps.temporal, booking_id)
    told = await tell(
        deps,
        caller,
        booking_id,
        effects.RESOLVE,
        lambda _, told_as: sagas.say(handle, "resolve", resolve, told_as),
        lambda _, told_as: sagas.say_afterwards(deps.temporal, booking_id, "resolve", resolve, told_as),
        key=key,
    )
    await keep_remark(deps, caller, booking_id, "resolve", decision.reason)
    return show(told, caller, response)
