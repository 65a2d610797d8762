"""A provider's bookings, driven at random: everything that people, banks and deadlines can do to them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from models.policy import CancellationTier, Policy
from models.saga import events
from models.saga.standing import Saga
from models.states import (
    MONEY_TAKEN,
    BankPayoutStatus,
    BookingStatus,
    DisputeStatus,
    PaymentStatus,
    RefundStatus,
    ReportedOutcome,
    Role,
)
from tests.model.shop import DAY, HOUR, PAID_OUT, WINDOW, Shop

MOST = 4
"""Bookings of one machine: enough for debts to cross, few enough to get somewhere."""

POLICIES = {
    "plain": Policy(),
    "asking, to the bank": Policy(approval="provider", payout_schedule="manual", debt_cap_bps=10_000),
    "charged at once": Policy(
        capture="on_payment", strict_payment_failure=True, payout_hold=timedelta(0), platform_fee_bps=1_000
    ),
    "authorized anew": Policy(
        authorization_expiry="reauthorize", platform_fee_bps=1_250, client_no_show_keep_bps=6_000
    ),
    "free for providers": Policy(
        platform_fee_bps=0,
        cancellation_tiers=(
            CancellationTier(hours_before=48, refund_bps=9_000),
            CancellationTier(hours_before=0, refund_bps=0),
        ),
    ),
    "all for the platform": Policy(platform_fee_bps=10_000, capture="on_payment"),
}
PRICES = (("eur", 12_000), ("eur", 9_999), ("kwd", 12_350))
AHEAD = (2 * HOUR, 26 * HOUR, 5 * DAY, 30 * DAY)
WHICH = st.integers(0, MOST - 1)
ROLES = st.sampled_from([Role.CLIENT, Role.PROVIDER, Role.OPS])
Fits = Callable[[Saga], Any]
Order = tuple[str, tuple[str, int], timedelta, int]
ORDERS = st.tuples(
    st.sampled_from([*POLICIES]), st.sampled_from(PRICES), st.sampled_from(AHEAD), st.integers(0, PAID_OUT)
)
STRIPES_WORDS = (
    PaymentStatus.AUTHORIZED,
    PaymentStatus.SAVED,
    PaymentStatus.CAPTURED,
    PaymentStatus.PROCESSING,
    PaymentStatus.FAILED,
)
JUDGEMENTS = (ReportedOutcome.COMPLETED, ReportedOutcome.PROVIDER_NO_SHOW, ReportedOutcome.CLIENT_NO_SHOW)
PARTS = st.sampled_from([1, 2, 3, 10])
"""A whole amount, or the divisor that makes a part of it."""


def part(amount: int, divisor: int) -> int:
    """A part of an amount that Stripe can move in every currency."""
    return amount if divisor == 1 else amount // divisor // 10 * 10


def paying(saga: Saga) -> bool:
    unpaid = saga.payment in {PaymentStatus.PENDING, PaymentStatus.PROCESSING} or saga.fix_by is not None
    return saga.decision is None and unpaid


def asked(saga: Saga) -> bool:
    return saga.booking is BookingStatus.AWAITING_APPROVAL and saga.decision is None


def confirmed(saga: Saga) -> bool:
    return saga.booking is BookingStatus.CONFIRMED and saga.decision is None


def taken(saga: Saga) -> bool:
    return saga.payment in MONEY_TAKEN


def refundable(saga: Saga) -> bool:
    return saga.payment in MONEY_TAKEN and saga.books.kept > 0


def coming(saga: Saga) -> bool:
    return saga.waits_to_be_paid


def at_bank(saga: Saga) -> bool:
    return saga.at_bank and saga.policy.payout_schedule == "manual"


class Life(RuleBasedStateMachine):
    """Rules pick a booking and an event; what does not fit is refused and changes nothing."""

    make_shop: Any = Shop

    def __init__(self) -> None:
        super().__init__()
        self.shop: Shop = self.make_shop()

    def names(self, fits: Fits) -> list[str]:
        return [name for name, saga in self.shop.sagas.items() if fits(saga)]

    def pick(self, which: int, fits: Fits = bool) -> tuple[str, Saga]:
        """One of those that it can happen to, else any: what does not fit has to be refused."""
        names = self.names(fits) or [*self.shop.sagas]
        name = names[which % len(names)]
        return name, self.shop.sagas[name]

    # --- making bookings, and letting time pass -------------------------------------------------

    @initialize(orders=st.lists(ORDERS, min_size=1, max_size=2), debt=st.booleans())
    def there_are_bookings(self, orders: list[Order], *, debt: bool) -> None:
        if debt:
            self.shop.debt(*PRICES[0])
        for order in orders:
            self.somebody_orders(order)

    @precondition(lambda self: len(self.shop.sagas) < MOST)
    @rule(order=ORDERS)
    def somebody_books(self, order: Order) -> None:
        self.somebody_orders(order)

    def somebody_orders(self, order: Order) -> None:
        policy, price, ahead, stage = order
        self.shop.order(POLICIES[policy], price, ahead, stage)

    @rule(
        which=WHICH,
        renewed=st.sampled_from([True, True, False]),
        payable=st.sampled_from([True, True, False]),
    )
    def time_passes(self, which: int, *, renewed: bool, payable: bool) -> None:
        """To the next deadline of a booking, and everybody does what is due."""
        name, _ = self.pick(which, lambda saga: not saga.ended or saga.waits_to_be_paid)
        self.shop.now = next(iter(self.shop.deadlines(name)), self.shop.now + HOUR)
        for one in self.shop.sagas:
            self.shop.work(one, renewed=renewed, payable=payable)

    @rule(hours=st.sampled_from([1, 20]))
    def an_outage_lasts(self, hours: int) -> None:
        """Time passes and nothing is done: deadlines are late when they are seen to."""
        self.shop.now += hours * HOUR

    @rule(place=st.integers(0, 200))
    def a_worker_crashes(self, place: int) -> None:
        """Something that was done is done once more."""
        self.shop.again(place)

    # --- until the outcome ------------------------------------------------------------------------

    @precondition(lambda self: self.names(paying))
    @rule(which=WHICH, status=st.sampled_from(STRIPES_WORDS))
    def stripe_says(self, which: int, status: PaymentStatus) -> None:
        name, _ = self.pick(which, paying)
        self.shop.tell(name, events.PaymentSays(self.shop.now, status, self.shop.now + WINDOW))

    @precondition(lambda self: self.names(paying))
    @rule(which=WHICH)
    def a_card_is_refused(self, which: int) -> None:
        self.shop.tell(self.pick(which, paying)[0], events.CardRefused(self.shop.now))

    @precondition(lambda self: self.names(asked))
    @rule(which=WHICH, accepts=st.booleans())
    def the_provider_answers(self, which: int, *, accepts: bool) -> None:
        name, _ = self.pick(which, asked)
        self.shop.tell(name, events.Answered(self.shop.now, accepts))
        self.shop.tell(name, events.Settle(self.shop.now))

    @rule(which=WHICH, role=ROLES, late=st.booleans())
    def somebody_cancels(self, which: int, role: Role, *, late: bool) -> None:
        name, saga = self.pick(which, lambda saga: not saga.ended)
        if late and not saga.ended:
            self.shop.now = max(self.shop.now, saga.starts_at - HOUR)
        self.shop.tell(name, events.Cancelled(self.shop.now, role))
        self.shop.work(name)

    @precondition(lambda self: self.names(confirmed))
    @rule(which=WHICH, role=ROLES, kind=st.sampled_from(ReportedOutcome))
    def somebody_reports(self, which: int, role: Role, kind: ReportedOutcome) -> None:
        name, saga = self.pick(which, confirmed)
        self.shop.now = max(self.shop.now, saga.starts_at)
        self.shop.tell(name, events.Reported(self.shop.now, kind, role))
        self.shop.tell(name, events.Settle(self.shop.now))

    @precondition(lambda self: self.names(lambda saga: saga.contradiction))
    @rule(which=WHICH, kind=st.sampled_from(JUDGEMENTS), keep=st.sampled_from([None, 0, 5_000, 10**9]))
    def ops_judge_two_reports(self, which: int, kind: ReportedOutcome, keep: int | None) -> None:
        name, _ = self.pick(which, lambda saga: saga.contradiction)
        self.shop.tell(name, events.ReportsJudged(self.shop.now, kind, keep))

    @precondition(lambda self: self.names(confirmed))
    @rule(which=WHICH, role=ROLES, ahead=st.sampled_from(AHEAD))
    def somebody_moves_it(self, which: int, role: Role, ahead: timedelta) -> None:
        name, _ = self.pick(which, confirmed)
        self.shop.tell(name, events.Rescheduled(self.shop.now, role, self.shop.now + ahead))

    # --- captured money -----------------------------------------------------------------------------

    @precondition(lambda self: self.names(refundable))
    @rule(which=WHICH, divisor=PARTS, order=st.booleans(), number=st.integers(1, 3))
    def money_is_given_back(self, which: int, divisor: int, number: int, *, order: bool) -> None:
        name, saga = self.pick(which, refundable)
        at, amount = self.shop.now, part(saga.books.captured, divisor)
        if order:
            amount = min(amount, saga.books.kept)
            self.shop.tell(name, events.RefundOrdered(at, f"order {number}", amount))
        else:
            says = events.RefundSays(at, f"dashboard {number}", amount, RefundStatus.PENDING)
            self.shop.tell(name, says)

    @precondition(lambda self: self.names(lambda saga: saga.refunds))
    @rule(which=WHICH, place=st.integers(0, 3), status=st.sampled_from(RefundStatus))
    def a_refund_has_news(self, which: int, place: int, status: RefundStatus) -> None:
        name, saga = self.pick(which, lambda saga: saga.refunds)
        refund = [*saga.refunds][place % len(saga.refunds)]
        amount = saga.refunds[refund].amount
        self.shop.tell(name, events.RefundSays(self.shop.now, refund, amount, status))

    @precondition(lambda self: self.names(taken))
    @rule(which=WHICH, divisor=PARTS, withdrawn=st.booleans(), number=st.integers(1, 2))
    def a_bank_disputes(self, which: int, divisor: int, number: int, *, withdrawn: bool) -> None:
        name, saga = self.pick(which, taken)
        dispute = f"dispute {number}"
        known = saga.disputes.get(dispute)
        amount = known.amount if known else part(saga.books.captured, divisor)
        moves = ((f"{dispute} out", amount),) if withdrawn else ()
        opened = events.DisputeSays(self.shop.now, dispute, amount, DisputeStatus.OPEN, moves)
        self.shop.tell(name, opened)

    @precondition(lambda self: self.names(lambda saga: saga.disputed))
    @rule(which=WHICH, place=st.integers(0, 1), won=st.booleans(), back=st.booleans())
    def a_bank_decides(self, which: int, place: int, *, won: bool, back: bool) -> None:
        """The money of a dispute that was won may come back a little later than the word."""
        name, saga = self.pick(which, lambda saga: saga.disputed)
        pending = [one for one, dispute in saga.disputes.items() if dispute.pending]
        dispute = pending[place % len(pending)]
        known = saga.disputes[dispute]
        moves = dict(known.moved)
        won = won or known.status is DisputeStatus.WON
        if not won:
            moves[f"{dispute} out"] = known.amount
        elif back and moves:
            moves[f"{dispute} back"] = -known.amount
        status = DisputeStatus.WON if won else DisputeStatus.LOST
        told = events.DisputeSays(self.shop.now, dispute, known.amount, status, tuple(moves.items()))
        self.shop.tell(name, told)

    @precondition(lambda self: self.names(coming))
    @rule(which=WHICH)
    def the_client_objects(self, which: int) -> None:
        self.shop.tell(self.pick(which, coming)[0], events.Objected(self.shop.now))

    @precondition(lambda self: self.names(lambda saga: saga.objected))
    @rule(which=WHICH, back=st.sampled_from([0, 1, 2, 10]))
    def ops_decide_about_an_objection(self, which: int, back: int) -> None:
        name, saga = self.pick(which, lambda saga: saga.objected)
        amount = part(saga.books.kept, back) if back else 0
        order = events.RefundOrdered(self.shop.now, f"objection {back}", amount)
        if amount <= 0 or self.shop.tell(name, order):
            self.shop.tell(name, events.Judged(self.shop.now))

    @precondition(lambda self: self.names(coming))
    @rule(which=WHICH, until=st.sampled_from([None, DAY, 30 * DAY]))
    def ops_change_the_hold(self, which: int, until: timedelta | None) -> None:
        name, _ = self.pick(which, coming)
        later = None if until is None else self.shop.now + until
        self.shop.tell(name, events.HoldChanged(self.shop.now, later))

    # --- the provider's share ---------------------------------------------------------------------------

    @precondition(lambda self: self.names(lambda saga: saga.in_flight))
    @rule(made=st.sampled_from([True, True, False]))
    def transfers_are_answered(self, *, made: bool) -> None:
        for name in self.names(lambda saga: saga.in_flight):
            attempt = self.shop.sagas[name].attempts
            self.shop.tell(name, events.TransferSays(self.shop.now, attempt, made))

    @precondition(lambda self: self.names(coming))
    @rule(which=WHICH, payable=st.booleans())
    def a_payout_is_tried(self, which: int, *, payable: bool) -> None:
        name, _ = self.pick(which, coming)
        debts = self.shop.debts_but_of(name)
        self.shop.tell(name, events.TransferDue(self.shop.now, debts, payable))

    @precondition(lambda self: self.names(at_bank))
    @rule(which=WHICH, status=st.sampled_from(BankPayoutStatus), back=st.integers(0, 1))
    def the_bank_has_news(self, which: int, status: BankPayoutStatus, back: int) -> None:
        name, saga = self.pick(which, at_bank)
        made = len(saga.bank)
        number = made + 1 if status is BankPayoutStatus.PENDING else max(made - back, 1)
        self.shop.tell(name, events.BankSays(self.shop.now, number, status))

    @precondition(lambda self: self.names(lambda saga: saga.unbalanced))
    @rule(available=st.sampled_from([-500, 0, 1_000, 10**9]), by_ops=st.booleans())
    def shares_are_brought_in_line(self, available: int, *, by_ops: bool) -> None:
        for name in self.names(lambda saga: saga.unbalanced):
            if self.shop.tell(name, events.Rebalance(self.shop.now, available, by_ops)):
                after = self.shop.sagas[name]
                assert after.books.due == (after.in_flight or 0)

    @precondition(lambda self: self.names(lambda saga: saga.parked))
    @rule(which=WHICH)
    def ops_leave_it_with_the_platform(self, which: int) -> None:
        name, _ = self.pick(which, lambda saga: saga.parked)
        self.shop.tell(name, events.Waived(self.shop.now))

    @precondition(lambda self: self.names(lambda saga: saga.transferred))
    @rule(which=WHICH, divisor=PARTS, number=st.integers(1, 2))
    def somebody_reverses_by_hand(self, which: int, divisor: int, number: int) -> None:
        name, saga = self.pick(which, lambda saga: saga.transferred)
        amount = part(saga.books.transferred, divisor)
        self.shop.tell(name, events.ReversalSays(self.shop.now, f"by hand {number}", amount))
