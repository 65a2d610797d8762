from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.money import BASIS_POINTS
from models.policy import (
    CancellationTier,
    PaymentPlan,
    Policy,
    Quote,
    Terms,
    cancellation_quote,
    choose_plan,
    outcome_quote,
    tier_reached,
)
from models.states import BookingStatus, ReportedOutcome, Role
from settings import PolicyDefaults

START = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
NOON_IN_BERLIN_AFTER_THE_CHANGE = datetime(2026, 10, 25, 11, 0, tzinfo=UTC)
NOON_IN_BERLIN_BEFORE_THE_CHANGE = datetime(2026, 10, 24, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WEEK = timedelta(days=7)


def quote(
    now: datetime,
    *,
    actor: Role = Role.CLIENT,
    policy: Policy | None = None,
    starts_at: datetime = START,
    zone: str = "UTC",
    amount: int = 10_000,
) -> Quote:
    return cancellation_quote(terms(policy, starts_at, zone, amount), actor, now)


def terms(
    policy: Policy | None = None,
    starts_at: datetime = START,
    zone: str = "UTC",
    amount: int = 10_000,
    **options: Any,
) -> Terms:
    return Terms(
        policy=policy or Policy(),
        amount=amount,
        currency="eur",
        starts_at=starts_at,
        zone=zone,
        **options,
    )


# --- cancelling -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before_start", "keep", "status"),
    [
        (timedelta(days=3), 0, BookingStatus.CANCELLED),
        (timedelta(hours=24), 0, BookingStatus.CANCELLED),
        (timedelta(hours=24) - SECOND, 5_000, BookingStatus.FORFEIT),
        (timedelta(0), 5_000, BookingStatus.FORFEIT),
        (-SECOND, 10_000, BookingStatus.FORFEIT),
    ],
)
def test_a_client_gets_back_what_the_first_open_tier_says(
    before_start: timedelta, keep: int, status: BookingStatus
) -> None:
    quoted = quote(START - before_start)
    assert (quoted.keep, quoted.give_back, quoted.booking_status) == (keep, 10_000 - keep, status)


@pytest.mark.parametrize("actor", [Role.PROVIDER, Role.OPS, Role.SYSTEM])
@pytest.mark.parametrize("late", [timedelta(days=3), timedelta(0), -timedelta(days=1)])
def test_nobody_but_the_client_is_charged_for_cancelling(actor: Role, late: timedelta) -> None:
    quoted = quote(START - late, actor=actor)
    assert quoted == Quote(keep=0, give_back=10_000, booking_status=BookingStatus.CANCELLED)


def test_tiers_count_on_the_providers_clock_across_a_change_of_summer_time() -> None:
    cutoff = NOON_IN_BERLIN_BEFORE_THE_CHANGE
    assert NOON_IN_BERLIN_AFTER_THE_CHANGE - cutoff == timedelta(hours=25)
    berlin: dict[str, Any] = {"starts_at": NOON_IN_BERLIN_AFTER_THE_CHANGE, "zone": "Europe/Berlin"}
    assert quote(cutoff, **berlin).keep == 0
    assert quote(cutoff + SECOND, **berlin).keep == 5_000
    elsewhere: dict[str, Any] = {"starts_at": NOON_IN_BERLIN_AFTER_THE_CHANGE, "zone": "Asia/Tokyo"}
    assert quote(cutoff + timedelta(hours=1), **elsewhere).keep == 0


def test_a_middle_tier_that_keeps_money_is_still_a_cancellation() -> None:
    tiers = (
        CancellationTier(hours_before=0, refund_bps=0),
        CancellationTier(hours_before=48, refund_bps=9_000),
    )
    policy = Policy(cancellation_tiers=tiers)
    early = quote(START - timedelta(hours=50), policy=policy)
    assert (early.keep, early.booking_status) == (1_000, BookingStatus.CANCELLED)
    late = quote(START - timedelta(hours=1), policy=policy)
    assert (late.keep, late.booking_status) == (10_000, BookingStatus.FORFEIT)


