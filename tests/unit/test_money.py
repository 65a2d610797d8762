import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.money import BASIS_POINTS, THREE_DECIMAL, ZERO_DECIMAL, display, exponent, share, split, step

AMOUNTS = st.integers(0, 10**14)
BPS = st.integers(0, BASIS_POINTS)
CURRENCIES = st.sampled_from(["eur", "usd", "jpy", "KRW", "kwd", "BHD"])
thoroughly = settings(max_examples=10_000)
"""Arithmetic is cheap to try, and a cent that is lost is lost in every booking."""


@pytest.mark.fault("M2")
@thoroughly
@given(AMOUNTS, BPS, CURRENCIES)
def test_fee_and_share_sum_to_what_was_kept(amount: int, bps: int, currency: str) -> None:
    parts = split(amount, bps, currency)
    assert parts.platform_fee + parts.provider_share == amount
    assert 0 <= parts.platform_fee <= amount


@pytest.mark.fault("M2")
@given(AMOUNTS, BPS, CURRENCIES)
def test_the_fee_is_the_largest_movable_amount_within_its_basis_points(
    amount: int, bps: int, currency: str
) -> None:
    fee = share(amount, bps, currency)
    assert fee % step(currency) == 0
    assert fee * BASIS_POINTS <= amount * bps < (fee + step(currency)) * BASIS_POINTS


@pytest.mark.fault("M2")
@thoroughly
@given(AMOUNTS, AMOUNTS, BPS, CURRENCIES)
def test_a_larger_amount_never_has_a_smaller_fee(one: int, other: int, bps: int, currency: str) -> None:
    low, high = sorted((one, other))
    assert share(low, bps, currency) <= share(high, bps, currency)


@pytest.mark.fault("M2")
@given(AMOUNTS, BPS, BPS, CURRENCIES)
def test_more_basis_points_never_make_a_smaller_fee(amount: int, one: int, other: int, currency: str) -> None:
    low, high = sorted((one, other))
    assert share(amount, low, currency) <= share(amount, high, currency)


@pytest.mark.fault("M2")
@given(AMOUNTS, CURRENCIES)
def test_nothing_and_everything_are_possible_fees(amount: int, currency: str) -> None:
    assert split(amount, 0, currency).provider_share == amount
    whole = amount - amount % step(currency)
    assert split(whole, BASIS_POINTS, currency).platform_fee == whole


@pytest.mark.fault("M2")
@given(AMOUNTS, AMOUNTS, BPS, CURRENCIES)
def test_what_is_given_back_never_raises_the_fee_or_the_share_by_more_than_a_step(
    one: int, other: int, bps: int, currency: str
) -> None:
    less, more = (split(kept, bps, currency) for kept in sorted((one, other)))
    assert less.platform_fee <= more.platform_fee
    # Both are floored to what can be moved, so the share may wobble by one step, never by more.
    assert less.provider_share < more.provider_share + step(currency)


@pytest.mark.fault("M2")
@pytest.mark.parametrize(
    ("kept", "bps", "currency", "fee", "provider"),
    [
        (12_000, 2000, "eur", 2_400, 9_600),
        (9_999, 2000, "eur", 1_999, 8_000),
        (1, 2000, "eur", 0, 1),
        (4_999, 1500, "jpy", 749, 4_250),
        (12_345, 2000, "kwd", 2_460, 9_885),
    ],
)
def test_known_divisions(kept: int, bps: int, currency: str, fee: int, provider: int) -> None:
    parts = split(kept, bps, currency)
    assert (parts.platform_fee, parts.provider_share) == (fee, provider)


@pytest.mark.fault("M2")
@pytest.mark.parametrize(("amount", "bps"), [(-1, 100), (100, -1), (100, 10_001)])
def test_a_share_that_cannot_exist_is_refused(amount: int, bps: int) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        share(amount, bps, "eur")


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (12_000, "eur", "120.00 EUR"),
        (5, "usd", "0.05 USD"),
        (0, "eur", "0.00 EUR"),
        (-1_234, "eur", "-12.34 EUR"),
        (4_000, "jpy", "4000 JPY"),
        (0, "KRW", "0 KRW"),
        (12_340, "kwd", "12.340 KWD"),
        (-10, "BHD", "-0.010 BHD"),
    ],
)
def test_amounts_are_shown_with_the_decimals_of_their_currency(
    amount: int, currency: str, shown: str
) -> None:
    assert display(amount, currency) == shown


def test_no_currency_has_both_no_and_three_decimals() -> None:
    assert ZERO_DECIMAL.isdisjoint(THREE_DECIMAL)
    assert {exponent(code.lower()) for code in ZERO_DECIMAL} == {0}
    assert {(exponent(code.lower()), step(code)) for code in THREE_DECIMAL} == {(3, 10)}
    assert (exponent("eur"), step("eur")) == (2, 1)
