from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.availability import OpeningHours, Span, free_slots, is_open

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
AROUND_THE_CLOCK = [OpeningHours(weekday=day, opens_minute=0, closes_minute=1440) for day in range(7)]
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def daily(opens: str, closes: str) -> list[OpeningHours]:
    return [
        OpeningHours(weekday=day, opens_minute=_minutes(opens), closes_minute=_minutes(closes))
        for day in range(7)
    ]


def _minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def local(zone: ZoneInfo, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def slots(hours: Sequence[OpeningHours], zone: ZoneInfo, day: str, step: timedelta = HOUR) -> list[str]:
    start = local(zone, f"{day}T00:00")
    end = local(zone, f"{date.fromisoformat(day) + timedelta(days=1)}T00:00")
    found = free_slots(hours, zone, step, busy=[], start=start, end=end, step=step)
    return [f"{slot.astimezone(zone):%H:%M%z}" for slot in found]


@pytest.mark.parametrize(
    ("opens", "closes", "open_"),
    [
        ("09:00", "10:00", True),
        ("09:00", "17:00", True),
        ("16:30", "17:30", False),
        ("08:59", "09:59", False),
    ],
)
def test_a_session_lies_wholly_inside_a_window(opens: str, closes: str, open_: bool) -> None:  # noqa: FBT001 - a table of cases
    day = "2026-11-23"
    span = (local(BERLIN, f"{day}T{opens}"), local(BERLIN, f"{day}T{closes}"))
    assert is_open(daily("09:00", "17:00"), BERLIN, *span) is open_


def test_a_closed_weekday_is_closed() -> None:
    monday_only = [OpeningHours(weekday=0, opens_minute=540, closes_minute=1020)]
    monday, tuesday = local(BERLIN, "2026-11-23T10:00"), local(BERLIN, "2026-11-24T10:00")
    assert is_open(monday_only, BERLIN, monday, monday + HOUR)
    assert not is_open(monday_only, BERLIN, tuesday, tuesday + HOUR)


def test_windows_that_touch_at_midnight_are_one() -> None:
    start = local(BERLIN, "2026-11-23T23:30")
    assert is_open(AROUND_THE_CLOCK, BERLIN, start, start + HOUR)
    assert is_open(AROUND_THE_CLOCK, BERLIN, start, start + timedelta(days=3))


def test_windows_with_a_break_are_two() -> None:
    hours = daily("09:00", "12:00") + daily("13:00", "17:00")
    start = local(BERLIN, "2026-11-23T11:30")
    assert not is_open(hours, BERLIN, start, start + 2 * HOUR)


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [(BERLIN, "2027-03-27", "2027-03-29"), (NEW_YORK, "2027-03-13", "2027-03-15")],
)
def test_the_hours_stay_on_the_wall_clock_when_summer_time_begins(
    zone: ZoneInfo, before: str, after: str
) -> None:
    nine_before, nine_after = local(zone, f"{before}T09:00"), local(zone, f"{after}T09:00")
    assert nine_after - nine_before == timedelta(days=2) - HOUR
    for nine in (nine_before, nine_after):
        assert is_open(daily("09:00", "17:00"), zone, nine, nine + HOUR)
        assert not is_open(daily("09:00", "17:00"), zone, nine - MINUTE, nine + HOUR)


@pytest.mark.parametrize(("zone", "day"), [(BERLIN, "2027-03-28"), (NEW_YORK, "2027-03-14")])
def test_a_time_that_the_clock_skips_is_not_offered(zone: ZoneInfo, day: str) -> None:
    offered = [slot[:5] for slot in slots(daily("00:00", "05:00"), zone, day)]
    assert offered == ["00:00", "01:00", "03:00", "04:00"]


@pytest.mark.parametrize(("zone", "day"), [(BERLIN, "2027-10-31"), (NEW_YORK, "2027-11-07")])
def test_a_time_that_comes_twice_is_offered_once(zone: ZoneInfo, day: str) -> None:
    offered = [slot[:5] for slot in slots(daily("00:00", "05:00"), zone, day)]
    assert offered == ["00:00", "01:00", "02:00", "03:00", "04:00"]


def test_opening_in_the_gap_means_opening_at_its_end() -> None:
    opens = local(BERLIN, "2027-03-28T03:00")
    assert is_open(daily("02:30", "05:00"), BERLIN, opens, opens + HOUR)
    assert not is_open(daily("02:30", "05:00"), BERLIN, opens - MINUTE, opens + HOUR)


def test_closing_in_the_repeated_hour_means_its_first_showing() -> None:
    closes = local(BERLIN, "2027-10-31T02:30", fold=0)
    assert is_open(daily("01:00", "02:30"), BERLIN, closes - HOUR, closes)
    assert not is_open(daily("01:00", "02:30"), BERLIN, closes, closes + 30 * MINUTE)
    again = local(BERLIN, "2027-10-31T02:00", fold=1)
    assert not is_open(daily("01:00", "02:30"), BERLIN, again, again + 30 * MINUTE)


