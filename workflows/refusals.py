"""Which orders a booking's state does not allow: asked when they arrive, and again when their turn comes."""

from dataclasses import dataclass
from datetime import datetime

from models.money import step
from models.states import SEAT_HOLDING, BookingStatus, PayoutStatus, Role
from workflows.contracts import BookingState, Resolve
from workflows.errands import Order
from workflows.orders import HoldAction, HoldOrder, Objection, RefundOrder, Reschedule
from workflows.parking import Action, Step


@dataclass(frozen=True)
class Refused:
    """A problem code, and the sentence to it."""

    code: str
    detail: str


def refusal_of(order: Order, booking: BookingState, now: datetime) -> Refused | None:
    """Why `order` cannot be carried out at `now`, if it cannot."""
    match order:
        case RefundOrder():
            return _of_refund(order, booking)
        case Reschedule():
            return _of_reschedule(order, booking, now)
        case Objection():
            return _of_objection(booking)
        case HoldOrder():
            return _of_hold(order, booking, now)


def refusal_of_verdict(resolve: Resolve, booking: BookingState) -> Refused | None:
    """Why ops cannot decide so between people who disagree."""
    if resolve.action is not Action.REFUND:
        return None
    if resolve.step is Step.OBJECTION:
        order = RefundOrder(actor=resolve.actor, request_id=resolve.step, amount=resolve.amount)
        return _of_refund(order, booking)
    if resolve.amount is not None and resolve.amount > booking.amount:
        return Refused("validation_failed", f"At most {booking.amount} can go back.")
    return _unmovable(resolve.amount, booking)


def _unmovable(amount: int | None, booking: BookingState) -> Refused | None:
    unit = step(booking.currency)
    if amount is not None and (amount <= 0 or amount % unit):
        return Refused("validation_failed", f"Only multiples of {unit} can be moved.")
    return None


def _of_refund(order: RefundOrder, booking: BookingState) -> Refused | None:
    if booking.status in SEAT_HOLDING and booking.status is not BookingStatus.CONFIRMED:
        return Refused("invalid_state", "A booking that is not confirmed is cancelled, not refunded.")
    if booking.disputed:
        return Refused("dispute_open", "The payment is disputed: the bank decides first.")
    if booking.refundable <= 0:
        return Refused("invalid_state", f"A payment that is {booking.payment_status} has nothing to refund.")
    if order.amount is not None and order.amount > booking.refundable:
        return Refused("validation_failed", f"At most {booking.refundable} can be refunded.")
    return _unmovable(order.amount, booking)


def _of_reschedule(order: Reschedule, booking: BookingState, now: datetime) -> Refused | None:
    if booking.status is not BookingStatus.CONFIRMED or booking.reported_outcome or booking.claim:
        return Refused("invalid_state", f"A booking that is {booking.status} cannot be moved.")
    if now >= booking.starts_at:
        return Refused("too_late", "The session has started: it can no longer be moved.")
    cutoff = booking.reschedule_cutoff_at
    if order.actor.role is Role.CLIENT and cutoff is not None and now > cutoff:
        return Refused("too_late", f"It could be moved until {cutoff:%Y-%m-%d %H:%M} UTC.")
    return None


def _of_objection(booking: BookingState) -> Refused | None:
    contestable = booking.payout_status in (PayoutStatus.HELD, PayoutStatus.FROZEN)
    if contestable or booking.objected:
        return None
    return Refused("invalid_state", "There is no payout on hold to contest.")


def _of_hold(order: HoldOrder, booking: BookingState, now: datetime) -> Refused | None:
    if booking.disputed:
        return Refused("dispute_open", "The payout is frozen by a dispute: the bank decides first.")
    if booking.payout_status is not PayoutStatus.HELD:
        return Refused("invalid_state", f"A payout that is {booking.payout_status} is not on hold.")
    due = booking.payout_due_at or now
    if order.action is HoldAction.EXTEND and (order.until is None or order.until <= due):
        return Refused("validation_failed", f"`until` has to be later than {due:%Y-%m-%d %H:%M} UTC.")
    return None
