"""What the saga asks of the outside world: the activities' names and shapes, without their code.

Workflow code imports this module instead of the activities, so that neither SQLAlchemy nor Stripe
ever enters the workflow sandbox. `activities/` implements each protocol under the same names.
"""

from typing import Protocol

from temporalio import activity

from workflows.contracts import (
    Abandon,
    AttentionNote,
    BookingState,
    Do,
    RelayBatch,
    Reserve,
    Reserved,
    Settle,
)
from workflows.followups import (
    ClassBookings,
    ClassOrder,
    Found,
    Settlement,
    SettleStray,
    Stray,
    StrayVerdict,
)
from workflows.orders import Changed, ChangeHold, Contest, GiveBack, Judge, Moving


class BookingSteps(Protocol):
    """Steps that only touch Postgres (and read the price)."""

    @activity.defn
    async def reserve(self, step: Reserve) -> Reserved:
        """Take the seat and snapshot the rules, in one transaction; or load what is there."""
        ...

    @activity.defn
    async def confirm(self, step: Do) -> BookingState:
        """Promote the drafts: booking CONFIRMED, session SCHEDULED."""
        ...

    @activity.defn
    async def ask_approval(self, step: Do) -> BookingState:
        """Put the booking before its provider: AWAITING_APPROVAL, until the stored deadline."""
        ...

    @activity.defn
    async def report(self, step: Settle) -> BookingState:
        """Note what one side claims; the other may contradict it until the grace ends."""
        ...

    @activity.defn
    async def reschedule(self, step: Moving) -> Changed:
        """Take the new slot and let the old one go, in one transaction; or refuse and change nothing."""
        ...

    @activity.defn
    async def release(self, step: Abandon) -> BookingState | None:
        """Undo of `reserve`: end the booking CANCELLED and let its seat go; None if it never was."""
        ...

    @activity.defn
    async def record_attention(self, note: AttentionNote) -> None:
        """Show on the booking that a person is needed, or no longer."""
        ...


class PaymentSteps(Protocol):
    """The client's money. Each is one money step whole: look up, act, record, project."""

    @activity.defn
    async def open_payment(self, step: Do) -> BookingState:
        """Create the Stripe customer and the PaymentIntent."""
        ...

    @activity.defn
    async def read_payment(self, step: Do) -> BookingState:
        """Read the intent at Stripe, verify it against our row, record what it says."""
        ...

    @activity.defn
    async def close_payment(self, step: Do) -> BookingState:
        """The window is over: Stripe decides. Adopt a payment that stands, else cancel the intent."""
        ...

    @activity.defn
    async def give_back(self, step: Abandon) -> BookingState | None:
        """Undo of `open_payment`: void what is authorized, refund what is captured."""
        ...

    @activity.defn
    async def settle(self, step: Settle) -> BookingState:
        """Capture or refund so that just the kept amount stays, and end the booking."""
        ...


class AuthorizationSteps(Protocol):
    """The authorization's clock: card networks let go of what is not captured in time."""

    @activity.defn
    async def authorize(self, step: Do) -> BookingState:
        """Charge the saved card off session; a refusal sets the deadline for the client to fix it."""
        ...

    @activity.defn
    async def renew_authorization(self, step: Do) -> BookingState:
        """The authorization ends before the outcome: authorize anew or capture early, by policy."""
        ...

    @activity.defn
    async def replan_payment(self, step: Do) -> BookingState:
        """The booking moved beyond its authorization: keep the card, let the authorization go."""
        ...


class RefundSteps(Protocol):
    """Captured money on its way back to the client, by our doing or anybody else's."""

    @activity.defn
    async def mirror(self, step: Do) -> BookingState:
        """Bring the books to where Stripe is: refunds, disputes, reversals, bank payouts."""
        ...

    @activity.defn
    async def refund(self, step: GiveBack) -> Changed:
        """Give captured money back; the coming payout shrinks with it."""
        ...


class HoldSteps(Protocol):
    """The hold between the outcome and the payout."""

    @activity.defn
    async def contest(self, step: Contest) -> BookingState:
        """Freeze the hold, keeping what is left of it."""
        ...

    @activity.defn
    async def change_hold(self, step: ChangeHold) -> BookingState:
        """Extend the hold, or end it now."""
        ...

    @activity.defn
    async def judge(self, step: Judge) -> BookingState:
        """Carry out what ops decided about an objection; the hold runs on with what it had left."""
        ...


class PayoutSteps(Protocol):
    """The provider's money."""

    @activity.defn
    async def pay_out(self, step: Do) -> BookingState:
        """Transfer the provider's share, computed from the ledger and frozen before the call."""
        ...

    @activity.defn
    async def send_to_bank(self, step: Do) -> BookingState:
        """For manual schedules: send what was transferred to the provider's bank, or see what became of it."""
        ...

    @activity.defn
    async def rebalance(self, step: Do) -> BookingState:
        """After the transfer: take back, or pay, the difference to the provider's share."""
        ...


class SettlementSteps(Protocol):
    """Payments that no live booking knows."""

    @activity.defn
    async def judge_stray(self, step: Stray) -> StrayVerdict:
        """Read the payment and say what it is good for; somebody else's is left alone."""
        ...

    @activity.defn
    async def give_back_stray(self, step: SettleStray) -> Settlement:
        """Void or refund it, once."""
        ...


class ClassSteps(Protocol):
    """Classes: sessions with more than one seat."""

    @activity.defn
    async def close_class(self, step: ClassOrder) -> ClassBookings:
        """End the session for its provider and name the bookings that are still to be told."""
        ...


class OversightSteps(Protocol):
    """Comparing what we believe with what is."""

    @activity.defn
    async def reconcile(self) -> Found:
        """Stripe, Postgres and Temporal: make lost words good, restart lost runs, report the rest."""
        ...

    @activity.defn
    async def audit(self) -> Found:
        """Check every invariant of the ledger and the states; what is violated becomes a finding."""
        ...


class RelaySteps(Protocol):
    """Delivery of what waits in the inbox."""

    @activity.defn
    async def relay_inbox(self) -> RelayBatch:
        """Deliver pending Stripe events until told to stop; heartbeats."""
        ...
