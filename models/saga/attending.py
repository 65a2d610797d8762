"""A confirmed booking until its outcome is decided and settled."""

from typing import Final

from models.clock import authorize_at, fix_by
from models.holds import Hold, payment_after
from models.ledger import JournalKind
from models.outcomes import CANCELLED_BY, MAY_REPORT, SESSION_ENDS
from models.policy import outcome_quote, tier_reached
from models.saga.events import (
    AuthorizeDue,
    Cancelled,
    Expired,
    FixEnds,
    GraceEnds,
    RenewDue,
    Reported,
    ReportsJudged,
    Rescheduled,
    Settle,
)
from models.saga.promising import abandoned, authorized, captured, saved, taken
from models.saga.standing import Decision, GivenBack, Report, Saga, due, require
from models.states import (
    PAYMENT_OPEN,
    BookingStatus,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    ReportedOutcome,
    Role,
    StatusReason,
)

DEAD: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})


def cancelled(saga: Saga, event: Cancelled) -> Saga:
    """Free of charge until it is confirmed; then by the policy, and by nobody's client once it has begun."""
    require(saga.decision is None, "invalid_state", "it is decided")
    reason = CANCELLED_BY[event.role]
    if saga.booking is not BookingStatus.CONFIRMED:
        return abandoned(saga, reason)
    begun = event.at >= saga.starts_at and event.role is Role.CLIENT
    require(not begun, "too_late", "the session has started")
    return _decided(saga, ReportedOutcome.CANCELLED, event.role, event, reason)


def reported(saga: Saga, event: Reported) -> Saga:
    """One side's word against the other's money waits for the other side; else the word decides."""
    require(event.role in MAY_REPORT.get(event.kind, ()), "forbidden", "not theirs to say")
    undecided = saga.booking is BookingStatus.CONFIRMED and saga.decision is None
    require(undecided, "invalid_state", "nothing to report of")
    require(event.at >= saga.starts_at, "invalid_state", "the session has not started")
    said = Report(event.kind, event.role)
    if event.role is Role.CLIENT and event.kind is ReportedOutcome.PROVIDER_NO_SHOW:
        return saga.but(claim=saga.claim or said)
    if saga.claim is not None and event.role is Role.PROVIDER:
        return saga.but(contradiction=saga.contradiction or said)
    return _decided(saga, event.kind, event.role, event)


def grace_ends(saga: Saga, event: GraceEnds) -> Saga:
    """Silence means completed, or that what was claimed is true; between two who spoke it decides nothing."""
    undecided = saga.booking is BookingStatus.CONFIRMED and saga.decision is None
    require(undecided and saga.contradiction is None, "invalid_state", "silence decides nothing here")
    due(saga.completion_due_at, event.at)
    if saga.claim:
        return _decided(saga, saga.claim.kind, saga.claim.role, event)
    return _decided(saga, ReportedOutcome.COMPLETED, Role.SYSTEM, event, StatusReason.AUTO_COMPLETED)


def reports_judged(saga: Saga, event: ReportsJudged) -> Saga:
    """Ops decide between client and provider."""
    parked = saga.contradiction is not None and saga.decision is None
    require(parked, "invalid_state", "nobody contradicts anybody")
    decided = _decided(saga, event.kind, Role.OPS, event, StatusReason.DECIDED_BY_OPS)
    if event.keep is None or decided.decision is None:
        return decided
    there = decided.books.captured if taken(decided) else decided.amount
    kept = 0 if saga.payment is PaymentStatus.SAVED else max(min(event.keep, there), 0)
    return decided.but(
        decision=Decision(decided.decision.status, kept, StatusReason.DECIDED_BY_OPS),
    )


def _decided(
    saga: Saga,
    kind: ReportedOutcome,
    role: Role,
    event: Cancelled | Reported | GraceEnds | ReportsJudged,
    reason: str | None = None,
) -> Saga:
    quote = outcome_quote(saga.terms, kind, role, event.at)
    return saga.but(decision=Decision(quote.booking_status, quote.keep, reason or kind.value))


# --- the authorization's clock ----------------------------------------------------------------------


def rescheduled(saga: Saga, event: Rescheduled) -> Saga:
    """Another time; the client wins no better tier by it, and its money is planned anew."""
    free = saga.booking is BookingStatus.CONFIRMED and saga.decision is None and saga.claim is None
    require(free, "invalid_state", "it cannot be moved")
    require(event.at < saga.starts_at, "too_late", "the session has started")
    if event.starts_at == saga.starts_at:
        return saga
    cap = saga.refund_cap_bps
    if event.role is Role.CLIENT:
        late = event.at > saga.starts_at - saga.policy.reschedule_cutoff
        require(not late, "too_late", "it could be moved until the cut-off")
        cap = tier_reached(saga.terms, event.at)
    ends_at = event.starts_at + (saga.ends_at - saga.starts_at)
    moved = saga.but(starts_at=event.starts_at, ends_at=ends_at, refund_cap_bps=cap)
    if moved.payment is PaymentStatus.SAVED and moved.fix_by is None:
        return moved.but(authorize_at=authorize_at(moved.policy, moved.starts_at, event.at))
    beyond = moved.renew_at is not None and moved.completion_due_at > moved.renew_at
    if moved.payment is PaymentStatus.AUTHORIZED and beyond:
        return saved(moved, event.at)
    return moved


