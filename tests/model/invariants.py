"""What must hold of every booking, whatever happened to it (FAULTS section 1)."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from models.ledger import Account, JournalKind, Side
from models.money import split, step
from models.saga.standing import MOVES, Saga
from models.states import (
    PAYOUT_OPEN,
    BookingStatus,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    SessionStatus,
)

KEEPS_NOTHING_BUT = frozenset({BookingStatus.CANCELLED, BookingStatus.REJECTED, BookingStatus.FORFEIT})


def accounts(saga: Saga) -> Counter[Account]:
    """Debits less credits, summed up here and not by the code that is tried."""
    sums: Counter[Account] = Counter()
    for journal in saga.journals:
        for line in journal.lines:
            sums[line.account] += line.amount if line.side is Side.DEBIT else -line.amount
    return sums


def check(saga: Saga) -> None:
    """Every invariant of one booking."""
    journals_balance(saga)
    identity_holds(saga)
    provider_has_no_more_than_its_share(saga)
    refunds_stay_within_what_was_captured(saga)
    if saga.ended:
        end_is_tidy(saga)


def journals_balance(saga: Saga) -> None:
    """I1, and that an amount is something that Stripe can move."""
    for journal in saga.journals:
        assert sum(one.amount if one.side is Side.DEBIT else -one.amount for one in journal.lines) == 0
        assert all(line.amount > 0 for line in journal.lines)
        assert all(line.amount % step(saga.currency) == 0 for line in journal.lines)
    names = Counter((journal.kind, journal.reference) for journal in saga.journals)
    assert all(count == 1 for count in names.values())


def identity_holds(saga: Saga) -> None:
    """I2: captured = refunded + disputed + platform net + transferred - reversed + netted - raised + held."""
    books, sums = saga.books, accounts(saga)
    net = -sums[Account.PLATFORM_REVENUE] - sums[Account.DISPUTE_LOSSES]
    held = -sums[Account.HELD] - sums[Account.PROVIDER_PAYABLE]
    outgoing = books.refunded + books.disputed + books.transferred - books.reversed
    debts = books.netted - books.raised
    assert sums[Account.PROVIDER_DEBT] == -debts
    assert sums[Account.STRIPE_BALANCE] == books.captured - outgoing
    assert books.captured == outgoing + net + debts + held
    if books.allocated or saga.payout is not PayoutStatus.HELD:
        assert books.held == held


def provider_has_no_more_than_its_share(saga: Saga) -> None:
    """I3: what it was given is never more than its share of the whole; no second transfer without a reason."""
    books = saga.books
    whole = split(books.captured, books.fee_bps, saga.currency).provider_share if books.captured else 0
    assert books.transferred - books.reversed + books.netted - books.raised <= whole
    assert books.reversed <= books.transferred == sum(saga.transfers)
    mended = {JournalKind.REVERSAL, JournalKind.DEBT, JournalKind.REFUND_FAILURE, JournalKind.DISPUTE}
    reasons = sum(journal.kind in mended for journal in saga.journals)
    assert len(saga.transfers) + (saga.in_flight is not None) <= 1 + reasons
    assert 0 <= sum(saga.repaid.values()) <= books.raised


def refunds_stay_within_what_was_captured(saga: Saga) -> None:
    """I11; and after the transfer a refund is reversed, owed, or known to be still missing."""
    books = saga.books
    assert 0 <= books.refunded <= books.captured <= saga.amount
    given = sum(one.amount for one in saga.refunds.values() if one.status is not RefundStatus.FAILED)
    assert given == books.refunded
    if saga.transferred:
        assert saga.unbalanced or books.due == 0


def end_is_tidy(saga: Saga) -> None:
    """I4 and the identity's `held`: nothing authorized, nothing held, nothing kept beyond the decision."""
    assert saga.decision is not None
    assert saga.booking is saga.decision.status
    assert saga.payment not in {PaymentStatus.AUTHORIZED, PaymentStatus.SAVED, PaymentStatus.PENDING}
    assert saga.payment is not PaymentStatus.PROCESSING
    assert PaymentStatus.AUTHORIZED not in saga.past_payments
    assert saga.session in {SessionStatus.COMPLETED, SessionStatus.CANCELLED}
    came_back = sum(one.amount for one in saga.refunds.values() if one.status is RefundStatus.FAILED)
    if saga.booking in KEEPS_NOTHING_BUT:
        assert saga.books.kept <= saga.decision.keep + came_back
    if saga.booking is BookingStatus.COMPLETED:
        assert saga.payment is not PaymentStatus.EXPIRED
    quiet = saga.payout not in PAYOUT_OPEN and not saga.unbalanced
    if quiet and not came_back:
        assert saga.books.held == 0


def check_step(before: Saga, after: Saga, at: datetime) -> None:
    """What no single event may do (I7, I8, and that a contested payout stays where it is)."""
    for name in ("session", "booking", "payment", "payout"):
        legal(getattr(before, name), getattr(after, name))
    for facts in ("refunds", "disputes"):
        for key, known in getattr(before, facts).items():
            legal(known.status, getattr(after, facts)[key].status)
    assert after.journals[: len(before.journals)] == before.journals
    if before.hold is None and after.hold is not None:
        assert after.hold.due_at >= at + after.policy.payout_hold
    if before.decision is not None and after.payment is not PaymentStatus.EXPIRED:
        assert after.decision == before.decision
    leaves = after.in_flight is not None and before.in_flight is None
    if leaves:
        assert after.in_flight == after.books.due
    if leaves and before.waits_to_be_paid:
        assert before.payout is not PayoutStatus.FROZEN
        assert not before.objected
        assert not before.disputed
        assert before.hold is not None
        assert at >= before.hold.due_at


def legal(source: StrEnum | None, target: StrEnum | None) -> None:
    """One event may go through a state, never against an edge, and never leave a terminal one."""
    if source is None or source is target:
        return
    moves = MOVES[type(source)]
    assert target in moves[source] | {end for via in moves[source] for end in moves[via]}


def check_debts(sagas: Iterable[Saga]) -> None:
    """What was netted from some bookings has paid the debts of others, to the cent; per currency."""
    netted, repaid = Counter[str](), Counter[str]()
    for saga in sagas:
        netted[saga.currency] += saga.books.netted
        repaid[saga.currency] += sum(saga.repaid.values())
    assert netted == repaid
