"""What a booking waits for, until when, and who can act on it: pure, from its rows.

The saga knows the same from the same rows (`workflows/attending.py`, `workflows/paying.py`); here it
is told to the people whom it concerns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.presenting import held_because
from api.queries import BookingRecord
from api.schemas import HeldBecause
from api.timeline_schemas import Awaiting, Can, What
from models.policy import Policy
from models.states import PAYMENT_STANDS, BookingStatus, PaymentStatus, PayoutStatus, Role
from workflows.parking import Step

EVERYBODY: Final = (Role.CLIENT, Role.PROVIDER, Role.OPS)
PLATFORM: Final = (Role.PROVIDER, Role.OPS)

TOLD: Final[dict[What, str]] = {
    What.DECISION: "Something needs a person; it is being looked into and nothing is lost.",
    What.PAYMENT: "The client has still to pay; the seat is held until then.",
    What.PAYMENT_PROCESSING: "The payment is being processed.",
    What.CONFIRMATION: "The payment is there; the booking is about to be confirmed.",
    What.APPROVAL: "The provider has still to accept; silence lets the payment go.",
    What.AUTHORIZATION: "The card that is kept is charged then.",
    What.CARD_REPAIR: "The card was refused; the client can repair the payment, else the booking is let go.",
    What.OUTCOME: "The session; it counts as held when nobody says otherwise until then.",
    What.CONTRADICTION: "Client and provider say different things; ops decide.",
    What.SETTLEMENT: "The outcome is known; its money is being settled.",
    What.HOLD: "The provider's share is held until then, and paid out by itself.",
    What.OBJECTION: "The client contests; ops decide, and the provider's share waits.",
    What.DISPUTE: "The client's bank contests the payment and decides.",
    What.PROVIDER_ACCOUNT: "The provider's account cannot be paid; ops look into it when that takes too long.",
    What.TRANSFER: "The provider's share is being transferred.",
    What.BANK: "The provider's share is on its way to the bank.",
    What.REFUND: "A refund is on its way to the client.",
}

ASKED: Final = frozenset({Step.REPORTS, Step.OBJECTION, Step.PAY_OUT})
"""Questions to ops that have names of their own here."""


@dataclass(frozen=True)
class Standing:
    """A booking's rows, and what else there is to know of its money, at an instant."""

    record: BookingRecord
    now: datetime
    disputed: bool = False
    refunding: bool = False


def awaiting(standing: Standing) -> Awaiting | None:
    """What is next; None when it is over."""
    booking, payout = standing.record.booking, standing.record.payout
    blocked = payout is not None and payout.status is PayoutStatus.BLOCKED
    step = booking.attention_step
    if step is not None and (step not in ASKED or (step == Step.PAY_OUT and not blocked)):
        return _waits(What.DECISION, None, _can(standing, "resolve", Role.OPS))
    if booking.status is BookingStatus.PENDING:
        return _payment(standing)
    if booking.status is BookingStatus.AWAITING_APPROVAL:
        return _waits(
            What.APPROVAL,
            booking.approval_due_at,
            _can(standing, "approve", Role.PROVIDER, until=booking.approval_due_at),
            _can(standing, "reject", Role.PROVIDER, until=booking.approval_due_at),
            _can(standing, "cancel", *EVERYBODY),
        )
    if booking.status is BookingStatus.CONFIRMED:
        return _outcome(standing)
    return _payout(standing)


def why_held(standing: Standing) -> list[HeldBecause]:
    """Why the provider does not have its share yet."""
    payout = standing.record.payout
    if payout is None:
        return []
    because = held_because(payout)
    both = because is HeldBecause.OBJECTION and standing.disputed
    return [HeldBecause.OBJECTION, HeldBecause.DISPUTE] if both else [because] if because else []


def _payment(standing: Standing) -> Awaiting:
    booking, payment = standing.record.booking, standing.record.payment
    cancel = _can(standing, "cancel", *EVERYBODY)
    if payment.status is PaymentStatus.PENDING:
        pay = _paying(standing, booking.expires_at)
        return _waits(What.PAYMENT, booking.expires_at, pay, cancel)
    if payment.status is PaymentStatus.PROCESSING:
        return _waits(What.PAYMENT_PROCESSING, booking.expires_at, cancel)
    if payment.status in PAYMENT_STANDS:
        return _waits(What.CONFIRMATION, None, cancel)
    return _waits(What.SETTLEMENT, None)


