"""Each journal to the letter: what goes into which account, and every column of its rows.

That all of them balance (`test_ledger_lines.py`) does not say that they name the right accounts.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from models import ledger
from models.books import Books, Division, netting
from models.holds import Hold, follow, freeze, seconds_left
from models.ledger import Account, JournalKind, Line, Side
from models.money import share
from models.states import PayoutStatus

BOOKING = UUID("11111111-2222-4333-8444-555555555555")
DUE = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("journal", "amount", "debited", "credited"),
    [
        (ledger.capture, 7, Account.STRIPE_BALANCE, Account.HELD),
        (ledger.stripe_fee, 7, Account.STRIPE_FEES, Account.STRIPE_BALANCE),
        (ledger.dispute_fee, 7, Account.DISPUTE_LOSSES, Account.STRIPE_BALANCE),
        (ledger.dispute_fee, -7, Account.STRIPE_BALANCE, Account.DISPUTE_LOSSES),
        (ledger.transfer, 7, Account.PROVIDER_PAYABLE, Account.STRIPE_BALANCE),
        (ledger.reversal, 7, Account.STRIPE_BALANCE, Account.PROVIDER_PAYABLE),
        (ledger.netting, 7, Account.PROVIDER_PAYABLE, Account.PROVIDER_DEBT),
        (ledger.debt, 7, Account.PROVIDER_DEBT, Account.PROVIDER_PAYABLE),
        (ledger.debt_relief, 7, Account.PROVIDER_PAYABLE, Account.PROVIDER_DEBT),
        (ledger.waiver, 7, Account.PROVIDER_PAYABLE, Account.PLATFORM_REVENUE),
        (ledger.waiver, -7, Account.PLATFORM_REVENUE, Account.PROVIDER_PAYABLE),
    ],
)
def test_a_journal_of_two_lines_names_both_accounts(
    journal: Callable[[int], tuple[Line, ...]], amount: int, debited: Account, credited: Account
) -> None:
    assert set(journal(amount)) == {Line(Side.DEBIT, debited, 7), Line(Side.CREDIT, credited, 7)}


def test_a_division_empties_the_hold_into_the_platforms_and_the_providers_part() -> None:
    assert set(ledger.allocation(Division(platform_fee=2, provider_share=5))) == {
        Line(Side.DEBIT, Account.HELD, 7),
        Line(Side.CREDIT, Account.PLATFORM_REVENUE, 2),
        Line(Side.CREDIT, Account.PROVIDER_PAYABLE, 5),
    }


def test_a_row_says_all_that_its_journal_knows() -> None:
    rows = ledger.entries(JournalKind.CAPTURE, BOOKING, "jpy", ledger.capture(7), "ch_1")
    told = [
        (row.kind, row.booking_id, row.account, row.side, row.amount, row.currency, row.stripe_object_id)
        for row in rows
    ]
    assert told == [
        (JournalKind.CAPTURE, BOOKING, Account.STRIPE_BALANCE, Side.DEBIT, 7, "jpy", "ch_1"),
        (JournalKind.CAPTURE, BOOKING, Account.HELD, Side.CREDIT, 7, "jpy", "ch_1"),
    ]


def test_without_journals_the_books_are_empty() -> None:
    assert ledger.books_from({}, "eur", 2_000) == Books(currency="eur", fee_bps=2_000)


@pytest.mark.parametrize(
    ("kind", "at_stripe", "field", "amount"),
    [
        (JournalKind.CAPTURE, 7, "captured", 7),
        (JournalKind.REFUND, -7, "refunded", 7),
        (JournalKind.REFUND_FAILURE, 7, "refunded", -7),
        (JournalKind.DISPUTE, -7, "disputed", 7),
        (JournalKind.DISPUTE, 7, "disputed", -7),
        (JournalKind.TRANSFER, -7, "transferred", 7),
        (JournalKind.REVERSAL, 7, "reversed", 7),
    ],
)
def test_what_moved_at_stripe_is_read_back_as_what_it_was(
    kind: JournalKind, at_stripe: int, field: str, amount: int
) -> None:
    read = ledger.books_from({(kind, Account.STRIPE_BALANCE): at_stripe}, "eur", 2_000)
    assert read == Books(currency="eur", fee_bps=2_000).model_copy(update={field: amount})


def test_only_a_division_makes_the_books_divided() -> None:
    assert ledger.books_from({(JournalKind.ALLOCATION, Account.HELD): 7}, "eur", 2_000).allocated


def test_a_share_of_more_than_a_float_can_tell_apart_is_exact() -> None:
    assert share(2**60 + 1, 10_000, "eur") == 2**60 + 1


def test_a_share_of_nothing_nets_nothing() -> None:
    assert netting(debt=5, due=0, cap_bps=10_000, currency="eur") == 0


@pytest.mark.parametrize(("before", "left"), [(1_500_000, 2), (1_000_000, 1), (1, 1), (0, 0), (-1, 0)])
def test_what_is_left_of_a_hold_is_whole_seconds_and_never_less_than_there_is(before: int, left: int) -> None:
    found = seconds_left(DUE, DUE - timedelta(microseconds=before))
    assert (found, type(found)) == (left, int)


def test_a_blocked_payout_is_frozen_with_nothing_left_though_its_time_is_still_to_come() -> None:
    frozen = freeze(Hold(PayoutStatus.BLOCKED, DUE), DUE - timedelta(hours=1))
    assert frozen == Hold(PayoutStatus.FROZEN, DUE, frozen_seconds=0, blocked=True)


def test_a_frozen_payout_that_is_called_off_forgets_what_was_left_of_it() -> None:
    nothing_kept = Books(currency="eur", fee_bps=2_000, captured=100, refunded=100)
    frozen = Hold(PayoutStatus.FROZEN, DUE, frozen_seconds=60)
    ended = follow(frozen, nothing_kept, DUE, disputed=False, objected=False)
    assert ended == Hold(PayoutStatus.CANCELLED, DUE)
