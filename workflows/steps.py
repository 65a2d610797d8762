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


class PayoutSteps(Protocol):
    """The provider's money."""

    @activity.defn
    async def pay_out(self, step: Do) -> BookingState:
        """Transfer the provider's share, computed from the ledger and frozen before the call."""
        ...


class RelaySteps(Protocol):
    """Delivery of what waits in the inbox."""

    @activity.defn
    async def relay_inbox(self) -> RelayBatch:
        """Deliver pending Stripe events until told to stop; heartbeats."""
        ...