def _outcome(standing: Standing) -> Awaiting:
    booking, payment = standing.record.booking, standing.record.payment
    if booking.outcome_status is not None or booking.reported_outcome is not None:
        return _waits(What.SETTLEMENT, None)
    if booking.contradicted_outcome is not None:
        return _waits(What.CONTRADICTION, None, _can(standing, "resolve", Role.OPS))
    acts = (*_before_start(standing), *_after_start(standing))
    if payment.status is PaymentStatus.SAVED and payment.fix_by is not None:
        return _waits(What.CARD_REPAIR, payment.fix_by, _paying(standing, payment.fix_by), *acts)
    if payment.status is PaymentStatus.SAVED:
        return _waits(What.AUTHORIZATION, payment.authorize_at, *acts)
    return _waits(What.OUTCOME, booking.completion_due_at, *acts)


def _before_start(standing: Standing) -> Iterable[list[Can]]:
    """Moving, and a client's cancelling, end when the session starts or earlier."""
    record = standing.record
    starts_at = record.session.starts_at
    if standing.now >= starts_at:
        return
    yield _can(standing, "cancel", Role.CLIENT, until=starts_at)
    if record.booking.claimed_outcome is None:
        cutoff = starts_at - Policy.model_validate(record.booking.policy).reschedule_cutoff
        if standing.now <= cutoff:
            yield _can(standing, "reschedule", Role.CLIENT, until=cutoff)
        yield _can(standing, "reschedule", *PLATFORM, until=starts_at)


def _after_start(standing: Standing) -> Iterable[list[Can]]:
    yield _can(standing, "cancel", *PLATFORM)
    if standing.now >= standing.record.session.starts_at:
        due = standing.record.booking.completion_due_at
        yield _can(standing, "complete", *EVERYBODY, until=due)
        yield _can(standing, "no-show", *EVERYBODY, until=due)


def _payout(standing: Standing) -> Awaiting | None:
    payout = standing.record.payout
    match payout.status if payout else None:
        case PayoutStatus.HELD if payout:
            return _waits(
                What.HOLD,
                payout.due_at,
                _can(standing, "object", Role.CLIENT, until=payout.due_at),
                _can(standing, "refund", *PLATFORM),
                _can(standing, "hold", Role.OPS, until=payout.due_at),
            )
        case PayoutStatus.FROZEN if payout and payout.objected_at:
            return _waits(What.OBJECTION, None, _can(standing, "resolve", Role.OPS), _refund(standing))
        case PayoutStatus.FROZEN:
            return _waits(What.DISPUTE, None)
        case PayoutStatus.BLOCKED if payout:
            return _blocked(standing, payout.blocked_at)
        case PayoutStatus.PROCESSING if payout:
            return _waits(What.BANK if payout.transfer_id else What.TRANSFER, None)
        case _:
            return _afterwards(standing)


def _blocked(standing: Standing, since: datetime | None) -> Awaiting:
    """Until ops look into it by themselves."""
    booking = standing.record.booking
    patience = Policy.model_validate(booking.policy).payout_patience
    path = f"/api/providers/{booking.provider_id}/onboarding"
    provider = [Can(role=role, path=path) for role in PLATFORM]
    asked = booking.attention_step == Step.PAY_OUT
    resolve = _can(standing, "resolve", Role.OPS) if asked else []
    until = since + patience if since else None
    return _waits(What.PROVIDER_ACCOUNT, until, provider, resolve, _refund(standing))


def _afterwards(standing: Standing) -> Awaiting | None:
    if standing.disputed:
        return _waits(What.DISPUTE, None)
    if standing.refunding:
        return _waits(What.REFUND, None)
    return None


def _refund(standing: Standing) -> list[Can]:
    return [] if standing.disputed else _can(standing, "refund", *PLATFORM)


def _paying(standing: Standing, until: datetime) -> list[Can]:
    booking_id = standing.record.booking.id
    return [
        Can(role=Role.CLIENT, method="GET", path=f"/api/bookings/{booking_id}/checkout", until=until),
        Can(role=Role.CLIENT, path="/api/bookings/confirm", until=until),
    ]


def _can(standing: Standing, what: str, *roles: Role, until: datetime | None = None) -> list[Can]:
    path = f"/api/bookings/{standing.record.booking.id}/{what}"
    return [Can(role=role, path=path, until=until) for role in roles]


def _waits(what: What, until: datetime | None, *acts: list[Can]) -> Awaiting:
    return Awaiting(what=what, until=until, can_act=[can for each in acts for can in each], told=TOLD[what])