def test_a_midnight_that_does_not_exist_still_joins_two_days() -> None:
    cairo = ZoneInfo("Africa/Cairo")
    start = local(cairo, "2027-04-29T23:30")
    assert is_open(AROUND_THE_CLOCK, cairo, start, start + HOUR)


def test_busy_time_is_not_offered_and_its_neighbours_are() -> None:
    ten = local(BERLIN, "2026-11-23T10:00")
    found = free_slots(
        daily("09:00", "13:00"),
        BERLIN,
        HOUR,
        busy=[Span(ten, ten + HOUR)],
        start=ten - 2 * HOUR,
        end=ten + 4 * HOUR,
        step=HOUR,
    )
    assert found == [ten - HOUR, ten + HOUR, ten + 2 * HOUR]


def test_slots_start_within_what_was_asked_for() -> None:
    ten = local(BERLIN, "2026-11-23T10:00")
    found = free_slots(
        daily("09:00", "17:00"), BERLIN, HOUR, busy=[], start=ten, end=ten + 2 * HOUR, step=HOUR
    )
    assert found == [ten, ten + HOUR]


def test_overlapping_windows_offer_a_start_once() -> None:
    ten = local(BERLIN, "2026-11-23T10:00")
    hours = daily("09:00", "12:00") + daily("10:00", "13:00")
    found = free_slots(hours, BERLIN, HOUR, busy=[], start=ten, end=ten + 3 * HOUR, step=HOUR)
    assert found == [ten, ten + HOUR, ten + 2 * HOUR]


@pytest.mark.parametrize(("opens", "closes"), [(600, 600), (600, 540), (-1, 60), (0, 1441)])
def test_hours_that_make_no_sense_are_refused(opens: int, closes: int) -> None:
    with pytest.raises(ValidationError):
        OpeningHours(weekday=0, opens_minute=opens, closes_minute=closes)


def reached(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant at which the local clock shows `wall` or later, found by watching the clock."""
    moment = wall.replace(tzinfo=UTC) - timedelta(hours=15)
    while moment.astimezone(zone).replace(tzinfo=None) < wall:
        moment += 15 * MINUTE
    return moment


def naively_open(
    hours: Sequence[OpeningHours], zone: ZoneInfo, starts_at: datetime, ends_at: datetime
) -> bool:
    """Every quarter of an hour of the session lies in some window."""
    first = starts_at.astimezone(zone).date() - timedelta(days=1)
    windows = []
    for day in (first + timedelta(days=n) for n in range(4)):
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock has no offset
        windows += [
            (
                reached(zone, midnight + window.opens_minute * MINUTE),
                reached(zone, midnight + window.closes_minute * MINUTE),
            )
            for window in hours
            if window.weekday == day.weekday()
        ]
    moment = starts_at
    while moment < ends_at:
        if not any(opens <= moment < closes for opens, closes in windows):
            return False
        moment += 15 * MINUTE
    return True


CHANGES = {BERLIN: ["2027-03-28", "2027-10-31"], NEW_YORK: ["2027-03-14", "2027-11-07"]}
quarters = st.integers(0, 96).map(lambda quarter: quarter * 15)
windows_ = st.builds(
    lambda weekday, bounds: OpeningHours(weekday=weekday, opens_minute=bounds[0], closes_minute=bounds[1]),
    st.sampled_from([5, 6, 0]),
    st.tuples(quarters, quarters).filter(lambda bounds: bounds[0] < bounds[1]),
)


@settings(deadline=None)
@given(
    zone=st.sampled_from([BERLIN, NEW_YORK]),
    change=st.sampled_from([0, 1]),
    hours=st.lists(windows_, min_size=1, max_size=5),
    offset=st.integers(-40, 140),
    length=st.integers(1, 24),
)
def test_open_means_open_all_the_way(
    zone: ZoneInfo, change: int, hours: list[OpeningHours], offset: int, length: int
) -> None:
    start = local(zone, f"{CHANGES[zone][change]}T00:00") + offset * 15 * MINUTE
    end = start + length * 15 * MINUTE
    assert is_open(hours, zone, start, end) is naively_open(hours, zone, start, end)


@settings(deadline=None)
@given(
    zone=st.sampled_from([BERLIN, NEW_YORK]),
    change=st.sampled_from([0, 1]),
    hours=st.lists(windows_, min_size=1, max_size=3),
    busy_at=st.integers(0, 90),
)
def test_every_slot_is_open_and_free(
    zone: ZoneInfo, change: int, hours: list[OpeningHours], busy_at: int
) -> None:
    start = local(zone, f"{CHANGES[zone][change]}T00:00")
    busy = Span(start + busy_at * 15 * MINUTE, start + busy_at * 15 * MINUTE + HOUR)
    found = free_slots(
        hours, zone, HOUR, busy=[busy], start=start, end=start + timedelta(days=1), step=30 * MINUTE
    )
    assert found == sorted(set(found))
    for slot in found:
        assert naively_open(hours, zone, slot, slot + HOUR)
        assert slot + HOUR <= busy.start or busy.end <= slot
