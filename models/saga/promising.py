"""From the reserved seat to a confirmed booking."""

from datetime import datetime, timedelta
from typing import Final

from models import ledger
from models.clock import PAYMENT_GRACE, approval_due_at, authorize_at, renew_at
from models.ledger import JournalKind
from models.policy import PaymentPlan, Policy, choose_plan
from models.saga.events import Answered, CardRefused, PaymentSays, Proceed, Silence, WindowEnds
from models.saga.standing import Decision, Saga, due, require
from models.states import (
    MONEY_TAKEN,
    PAYMENT_OPEN,
    PAYMENT_STANDS,
    BookingStatus,
    PaymentStatus,
    SessionStatus,
    StatusReason,
    ends_as,
)

ANSWERS: Final = {
    PaymentPlan.AUTHORIZE_NOW: PaymentStatus.AUTHORIZED,
    PaymentPlan.AUTHORIZE_LATER: PaymentStatus.SAVED,
    PaymentPlan.CHARGE_NOW: PaymentStatus.CAPTURED,
}
"""What the client does, by the plan."""


def reserve(
    *,
    policy: Policy,
    amount: int,
    currency: str,
    slot: tuple[datetime, datetime],
    at: datetime,
    window: timedelta,
) -> Saga:
    """A seat is taken: everything is a draft, and the payment window runs."""
    starts_at, ends_at = slot
    return Saga(
        policy=policy,
        amount=amount,
        currency=currency,
        starts_at=starts_at,
        ends_at=ends_at,
        zone="Europe/Berlin",
        plan=choose_plan(policy, ends_at, at, window),
        expires_at=at + policy.payment_window,
    )


def payment_says(saga: Saga, event: PaymentSays) -> Saga:
    """Bring the payment to where Stripe says it is; news from the past change nothing (TRAPS 16)."""
    if saga.payment is event.status or saga.payment not in PAYMENT_OPEN:
        return saga
    require(saga.decision is None, "invalid_state", "the booking is being let go")
    if event.status in {PaymentStatus.FAILED, PaymentStatus.PROCESSING}:
        return _with_the_bank(saga, event)
    repaired = saga.fix_by is not None and event.status is PaymentStatus.AUTHORIZED
    unpaid = saga.payment in {PaymentStatus.PENDING, PaymentStatus.PROCESSING}
    agreed = unpaid and event.status is ANSWERS[saga.plan]
    require(repaired or agreed, "invalid_state", "another plan was agreed")
    if event.status is PaymentStatus.CAPTURED:
        return captured(saga, saga.amount)
    if event.status is PaymentStatus.SAVED:
        return saved(saga, event.at)
    return authorized(saga, event.at, event.capture_before)


def _with_the_bank(saga: Saga, event: PaymentSays) -> Saga:
    if event.status is PaymentStatus.FAILED:
        require(saga.payment is PaymentStatus.PROCESSING, "invalid_state", "the bank was not asked")
        return abandoned(saga.but(payment=PaymentStatus.FAILED), StatusReason.PAYMENT_FAILED)
    asked = saga.payment is PaymentStatus.PENDING and saga.plan is not PaymentPlan.AUTHORIZE_LATER
    require(asked, "invalid_state", "the bank is not asked")
    return saga.but(payment=event.status)


def authorized(saga: Saga, at: datetime, capture_before: datetime | None) -> Saga:
    """The money is reserved, until the network lets it go."""
    require(capture_before is not None and capture_before > at, "validation_failed", "it has ended already")
    ends = capture_before or at
    return saga.but(
        payment=PaymentStatus.AUTHORIZED,
        capture_before=ends,
        renew_at=renew_at(at, ends),
        authorize_at=None,
        fix_by=None,
    )


def captured(saga: Saga, amount: int) -> Saga:
    """The client's money arrives and is held."""
    taken = saga.posted(JournalKind.CAPTURE, "charge", ledger.capture(amount))
    return taken.but(payment=PaymentStatus.CAPTURED, renew_at=None, authorize_at=None, fix_by=None)