def authorize_due(saga: Saga, event: AuthorizeDue) -> Saga:
    """Charge the kept card; a refusal leaves the client half of the time that is left."""
    waits = saga.payment is PaymentStatus.SAVED and saga.booking is BookingStatus.CONFIRMED
    require(waits and saga.decision is None and saga.fix_by is None, "invalid_state", "no card is due")
    due(saga.authorize_at, event.at)
    if event.capture_before is None:
        return saga.but(fix_by=fix_by(saga.starts_at, event.at))
    return authorized(saga, event.at, event.capture_before)


def fix_ends(saga: Saga, event: FixEnds) -> Saga:
    """The card was not repaired: the seat is let go."""
    waits = saga.payment is PaymentStatus.SAVED and saga.decision is None
    require(waits, "invalid_state", "no card is to be repaired")
    due(saga.fix_by, event.at)
    return abandoned(saga.but(payment=PaymentStatus.FAILED), StatusReason.AUTHORIZATION_REFUSED)


def renew_due(saga: Saga, event: RenewDue) -> Saga:
    """Authorize anew, by policy and if the bank lets us; else capture what stands."""
    waits = saga.payment is PaymentStatus.AUTHORIZED and saga.booking is BookingStatus.CONFIRMED
    require(waits and saga.decision is None, "invalid_state", "nothing to renew")
    due(saga.renew_at, event.at)
    require(saga.capture_before and event.at < saga.capture_before, "invalid_state", "it has ended")
    if saga.policy.authorization_expiry == "reauthorize" and event.capture_before is not None:
        replaced = authorized(saga, event.at, event.capture_before)
        return replaced.but(past_payments=(*saga.past_payments, PaymentStatus.VOIDED))
    return captured(saga, saga.amount)


def expired(saga: Saga, event: Expired) -> Saga:
    """Without its authorization nothing is kept, and nobody is told that it was completed (TRAPS 2)."""
    if saga.payment is PaymentStatus.EXPIRED:
        return saga
    require(saga.payment is PaymentStatus.AUTHORIZED, "invalid_state", "nothing is authorized")
    due(saga.capture_before, event.at)
    gone = saga.but(payment=PaymentStatus.EXPIRED, renew_at=None, decision=None)
    return abandoned(gone, StatusReason.AUTHORIZATION_EXPIRED)


# --- settling ---------------------------------------------------------------------------------------


def settle(saga: Saga, event: Settle) -> Saga:
    """Make sure that no more than the decision keeps stays with us, and end the booking."""
    if saga.ended:
        return saga
    require(saga.decision is not None, "invalid_state", "nothing is decided")
    decision = saga.decision or Decision(BookingStatus.CANCELLED, 0)
    require(saga.payment is not PaymentStatus.PROCESSING, "invalid_state", "the bank has to answer first")
    saga = _kept(saga, decision.keep, event)
    ends = SESSION_ENDS[decision.status]
    return _held(saga.but(booking=decision.status, session=ends), decision.keep, event)


def _kept(saga: Saga, keep: int, event: Settle) -> Saga:
    if saga.payment in DEAD:
        return saga
    if saga.payment in PAYMENT_OPEN:
        if keep == 0:
            return saga.but(payment=PaymentStatus.VOIDED, renew_at=None, authorize_at=None, fix_by=None)
        running = saga.capture_before and event.at < saga.capture_before
        require(running, "invalid_state", "the authorization has ended")
        return captured(saga, keep)
    if saga.books.captured - saga.books.refunded <= keep:
        return saga
    require(not saga.disputed, "dispute_open", "what should go back is contested")
    surplus = min(saga.books.captured - saga.books.refunded, saga.books.kept) - keep
    return given_back(saga, "settle", surplus) if surplus > 0 else saga


def given_back(saga: Saga, refund_id: str, amount: int) -> Saga:
    """A refund leaves for the client."""
    after = saga.shifted(JournalKind.REFUND, refund_id, refunded=saga.books.refunded + amount)
    refunds = {**saga.refunds, refund_id: GivenBack(amount, RefundStatus.PENDING)}
    return after.but(payment=payment_after(after.books), refunds=refunds)


def _held(saga: Saga, keep: int, event: Settle) -> Saga:
    """The provider's share of what was kept; frozen from the start while the client's bank contests."""
    contested = bool(keep) and saga.disputed
    if saga.books.kept <= 0 and not contested:
        return saga
    pause = saga.policy.payout_hold
    hold = Hold(PayoutStatus.HELD, event.at + pause)
    if contested:
        hold = Hold(PayoutStatus.FROZEN, hold.due_at, int(pause.total_seconds()))
    return saga.but(hold=hold, share=saga.books.division.provider_share)
