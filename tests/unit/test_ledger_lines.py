from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from models import ledger
from models.ledger import JournalKind, LedgerEntry, Line, Side
from models.money import split

BOOKING = UUID("11111111-2222-4333-8444-555555555555")
AMOUNTS = st.integers(0, 10**14)
BPS = st.integers(0, 10_000)


def balance(lines: tuple[Line, ...]) -> int:
    return sum(line.amount if line.side is Side.DEBIT else -line.amount for line in lines)


@given(AMOUNTS, BPS)
def test_every_journal_balances(amount: int, bps: int) -> None:
    parts = split(amount, bps, "eur")
    journals = [
        ledger.capture(amount),
        ledger.stripe_fee(amount),
        ledger.refund(amount),
        ledger.transfer(amount),
        ledger.allocation(parts.platform_fee, parts.provider_share),
    ]
    assert [balance(lines) for lines in journals] == [0] * len(journals)


@given(AMOUNTS, AMOUNTS, BPS)
def test_a_booking_that_was_paid_out_holds_nothing_and_owes_nothing(one: int, other: int, bps: int) -> None:
    refunded, captured = sorted((one, other))
    parts = split(captured - refunded, bps, "eur")
    totals: Counter[str] = Counter()
    for lines in (
        ledger.capture(captured),
        ledger.refund(refunded),
        ledger.allocation(parts.platform_fee, parts.provider_share),
        ledger.transfer(parts.provider_share),
    ):
        for line in lines:
            totals[line.account] += line.amount if line.side is Side.DEBIT else -line.amount
    assert totals["held"] == totals["provider_payable"] == 0
    assert totals["stripe_balance"] == -totals["platform_revenue"] == parts.platform_fee


def rows(amount: int, object_id: str | None = "ch_1") -> list[LedgerEntry]:
    return ledger.entries(JournalKind.CAPTURE, BOOKING, "eur", ledger.capture(amount), object_id)


def test_the_same_fact_has_the_same_journal_and_another_fact_another() -> None:
    assert rows(5)[0].journal_id == rows(5)[0].journal_id
    assert rows(5)[0].journal_id != rows(5, "ch_2")[0].journal_id
    assert rows(5)[0].journal_id != rows(5, None)[0].journal_id


def test_lines_are_numbered_and_lines_of_nothing_are_left_out() -> None:
    assert [(entry.line, entry.account) for entry in rows(5)] == [(1, "stripe_balance"), (2, "held")]
    assert rows(0) == []
    whole_fee = ledger.entries(JournalKind.ALLOCATION, BOOKING, "eur", ledger.allocation(7, 0))
    assert [(entry.line, entry.account, entry.amount) for entry in whole_fee] == [
        (1, "held", 7),
        (2, "platform_revenue", 7),
    ]
