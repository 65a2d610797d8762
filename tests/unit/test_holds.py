"""Freezing keeps what is left of a hold, thawing lets just that run on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.books import Books
from models.holds import FREEZABLE, Hold, follow, freeze, payment_after, payout_after, thaw
from models.states import PAYOUT_MOVES, PaymentStatus, PayoutStatus

NOW = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
SPANS = st.timedeltas(timedelta(0), timedelta(days=30))


@given(SPANS, SPANS, SPANS)
def test_a_hold_that_was_frozen_lasts_as_long_as_it_would_have(
    hold: timedelta, after: timedelta, frozen: timedelta
) -> None:
    held = Hold(PayoutStatus.HELD, NOW + hold)
    stopped = freeze(held, NOW + after)
    going = thaw(stopped, NOW + after + frozen)
    assert (stopped.status, going.status) == (PayoutStatus.FROZEN, PayoutStatus.HELD)
    exact = max(held.due_at, NOW + after) + frozen
    assert exact <= going.due_at < exact + timedelta(seconds=1)
    assert going.frozen_seconds is None


@pytest.mark.parametrize("status", PayoutStatus)
def test_freezing_and_thawing_are_legal_moves_and_happen_once(status: PayoutStatus) -> None:
    hold = Hold(status, NOW)
    stopped, going = freeze(hold, NOW), thaw(hold, NOW)
    for changed in (stopped, going):
        assert changed == hold or changed.status in PAYOUT_MOVES[status]
    assert freeze(stopped, NOW + timedelta(days=1)) == stopped
    assert thaw(going, NOW + timedelta(days=1)) == going
    assert (stopped.status is PayoutStatus.FROZEN) == (status in {*FREEZABLE, PayoutStatus.FROZEN})


def test_a_blocked_payout_was_due_already_and_is_blocked_again_when_it_thaws() -> None:
    blocked = Hold(PayoutStatus.BLOCKED, NOW)
    stopped = freeze(blocked, NOW + timedelta(days=2))
    assert stopped.frozen_seconds == 0
    thawed = thaw(stopped, NOW + timedelta(days=9))
    assert (thawed.status, thawed.due_at, thawed.frozen_seconds) == (PayoutStatus.BLOCKED, NOW, None)


@pytest.mark.parametrize(
    ("refunded", "status"),
    [
        (0, PaymentStatus.CAPTURED),
        (1, PaymentStatus.PARTIALLY_REFUNDED),
        (9_999, PaymentStatus.PARTIALLY_REFUNDED),
        (10_000, PaymentStatus.REFUNDED),
    ],
)
def test_a_payment_says_how_much_of_it_went_back(refunded: int, status: PaymentStatus) -> None:
    books = Books(currency="eur", fee_bps=0, captured=10_000, refunded=refunded)
    assert payment_after(books) is status


@pytest.mark.parametrize(
    ("taken_back", "status"),
    [
        (0, PayoutStatus.PAID),
        (1, PayoutStatus.PARTIALLY_REVERSED),
        (8_000, PayoutStatus.REVERSED),
    ],
)
def test_a_payout_says_how_much_of_it_came_back(taken_back: int, status: PayoutStatus) -> None:
    books = Books(currency="eur", fee_bps=2_000, captured=10_000, transferred=8_000, reversed=taken_back)
    assert payout_after(books) is status


@pytest.mark.parametrize(
    ("kept", "disputed", "objected", "status"),
    [
        (10_000, False, False, PayoutStatus.HELD),
        (10_000, True, False, PayoutStatus.FROZEN),
        (10_000, False, True, PayoutStatus.FROZEN),
        (0, False, False, PayoutStatus.CANCELLED),
        (0, False, True, PayoutStatus.CANCELLED),
        (0, True, False, PayoutStatus.FROZEN),
    ],
)
@pytest.mark.parametrize("before", [PayoutStatus.HELD, PayoutStatus.FROZEN])
def test_a_coming_payout_follows_what_is_kept_and_who_contests(
    kept: int, status: PayoutStatus, before: PayoutStatus, *, disputed: bool, objected: bool
) -> None:
    books = Books(currency="eur", fee_bps=2_000, captured=10_000, refunded=10_000 - kept)
    assert follow(Hold(before, NOW), books, NOW, disputed=disputed, objected=objected).status is status


def test_a_payout_that_is_on_its_way_follows_nothing() -> None:
    paid = Hold(PayoutStatus.PAID, NOW)
    assert follow(paid, Books(currency="eur", fee_bps=0), NOW, disputed=True, objected=True) == paid