def saved(saga: Saga, at: datetime) -> Saga:
    """The card is kept, and its day is set."""
    return saga.but(
        payment=PaymentStatus.SAVED,
        authorize_at=authorize_at(saga.policy, saga.starts_at, at),
        capture_before=None,
        renew_at=None,
        replan=False,
    )


def card_refused(saga: Saga, event: CardRefused) -> Saga:
    """Not final, unless the policy says so (TRAPS 7)."""
    del event
    require(saga.payment is PaymentStatus.PENDING and not saga.ended, "invalid_state", "nothing to pay")
    if not saga.policy.strict_payment_failure or saga.decision:
        return saga
    return abandoned(saga.but(payment=PaymentStatus.FAILED), StatusReason.PAYMENT_FAILED)


def window_ends(saga: Saga, event: WindowEnds) -> Saga:
    """Stripe decides: what is paid stays, what is with the bank gets a grace, the rest is let go."""
    open_one = saga.booking is BookingStatus.PENDING and saga.decision is None
    require(open_one, "invalid_state", "the window is closed")
    due(saga.expires_at, event.at)
    require(saga.payment not in PAYMENT_STANDS, "invalid_state", "the payment wins")
    if saga.payment is PaymentStatus.PROCESSING:
        require(not saga.grace_used, "invalid_state", "the bank has to answer first")
        grace = min(PAYMENT_GRACE, saga.policy.payment_window)
        return saga.but(grace_used=True, expires_at=event.at + grace)
    return abandoned(saga.but(payment=PaymentStatus.VOIDED), StatusReason.PAYMENT_TIMEOUT)


def proceed(saga: Saga, event: Proceed) -> Saga:
    """The payment stands: the provider is asked where the policy says so, else it is a booking."""
    if saga.booking is BookingStatus.CONFIRMED:
        return saga
    require(saga.booking is BookingStatus.PENDING, "invalid_state", "it is past that")
    undecided = saga.decision is None and saga.payment in PAYMENT_STANDS
    require(undecided, "payment_not_succeeded", "the payment does not stand")
    if saga.policy.approval == "auto":
        return confirmed(saga)
    due_at = approval_due_at(saga.policy, event.at, saga.starts_at, saga.renew_at)
    return saga.but(booking=BookingStatus.AWAITING_APPROVAL, approval_due_at=due_at)


def confirmed(saga: Saga) -> Saga:
    """The drafts become a booking."""
    return saga.but(booking=BookingStatus.CONFIRMED, session=SessionStatus.SCHEDULED)


def answered(saga: Saga, event: Answered) -> Saga:
    """The provider's word, while it is asked for it."""
    require(saga.booking is BookingStatus.AWAITING_APPROVAL, "invalid_state", "nobody is asking")
    require(saga.decision is None, "invalid_state", "it is being let go")
    if not event.accepts:
        return abandoned(saga, StatusReason.REJECTED_BY_PROVIDER)
    require(saga.approval_due_at and event.at < saga.approval_due_at, "too_late", "it was silent too long")
    return confirmed(saga)


def silence(saga: Saga, event: Silence) -> Saga:
    """Nobody stays charged for a booking that its provider did not accept (TRAPS 49)."""
    asked = saga.booking is BookingStatus.AWAITING_APPROVAL and saga.decision is None
    require(asked, "invalid_state", "nobody is asking")
    due(saga.approval_due_at, event.at)
    return abandoned(saga, StatusReason.APPROVAL_TIMEOUT)


def abandoned(saga: Saga, reason: StatusReason) -> Saga:
    """Everything goes back; the first decision stands."""
    if saga.decision is not None:
        return saga
    return saga.but(decision=Decision(ends_as(reason), 0, reason))


def taken(saga: Saga) -> bool:
    """Whether the client's money has been captured."""
    return saga.payment in MONEY_TAKEN
