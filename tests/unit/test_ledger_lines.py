"""Journals: what each fact writes, that it balances, and that it can only be written once."""

from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from models import ledger
from models.books import Books, Division
from models.ledger import Account, JournalKind, LedgerEntry, Line, Side

BOOKING = UUID("11111111-2222-4333-8444-555555555555")
AMOUNTS = st.integers(0, 10**14)
BPS = st.integers(0, 10_000)
CURRENCIES = st.sampled_from(["eur", "jpy", "kwd"])
BOOKS = st.builds(
    Books,
    currency=CURRENCIES,
    fee_bps=BPS,
    captured=AMOUNTS,
    refunded=AMOUNTS,
    disputed=AMOUNTS,
    allocated=st.booleans(),
)


def balance(lines: tuple[Line, ...]) -> int:
    return sum(line.amount if line.side is Side.DEBIT else -line.amount for line in lines)


def totals(*journals: tuple[Line, ...]) -> Counter[Account]:
    """Debits less credits of every account."""
    sums: Counter[Account] = Counter()
    for line in (line for lines in journals for line in lines):
        sums[line.account] += line.amount if line.side is Side.DEBIT else -line.amount
    return sums


@given(AMOUNTS, BOOKS)
def test_every_journal_balances_and_no_line_is_negative(amount: int, books: Books) -> None:
    journals = [
        ledger.capture(amount),
        ledger.stripe_fee(amount),
        ledger.dispute_fee(amount),
        ledger.dispute_fee(-amount),
        ledger.allocation(books.division),
        ledger.transfer(amount),
        ledger.reversal(amount),
        ledger.netting(amount),
        ledger.debt(amount),
        ledger.debt_relief(amount),
        ledger.waiver(amount),
    ]
    assert [balance(lines) for lines in journals] == [0] * len(journals)
    assert all(line.amount >= 0 for lines in journals for line in lines)


@given(BOOKS, AMOUNTS, AMOUNTS)
def test_a_shift_balances_and_moves_just_what_left_or_came_back(
    before: Books, refunded: int, disputed: int
) -> None:
    after = before.model_copy(update={"refunded": refunded, "disputed": disputed})
    lines = ledger.shift(before, after)
    assert balance(lines) == 0
    assert all(line.amount >= 0 for line in lines)
    assert totals(lines)[Account.STRIPE_BALANCE] == after.kept - before.kept


@given(BOOKS, AMOUNTS)
def test_before_the_division_the_hold_bears_a_shift_down_to_nothing(before: Books, refunded: int) -> None:
    held = before.model_copy(update={"allocated": False})
    after = held.model_copy(update={"refunded": refunded})
    sums = totals(ledger.shift(held, after))
    assert sums[Account.HELD] == max(held.kept, 0) - max(after.kept, 0)
    assert set(sums) <= {Account.STRIPE_BALANCE, Account.HELD, Account.DISPUTE_LOSSES}


@given(BOOKS, AMOUNTS, AMOUNTS)
def test_after_the_division_a_shift_leaves_everybody_what_a_division_now_would_give(
    before: Books, refunded: int, disputed: int
) -> None:
    divided = before.model_copy(update={"allocated": True})
    after = divided.model_copy(update={"refunded": refunded, "disputed": disputed})
    shifted = totals(ledger.allocation(divided.division), ledger.shift(divided, after))
    anew = totals(ledger.allocation(after.division))
    for account in (Account.PLATFORM_REVENUE, Account.PROVIDER_PAYABLE):
        assert shifted[account] == anew[account]
    assert shifted[Account.DISPUTE_LOSSES] == after.division.loss - divided.division.loss


def test_what_leaves_twice_is_a_loss_at_once_and_never_a_hold_below_zero() -> None:
    refunded = Books(currency="eur", fee_bps=2_000, captured=10_000, refunded=9_000)
    disputed = refunded.model_copy(update={"disputed": 10_000})
    gone = totals(ledger.shift(refunded, disputed))
    assert gone == {
        Account.STRIPE_BALANCE: -10_000,
        Account.HELD: 1_000,
        Account.DISPUTE_LOSSES: 9_000,
    }
    assert disputed.held == 0
    back = totals(ledger.shift(refunded, disputed), ledger.shift(disputed, refunded))
    assert set(back.values()) == {0}