def test_without_tiers_a_client_gets_nothing_back() -> None:
    quoted = quote(START - timedelta(days=30), policy=Policy(cancellation_tiers=()))
    assert (quoted.keep, quoted.booking_status) == (10_000, BookingStatus.FORFEIT)


@given(
    amount=st.integers(1, 10**9),
    minutes=st.integers(-2_000, 10_000),
    later=st.integers(0, 5_000),
    refunds=st.lists(st.integers(0, BASIS_POINTS), max_size=5).map(lambda bps: sorted(bps, reverse=True)),
)
def test_a_quote_sums_to_the_price_and_never_improves_with_waiting(
    amount: int, minutes: int, later: int, refunds: list[int]
) -> None:
    tiers = [
        CancellationTier(hours_before=24 * (len(refunds) - place), refund_bps=bps)
        for place, bps in enumerate(refunds)
    ]
    policy = Policy(cancellation_tiers=tuple(tiers))
    now = START - timedelta(minutes=minutes)
    first = quote(now, policy=policy, amount=amount, zone="America/New_York")
    second = quote(now + timedelta(minutes=later), policy=policy, amount=amount, zone="America/New_York")
    assert first.keep + first.give_back == amount
    assert 0 <= first.give_back <= amount
    assert second.give_back <= first.give_back


def test_a_client_that_moved_its_booking_wins_no_better_tier_by_moving() -> None:
    moved = terms(refund_cap_bps=5_000)
    early = START - timedelta(days=30)
    quoted = cancellation_quote(moved, Role.CLIENT, early)
    assert (quoted.keep, quoted.give_back) == (5_000, 5_000)
    assert quoted.booking_status is BookingStatus.CANCELLED  # not the last tier of the new date
    assert tier_reached(moved, early) == 5_000
    assert tier_reached(terms(), early) == 10_000
    assert cancellation_quote(moved, Role.PROVIDER, early).keep == 0


def test_what_was_never_charged_cannot_be_kept() -> None:
    saved = terms(chargeable=False)
    for kind in ReportedOutcome:
        quoted = outcome_quote(saved, kind, Role.CLIENT, START)
        assert (quoted.keep, quoted.give_back) == (0, 10_000)
    late = cancellation_quote(saved, Role.CLIENT, START)
    assert late.booking_status is BookingStatus.CANCELLED  # a FORFEIT is money kept


@pytest.mark.parametrize(
    ("kind", "actor", "keep", "status"),
    [
        (ReportedOutcome.COMPLETED, Role.CLIENT, 10_000, BookingStatus.COMPLETED),
        (ReportedOutcome.COMPLETED, Role.SYSTEM, 10_000, BookingStatus.COMPLETED),
        (ReportedOutcome.CLIENT_NO_SHOW, Role.PROVIDER, 7_500, BookingStatus.NO_SHOW),
        (ReportedOutcome.CLIENT_NO_SHOW, Role.OPS, 7_500, BookingStatus.NO_SHOW),
        (ReportedOutcome.PROVIDER_NO_SHOW, Role.CLIENT, 0, BookingStatus.CANCELLED),
        (ReportedOutcome.CANCELLED, Role.PROVIDER, 0, BookingStatus.CANCELLED),
        (ReportedOutcome.CANCELLED, Role.CLIENT, 5_000, BookingStatus.FORFEIT),
    ],
)
def test_every_outcome_keeps_what_its_rule_says(
    kind: ReportedOutcome, actor: Role, keep: int, status: BookingStatus
) -> None:
    quoted = outcome_quote(terms(Policy(client_no_show_keep_bps=7_500)), kind, actor, START)
    assert quoted == Quote(keep=keep, give_back=10_000 - keep, booking_status=status)


