"""What Postgres and Stripe have of one booking that is played in memory, and what follows from it.

Amounts and holds come from the product's own rules (`models/books.py`, `holds.py`, `policy.py`).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from models import holds
from models.books import Books
from models.policy import Policy, Terms
from models.states import MONEY_TAKEN, PaymentStatus, PayoutStatus
from tests.workflows.stage import Stage
from workflows.contracts import BookingState, Refusal, StartBooking

PRICE = 12_000
DURATION = timedelta(hours=1)
AUTHORIZED_FOR = timedelta(days=7)
TRANSFERRED = frozenset({PayoutStatus.PAID, PayoutStatus.PARTIALLY_REVERSED, PayoutStatus.REVERSED})


@dataclass
class Outside:
    """What Stripe, the bank and the client's bank have done; our books learn of it when a step looks."""

    refunded: int = 0
    disputed: int = 0
    contested: bool = False
    """A dispute is open."""
    reversed: int = 0
    """Taken back from transfers, also in the dashboard."""
    available: int = 10**9
    """What the connected account can still give back."""
    payable: bool = True
    """The connected account may be paid."""
    bank: str = ""
    """What became of the latest payout to the provider's bank: in_transit, paid, failed."""
    arrives: str = "in_transit"
    """What becomes of a payout to the bank as soon as it is made."""

    def mends(self) -> None:
        """Nothing stands in the way of the money any more."""
        self.payable, self.contested, self.arrives = True, False, "paid"
        self.bank = self.bank and "paid"

    def dispute_opens(self, amount: int = PRICE) -> None:
        self.contested, self.disputed = True, amount

    def dispute_ends(self, *, lost: int = 0) -> None:
        """Lost in whole or in part, else won: the rest of the money comes back."""
        self.contested, self.disputed = False, lost


@dataclass
class Rows(Stage):
    """One booking's rows, and the world around them."""

    starts_at: datetime = field(kw_only=True)
    policy: Policy = field(default_factory=Policy)
    refusal: Refusal | None = None
    booking_id: UUID = field(default_factory=uuid4)
    state: BookingState | None = None
    intent: str | None = None
    adopted: str | None = None
    card_refused: bool = False
    grace_used: bool = False
    authorized_for: timedelta = AUTHORIZED_FOR
    renewals: int = 0
    outside: Outside = field(default_factory=Outside)
    books: Books = field(default_factory=lambda: Books(currency="eur", fee_bps=2000))
    orders: set[str] = field(default_factory=set)
    transferred: list[int] = field(default_factory=list)
    frozen_seconds: int | None = None
    blocked_at: datetime | None = None
    waived: bool = False
    taken_by_hand: bool = False
    """A transfer was reversed in the dashboard."""

    @property
    def request(self) -> StartBooking:
        return StartBooking(
            booking_id=self.booking_id, client_id="client", service_id=uuid4(), starts_at=self.starts_at
        )

    @property
    def booking(self) -> BookingState:
        assert self.state is not None
        return self.state

    @property
    def payout_due_at(self) -> datetime:
        assert self.booking.payout_due_at is not None
        return self.booking.payout_due_at

    @property
    def captured(self) -> int:
        return self.books.captured

    @property
    def refunded(self) -> int:
        return self.books.refunded

    @property
    def terms(self) -> Terms:
        """What a quote for this booking depends on."""
        booking = self.booking
        return Terms(
            policy=self.policy,
            amount=booking.amount,
            currency=booking.currency,
            starts_at=booking.starts_at,
            zone="UTC",
            chargeable=booking.payment_status is not PaymentStatus.SAVED,
        )

    # --- how rows change ----------------------------------------------------------------------

    def update(self, **values: Any) -> BookingState:
        """Change the rows; what follows from them is what `activities/standing.py` makes of them."""
        changed = self.booking.model_copy(update=values)
        payment, payout = changed.payment_status, changed.payout_status
        shown: dict[str, Any] = {}
        if payment is not PaymentStatus.SAVED:
            shown |= {"authorize_at": None, "fix_by": None}
        if payment is not PaymentStatus.AUTHORIZED:
            shown |= {"renew_at": None}
        if payment in MONEY_TAKEN:
            transferred = payout in TRANSFERRED and not self.waived
            shown |= {
                "refundable": max(self.books.kept, 0),
                "unbalanced": transferred and self.books.due != 0,
                "escalate_at": self.blocked_at and self.blocked_at + self.policy.payout_patience,
            }
        self.state = changed.model_copy(update=shown)
        return self.state

    def enter(self, **books: Any) -> None:
        """Post to the books; a captured payment follows how far it was refunded."""
        self.books = self.books.model_copy(update=books)
        if self.books.captured:
            self.update(payment_status=holds.payment_after(self.books))

    def catch_up(self) -> None:
        """Bring the books to where Stripe is."""
        outside = self.outside
        self.taken_by_hand = self.taken_by_hand or outside.reversed > self.books.reversed
        self.enter(refunded=outside.refunded, disputed=outside.disputed, reversed=outside.reversed)
        self.update(disputed=outside.contested)

    def follow(self, at: datetime) -> None:
        """Bring a payout that is still to come to what is kept now."""
        booking = self.booking
        if booking.payout_status is None or booking.at_bank:
            return
        hold = holds.Hold(booking.payout_status, self.payout_due_at, self.frozen_seconds)
        if booking.payout_status in holds.WAITING:
            self.update(payout_amount=self.books.division.provider_share)
        now = holds.follow(hold, self.books, at, disputed=booking.disputed, objected=booking.objected)
        self.hold(now)

    def hold(self, hold: holds.Hold) -> None:
        """Write what became of the hold."""
        self.frozen_seconds = hold.frozen_seconds
        if hold.status is not PayoutStatus.BLOCKED:
            self.blocked_at = None
        if hold.status is PayoutStatus.CANCELLED:
            self.books = self.books.model_copy(update={"allocated": True})
            self.update(objected=False, objected_at=None)
        self.update(payout_status=hold.status, payout_due_at=hold.due_at)
