"""The deadlines of a booking's money: each is early enough, and none is later than what it protects."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clock import approval_due_at, authorize_at, fix_by, margin_of, renew_at
from models.policy import Policy

NOW = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPANS = st.timedeltas(timedelta(0), timedelta(days=60))


@pytest.mark.parametrize(
    ("window", "margin"),
    [
        (7 * DAY, 12 * HOUR),
        (2 * DAY, 12 * HOUR),
        (40 * HOUR, 10 * HOUR),
        (timedelta(seconds=40), timedelta(seconds=10)),
        (timedelta(0), timedelta(0)),
    ],
)
def test_the_margin_is_half_a_day_or_a_quarter_of_a_shorter_window(
    window: timedelta, margin: timedelta
) -> None:
    assert margin_of(window) == margin


@given(SPANS)
def test_an_authorization_is_renewed_while_it_still_stands_and_not_before_it_was_given(
    window: timedelta,
) -> None:
    capture_before = NOW + window
    assert NOW <= renew_at(NOW, capture_before) <= capture_before
    assert capture_before - renew_at(NOW, capture_before) <= 12 * HOUR


@pytest.mark.parametrize(
    ("starts_in", "authorized_in"),
    [(30 * DAY, 28 * DAY), (2 * DAY, timedelta(0)), (DAY, timedelta(0)), (-DAY, timedelta(0))],
)
def test_a_saved_card_is_charged_its_lead_before_the_start_or_at_once(
    starts_in: timedelta, authorized_in: timedelta
) -> None:
    assert authorize_at(Policy(), NOW + starts_in, NOW) == NOW + authorized_in


@pytest.mark.parametrize(
    ("starts_in", "fixed_in"), [(2 * DAY, DAY), (HOUR, HOUR / 2), (timedelta(0), timedelta(0))]
)
def test_half_of_what_is_left_is_the_clients_to_repair_its_card(
    starts_in: timedelta, fixed_in: timedelta
) -> None:
    assert fix_by(NOW + starts_in, NOW) == NOW + fixed_in


def test_a_card_refused_after_the_start_is_given_no_time() -> None:
    assert fix_by(NOW - DAY, NOW) == NOW


@pytest.mark.parametrize(
    ("starts_in", "authorized_for", "due_in"),
    [
        (10 * DAY, 6 * DAY, DAY),
        (3 * HOUR, 6 * DAY, 3 * HOUR),
        (10 * DAY, 2 * HOUR, 2 * HOUR),
        (10 * DAY, None, DAY),
    ],
)
def test_a_provider_is_waited_for_no_longer_than_the_start_or_the_money_allow(
    starts_in: timedelta, authorized_for: timedelta | None, due_in: timedelta
) -> None:
    until = NOW + authorized_for if authorized_for else None
    assert approval_due_at(Policy(), NOW, NOW + starts_in, until) == NOW + due_in


@given(SPANS, SPANS, SPANS)
def test_an_approval_is_never_awaited_past_its_authorization(
    window: timedelta, starts_in: timedelta, authorized_for: timedelta
) -> None:
    until = NOW + authorized_for
    due = approval_due_at(Policy(approval_window=window), NOW, NOW + starts_in, until)
    assert due <= min(until, NOW + starts_in)