# --- choosing the plan ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("past_the_limit", "plan"),
    [
        (-SECOND, PaymentPlan.AUTHORIZE_NOW),
        (timedelta(0), PaymentPlan.AUTHORIZE_NOW),
        (SECOND, PaymentPlan.AUTHORIZE_LATER),
    ],
)
def test_a_card_is_authorized_now_when_the_last_capture_fits_the_window(
    past_the_limit: timedelta, plan: PaymentPlan
) -> None:
    last_good_end = START + WEEK - timedelta(hours=12) - timedelta(hours=24)
    assert choose_plan(Policy(), last_good_end + past_the_limit, START, WEEK) is plan


def test_a_short_window_keeps_a_quarter_as_its_margin() -> None:
    window, grace = timedelta(seconds=40), timedelta(0)
    policy = Policy(completion_grace=grace)
    assert choose_plan(policy, START + timedelta(seconds=30), START, window) is PaymentPlan.AUTHORIZE_NOW
    assert choose_plan(policy, START + timedelta(seconds=31), START, window) is PaymentPlan.AUTHORIZE_LATER


def test_a_policy_that_captures_on_payment_charges_now_however_far_the_session() -> None:
    policy = Policy(capture="on_payment")
    assert choose_plan(policy, START + timedelta(days=300), START, WEEK) is PaymentPlan.CHARGE_NOW


# --- reading and refusing ---------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_design() -> None:
    assert Policy().model_dump(mode="json") == {
        "payment_window": "PT30M",
        "strict_payment_failure": False,
        "approval": "auto",
        "approval_window": "P1D",
        "capture": "on_completion",
        "authorization_lead": "P2D",
        "authorization_expiry": "capture_early",
        "completion_grace": "P1D",
        "payout_hold": "P3D",
        "payout_schedule": "automatic",
        "payout_patience": "P3D",
        "platform_fee_bps": 2000,
        "cancellation_tiers": [
            {"hours_before": 24, "refund_bps": 10_000},
            {"hours_before": 0, "refund_bps": 5_000},
        ],
        "client_no_show_keep_bps": 10_000,
        "reschedule_cutoff": "P1D",
        "min_notice": "PT0S",
        "debt_cap_bps": 5000,
        "late_payment": "retake",
        "calendar": "ics",
        "meeting": "none",
        "min_attendance": 1,
    }


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT20S", timedelta(seconds=20)),
        ("PT1H30M", timedelta(minutes=90)),
        ("P3D", timedelta(days=3)),
        ("P1W", timedelta(weeks=1)),
        ("P1DT12H", timedelta(hours=36)),
        ("PT0S", timedelta(0)),
    ],
)
def test_durations_are_iso_8601(text: str, duration: timedelta) -> None:
    policy = Policy.model_validate({"payout_hold": text})
    assert policy.payout_hold == duration
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payment_window", "-PT1S"),
        ("payout_hold", "P366D"),
        ("payout_hold", "three days"),
        ("platform_fee_bps", 10_001),
        ("platform_fee_bps", -1),
        ("platform_fee_bps", 12.5),
        ("min_attendance", 0),
        ("approval", "sometimes"),
        ("capture", "never"),
        ("no_such_rule", 1),
        ("cancellation_tiers", [{"hours_before": -1, "refund_bps": 0}]),
        ("cancellation_tiers", [{"hours_before": 1, "refund_bps": 10_001}]),
        ("cancellation_tiers", [{"hours_before": 1, "refund_bps": 1, "fee": 1}]),
        (
            "cancellation_tiers",
            [{"hours_before": 24, "refund_bps": 1}, {"hours_before": 24, "refund_bps": 2}],
        ),
        (
            "cancellation_tiers",
            [{"hours_before": 24, "refund_bps": 1}, {"hours_before": 0, "refund_bps": 2}],
        ),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({field: value})


def test_a_services_own_rule_stands_over_the_deployments_and_that_over_the_products() -> None:
    defaults = PolicyDefaults(payout_hold=timedelta(hours=1), payment_window=timedelta(minutes=5))
    policy = defaults.resolve({"payout_hold": "PT2H"})
    assert (policy.payout_hold, policy.payment_window) == (timedelta(hours=2), timedelta(minutes=5))
    assert policy.completion_grace == timedelta(hours=24)
