"""Refunds that people order: the same order is the same refund, two equal ones are two."""

from typing import Any
from uuid import UUID, uuid4

from api import effects, queries, sagas
from api.actions import Told, actor_of, find, tell
from api.auth import Caller
from api.dependencies import Dependencies
from api.errors import Code, Problem
from models.keys import row_id_for
from models.payments import Refund
from models.states import MONEY_TAKEN, PAYOUT_OPEN, TERMINAL_BOOKING
from workflows.contracts import Decide
from workflows.orders import RefundOrder


async def give_back(
    deps: Dependencies, caller: Caller, booking_id: UUID, amount: int | None, key: str | None
) -> Told:
    """Order a refund of the booking's workflow, or of whoever sees to its money after its end.

    Raises:
        Problem: nothing was captured, a dispute is open, the key was used for another amount, or the
            booking refuses.
    """
    request_id = sagas.update_id("refund", caller.subject, booking_id, key or str(uuid4()))
    record = await find(deps, booking_id, caller)
    refund = await _refund(deps, record, request_id)
    if refund is not None and amount not in {None, refund.amount}:
        raise Problem(Code.IDEMPOTENCY_KEY_REUSED, booking_id=booking_id)
    if _on_its_way(refund):
        return Told(record)
    await _check(deps, record)
    order = RefundOrder(actor=actor_of(caller), request_id=request_id, amount=amount)
    handle = sagas.handle_of(deps.temporal, booking_id)

    async def afterwards(_: Decide, told_as: str) -> Any:
        await _check_over(deps, caller, booking_id)
        return await sagas.begin_aftercare(deps.temporal, booking_id, "refund", order, told_as)

    told = await tell(
        deps,
        caller,
        booking_id,
        effects.refund(request_id),
        lambda _, told_as: sagas.say(handle, "refund", order, told_as),
        afterwards,
        key=request_id,
    )
    return Told(told.record, answered=_on_its_way(await _refund(deps, told.record, request_id)))


def _on_its_way(refund: Refund | None) -> bool:
    """Whether Stripe has it; before that its step may be parked."""
    return refund is not None and refund.refund_id is not None


async def _refund(deps: Dependencies, record: queries.BookingRecord, request_id: str) -> Refund | None:
    row_id = row_id_for(record.payment.id, f"refund:{request_id}")
    async with deps.database.transaction() as session:
        return await session.get(Refund, row_id)


async def _check(deps: Dependencies, record: queries.BookingRecord) -> None:
    """Spare a workflow what is plainly refused."""
    booking, payment = record.booking, record.payment
    if payment.status not in MONEY_TAKEN:
        detail = f"Nothing was captured: the payment is {payment.status}. Cancelling lets it go."
        raise Problem(Code.INVALID_STATE, detail, booking_id=booking.id)
    if payment.amount_refunded >= payment.amount_captured:
        raise Problem(Code.INVALID_STATE, "Everything was given back already.", booking_id=booking.id)
    async with deps.database.transaction() as session:
        disputed = await queries.open_dispute(session, booking.id)
    if disputed is not None:
        raise Problem(Code.DISPUTE_OPEN, booking_id=booking.id)


async def _check_over(deps: Dependencies, caller: Caller, booking_id: UUID) -> None:
    """A workflow that is gone before its booking is over comes back; two would refund side by side."""
    record = await find(deps, booking_id, caller)
    payout = record.payout
    unpaid = payout is not None and payout.status in PAYOUT_OPEN and payout.transfer_id is None
    if unpaid or record.booking.status not in TERMINAL_BOOKING:
        raise Problem(Code.UNAVAILABLE, booking_id=booking_id)