@given(AMOUNTS, AMOUNTS, BPS, CURRENCIES)
def test_a_booking_that_was_paid_out_holds_nothing_and_owes_nothing(
    one: int, other: int, bps: int, currency: str
) -> None:
    refunded, captured = sorted((one, other))
    before = Books(currency=currency, fee_bps=bps, captured=captured)
    after = before.model_copy(update={"refunded": refunded})
    parts = after.division
    sums = totals(
        ledger.capture(captured),
        ledger.shift(before, after),
        ledger.allocation(parts),
        ledger.transfer(parts.provider_share),
    )
    assert sums[Account.HELD] == sums[Account.PROVIDER_PAYABLE] == 0
    assert sums[Account.STRIPE_BALANCE] == -sums[Account.PLATFORM_REVENUE] == parts.platform_fee


def rows(amount: int, object_id: str | None = "ch_1", reference: str | None = None) -> list[LedgerEntry]:
    lines = ledger.capture(amount)
    return ledger.entries(JournalKind.CAPTURE, BOOKING, "eur", lines, object_id, reference=reference)


def test_the_same_fact_has_the_same_journal_and_another_fact_another() -> None:
    assert rows(5)[0].journal_id == rows(5)[0].journal_id
    assert rows(5)[0].journal_id != rows(5, "ch_2")[0].journal_id
    assert rows(5)[0].journal_id != rows(5, None)[0].journal_id


def test_a_fact_without_a_stripe_object_is_named_for_our_row_of_it() -> None:
    named = {rows(5, None, reference)[0].journal_id for reference in (None, "row-1", "row-2")}
    assert len(named) == 3
    assert rows(5, "ch_1", "row-1")[0].journal_id == rows(5, "ch_1")[0].journal_id
    assert rows(5, None, "row-1")[0].stripe_object_id is None


def test_lines_are_numbered_and_lines_of_nothing_are_left_out() -> None:
    assert [(entry.line, entry.account) for entry in rows(5)] == [(1, "stripe_balance"), (2, "held")]
    assert rows(0) == []
    whole_fee = Division(platform_fee=7, provider_share=0)
    entries = ledger.entries(JournalKind.ALLOCATION, BOOKING, "eur", ledger.allocation(whole_fee))
    assert [(entry.line, entry.account, entry.amount) for entry in entries] == [
        (1, "held", 7),
        (2, "platform_revenue", 7),
    ]


def test_the_books_are_read_back_from_what_the_journals_wrote() -> None:
    facts = Books(currency="eur", fee_bps=2_000, captured=10_000)
    half = facts.model_copy(update={"refunded": 5_000, "allocated": True})
    written: dict[JournalKind, tuple[Line, ...]] = {
        JournalKind.CAPTURE: ledger.capture(10_000),
        JournalKind.ALLOCATION: ledger.allocation(facts.division),
        JournalKind.NETTING: ledger.netting(1_000),
        JournalKind.TRANSFER: ledger.transfer(7_000),
        JournalKind.REFUND: ledger.shift(facts.model_copy(update={"allocated": True}), half),
        JournalKind.REVERSAL: ledger.reversal(2_500),
        JournalKind.DEBT: ledger.debt(1_500),
        JournalKind.DEBT_RELIEF: ledger.debt_relief(500),
        JournalKind.WAIVER: ledger.waiver(300),
    }
    sums = {
        (kind, account): total for kind, lines in written.items() for account, total in totals(lines).items()
    }
    assert ledger.books_from(sums, "eur", 2_000) == half.model_copy(
        update={"netted": 1_000, "transferred": 7_000, "reversed": 2_500, "raised": 1_000, "waived": 300}
    )
