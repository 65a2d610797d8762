"""The steps of the client's money, played in memory: authorized, kept, captured, given back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from models import clock
from models.policy import outcome_quote
from models.states import (
    MONEY_TAKEN,
    TERMINAL_BOOKING,
    BookingStatus,
    PaymentStatus,
    PayoutStatus,
    ReportedOutcome,
)
from tests.workflows.rows import PRICE, Rows
from tests.workflows.stage import broken
from workflows.contracts import Abandon, BookingState, Do, Settle
from workflows.orders import Changed, GiveBack

GRACE = timedelta(minutes=10)
READ: Final = {
    "setup": PaymentStatus.SAVED,
    "requires_capture": PaymentStatus.AUTHORIZED,
    "succeeded": PaymentStatus.CAPTURED,
    "canceled": PaymentStatus.VOIDED,
    "expired": PaymentStatus.EXPIRED,
}
"""What the intent's status means for the payment; `setup` is a SetupIntent that succeeded."""
GONE: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.EXPIRED})


@dataclass
class Purse(Rows):
    """What the client pays with, and what of it is kept."""

    decided: tuple[BookingStatus, int, datetime] | None = None

    def open_payment(self, step: Do) -> BookingState:
        if self.intent is None and self.booking.status not in TERMINAL_BOOKING:
            self.intent, self.adopted = "requires_payment_method", step.adopt
        return self.update(payment_opened=self.intent is not None)

    def read_payment(self, step: Do) -> BookingState:
        self._record(step.at)
        unpaid = self.intent == "requires_payment_method"
        refused = self.policy.strict_payment_failure and self.card_refused and unpaid
        # Only this answer says so; it is not stored.
        return self.booking.model_copy(update={"payment_refused": refused})

    def close_payment(self, step: Do) -> BookingState:
        pending = self.booking.status is BookingStatus.PENDING
        if pending and self.intent in ("processing", "requires_action") and not self.grace_used:
            self.grace_used = True
            return self.update(expires_at=step.at + GRACE)
        unfixed = self.booking.fix_by is not None and self.intent == "setup"
        if unfixed or self.intent not in READ:
            self.intent = "canceled"
        return self._record(step.at)

    def give_back(self, step: Abandon) -> BookingState | None:
        if self.state is None or self.booking.status in TERMINAL_BOOKING:
            return None
        self.decided = (BookingStatus.CANCELLED, 0, step.at)
        self.update(reported_outcome=ReportedOutcome.CANCELLED, outcome_reason=step.reason)
        self._keep(0)
        return self.booking

    def settle(self, step: Settle) -> BookingState:
        if self.booking.status in TERMINAL_BOOKING:
            return self.booking
        outcome = step.outcome
        if self.decided is None:
            quote = outcome_quote(self.terms, outcome.kind, outcome.actor.role, outcome.at)
            keep = quote.keep if outcome.keep is None else outcome.keep
            self.decided = (quote.booking_status, keep, outcome.at)
            self.update(reported_outcome=outcome.kind, outcome_reason=outcome.reason)
        status, keep, at = self.decided
        if not self._keep(keep):
            return self.booking
        self._hold(at)
        return self.update(status=status, status_reason=self.booking.outcome_reason)

    # --- the authorization's clock --------------------------------------------------------------

    def authorize(self, step: Do) -> BookingState:
        if self.booking.payment_status is not PaymentStatus.SAVED or self.booking.fix_by is not None:
            return self._record(step.at)
        if self.card_refused:
            return self.update(fix_by=clock.fix_by(self.booking.starts_at, step.at))
        self.intent = "requires_capture"
        return self._record(step.at)

    def renew_authorization(self, step: Do) -> BookingState:
        renew_at = self.booking.renew_at
        if renew_at is None or renew_at > step.at:
            return self.booking
        if self.intent == "requires_capture" and self.policy.authorization_expiry == "reauthorize":
            self.renewals += 1
            return self.update(renew_at=clock.renew_at(step.at, step.at + self.authorized_for))
        if self.intent == "requires_capture":
            self.intent = "succeeded"
        return self._record(step.at)

    def replan_payment(self, step: Do) -> BookingState:
        if self.booking.replan:
            self.intent = "setup"
            due = clock.authorize_at(self.policy, self.booking.starts_at, step.at)
            self.update(payment_status=PaymentStatus.SAVED, authorize_at=due, replan=False)
        return self.booking

    # --- refunds --------------------------------------------------------------------------------

    def refund(self, step: GiveBack) -> Changed:
        order = step.order
        if self.booking.disputed:
            return Changed(booking=self.booking, refusal="dispute_open", detail="The bank decides first.")
        if order.request_id not in self.orders:
            self.orders.add(order.request_id)
            self.outside.refunded += self.books.kept if order.amount is None else order.amount
            self.catch_up()
            self.follow(step.at)
        return Changed(booking=self.booking)

    # --- what both share ------------------------------------------------------------------------

    def _record(self, at: datetime) -> BookingState:
        status = READ.get(self.intent or "")
        if status in (None, self.booking.payment_status) or self.booking.payment_status in MONEY_TAKEN:
            return self.booking
        if status is PaymentStatus.CAPTURED:
            self.enter(captured=PRICE)
            return self.booking
        if status is PaymentStatus.AUTHORIZED:
            self.update(payment_status=status, renew_at=clock.renew_at(at, at + self.authorized_for))
        elif status is PaymentStatus.SAVED:
            due = clock.authorize_at(self.policy, self.booking.starts_at, at)
            self.update(payment_status=status, authorize_at=due)
        return self.update(payment_status=status)

    def _keep(self, keep: int) -> bool:
        """Keep just so much; False when what should be kept cannot be had."""
        if self.intent == "succeeded":
            return self._refund_all_but(keep)
        if self.intent in ("canceled", "expired"):
            self.update(payment_status=READ[self.intent])
            return keep == 0
        if keep:
            self.intent = "succeeded"
            self.enter(captured=keep)
        else:
            self.intent = "canceled"
            self.update(payment_status=PaymentStatus.VOIDED)
        return True

    def _refund_all_but(self, keep: int) -> bool:
        self.enter(captured=self.captured or PRICE)
        if self.captured - self.refunded > keep and self.booking.disputed:
            raise broken("DisputeOpen")
        surplus = self.books.kept - keep
        if surplus > 0:
            self.outside.refunded += surplus
            self.catch_up()
        return True

    def _hold(self, at: datetime) -> None:
        books, disputed = self.books, self.booking.disputed
        if books.kept <= 0 and not disputed:
            return
        hold = self.policy.payout_hold
        self.frozen_seconds = int(hold.total_seconds()) if disputed else None
        self.update(
            payout_status=PayoutStatus.FROZEN if disputed else PayoutStatus.HELD,
            payout_amount=books.division.provider_share,
            payout_due_at=at + hold,
        )
