"""What a booking's money divides into, and what the provider has still to get or to give back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.books import Books, Division, Recovery, Restitution, netting, recovery, repay, restitution
from models.money import BASIS_POINTS, share, step

AMOUNTS = st.integers(0, 10**12)
BPS = st.integers(0, BASIS_POINTS)
CURRENCIES = st.sampled_from(["eur", "jpy", "kwd"])
BOOKS = st.builds(
    Books,
    currency=CURRENCIES,
    fee_bps=BPS,
    captured=AMOUNTS,
    refunded=AMOUNTS,
    disputed=AMOUNTS,
    transferred=AMOUNTS,
    reversed=AMOUNTS,
    netted=AMOUNTS,
    raised=AMOUNTS,
    waived=AMOUNTS,
    allocated=st.booleans(),
)


def books(**figures: Any) -> Books:
    return Books(currency="eur", fee_bps=2_000, captured=10_000, **figures)


@pytest.mark.fault("M2")
@given(BOOKS)
def test_what_is_kept_is_the_platforms_and_the_providers_less_what_was_lost(any_books: Books) -> None:
    parts = any_books.division
    assert parts.platform_fee + parts.provider_share - parts.loss == any_books.kept
    assert min(parts.platform_fee, parts.provider_share, parts.loss) >= 0


@pytest.mark.fault("M2")
@given(BOOKS)
def test_the_identity_holds_whatever_happened(any_books: Books) -> None:
    divided = any_books.model_copy(update={"allocated": True})
    platform_net = divided.division.platform_fee - divided.division.loss + divided.waived
    assert divided.captured == (
        divided.refunded
        + divided.disputed
        + platform_net
        + divided.transferred
        - divided.reversed
        + divided.netted
        - divided.raised
        + divided.held
    )


def test_until_it_is_divided_everything_kept_is_held() -> None:
    assert books(refunded=1_000).held == 9_000
    assert books(refunded=1_000, allocated=True, transferred=7_200).held == 0


def test_money_that_went_back_twice_is_the_platforms_loss_and_the_provider_gives_back_all() -> None:
    twice = books(refunded=10_000, disputed=10_000, allocated=True, transferred=8_000)
    assert twice.division == Division(platform_fee=0, provider_share=0, loss=10_000)
    assert twice.due == -8_000


@pytest.mark.parametrize(
    ("reversible", "available", "expected"),
    [
        (8_000, 9_000, Recovery(reverse=4_000, owe=0)),
        (8_000, 1_500, Recovery(reverse=1_500, owe=2_500)),
        (1_000, 9_000, Recovery(reverse=1_000, owe=3_000)),
        (8_000, 0, Recovery(reverse=0, owe=4_000)),
        (8_000, -500, Recovery(reverse=0, owe=4_000)),
    ],
)
def test_what_cannot_be_reversed_is_owed(reversible: int, available: int, expected: Recovery) -> None:
    half_refunded = books(refunded=5_000, allocated=True, transferred=8_000)
    assert recovery(half_refunded, reversible, available) == expected


@pytest.mark.fault("M2")
@given(BOOKS, AMOUNTS, st.integers(-(10**12), 10**12))
def test_a_recovery_is_just_what_is_missing_and_never_more_than_there_is(
    any_books: Books, reversible: int, available: int
) -> None:
    found = recovery(any_books, reversible, available)
    assert found.reverse + found.owe == max(-any_books.due, 0)
    assert 0 <= found.reverse <= max(min(reversible, available), 0)
    assert found.reverse % step(any_books.currency) == 0
    assert found.owe >= 0


@pytest.mark.fault("M2")
@given(BOOKS, AMOUNTS)
def test_after_a_recovery_the_provider_owes_this_booking_nothing_more(
    any_books: Books, available: int
) -> None:
    found = recovery(any_books, 10**12, available)
    after = any_books.model_copy(
        update={"reversed": any_books.reversed + found.reverse, "raised": any_books.raised + found.owe}
    )
    assert after.due == max(any_books.due, 0)


@pytest.mark.parametrize(
    ("due", "debt", "cap", "netted"),
    [(8_000, 3_000, 5_000, 3_000), (8_000, 9_000, 5_000, 4_000), (8_000, 9_000, 0, 0), (-1, 9_000, 5_000, 0)],
)
def test_a_debt_takes_at_most_its_part_of_a_payout(due: int, debt: int, cap: int, netted: int) -> None:
    assert netting(due, debt, cap, "eur") == netted


@pytest.mark.fault("M2")
@given(AMOUNTS, AMOUNTS, BPS, CURRENCIES)
def test_netting_leaves_the_provider_what_the_cap_protects(
    due: int, debt: int, cap: int, currency: str
) -> None:
    taken = netting(due, debt, cap, currency)
    assert 0 <= taken <= min(debt, due)
    assert due - taken >= due - share(due, cap, currency)


@pytest.mark.parametrize(
    ("owed", "expected"),
    [
        (0, Restitution(forgive=0, transfer=8_000)),
        (3_000, Restitution(forgive=3_000, transfer=5_000)),
        (9_000, Restitution(forgive=8_000, transfer=0)),
    ],
)
def test_a_debt_is_forgiven_before_anything_is_transferred_again(owed: int, expected: Restitution) -> None:
    won = books(allocated=True, transferred=8_000, reversed=8_000)
    assert restitution(won, owed) == expected


def test_who_has_enough_gets_nothing_back_and_what_ops_waived_is_not_due() -> None:
    assert restitution(books(allocated=True, transferred=8_000), 500) == Restitution(forgive=0, transfer=0)
    waived = books(allocated=True, transferred=8_000, reversed=8_000, waived=8_000)
    assert (waived.due, waived.held) == (0, 0)


@pytest.mark.fault("M2")
@given(st.lists(st.integers(1, 10**6), max_size=6), AMOUNTS)
def test_debts_are_paid_in_turn_and_never_more_than_they_are(debts: list[int], amount: int) -> None:
    paid = repay(debts, amount)
    assert sum(paid) == min(amount, sum(debts))
    partly = [place for place, (debt, part) in enumerate(zip(debts, paid, strict=True)) if part < debt]
    assert all(paid[place] == 0 for place in partly[1:])
