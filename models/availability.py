"""When a provider can be booked: weekly wall-clock hours, resolved to instants day by day.

One rule covers both changes of summer time: a wall-clock time means the first instant at which the
local clock has reached it. In spring a time that the clock skips means the end of the gap; in autumn
a time that the clock shows twice means its first showing (TRAPS 46).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MINUTES_PER_DAY = 1440


class OpeningHours(BaseModel):
    """One weekly window, in minutes since local midnight; 1440 is the next midnight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekday: int = Field(strict=True, ge=0, le=6, description="0 is Monday")
    opens_minute: int = Field(strict=True, ge=0, lt=MINUTES_PER_DAY)
    closes_minute: int = Field(strict=True, gt=0, le=MINUTES_PER_DAY)

    @model_validator(mode="after")
    def _opens_first(self) -> Self:
        if self.opens_minute >= self.closes_minute:
            raise ValueError("opening hours must open before they close")
        return self


class Span(NamedTuple):
    """From `start` until just before `end`, both aware instants."""

    start: datetime
    end: datetime


def is_open(hours: Sequence[OpeningHours], zone: ZoneInfo, starts_at: datetime, ends_at: datetime) -> bool:
    """Whether the whole session lies in opening hours; windows that touch count as one."""
    return _fits(_open_spans(hours, zone, starts_at, ends_at), Span(starts_at, ends_at))


def free_slots(
    hours: Sequence[OpeningHours],
    zone: ZoneInfo,
    duration: timedelta,
    *,
    busy: Sequence[Span],
    start: datetime,
    end: datetime,
    step: timedelta,
) -> list[datetime]:
    """Every start in [`start`, `end`) of a session that fits opening hours and meets nothing busy.

    Starts lie on the wall clock, `step` apart from each window's opening; a wall-clock time that
    does not exist on its day is skipped, one that comes twice is offered once. Answers in UTC.
    """
    spans = _open_spans(hours, zone, start, end + duration)
    starts = {moment for moment in _grid(hours, zone, Span(start, end), step) if start <= moment < end}
    return [
        moment
        for moment in sorted(starts)
        if _fits(spans, Span(moment, moment + duration)) and not _meets(busy, Span(moment, moment + duration))
    ]


def _grid(hours: Sequence[OpeningHours], zone: ZoneInfo, span: Span, step: timedelta) -> Iterator[datetime]:
    for day, window in _windows(hours, zone, span):
        wall, closes = _wall(day, window.opens_minute), _wall(day, window.closes_minute)
        while wall < closes:
            if _exists(wall, zone):
                yield _instant(wall, zone)
            wall += step


def _open_spans(hours: Sequence[OpeningHours], zone: ZoneInfo, start: datetime, end: datetime) -> list[Span]:
    """The open spans around [`start`, `end`), merged where they touch, in order."""
    opened = sorted(
        Span(
            _instant(_wall(day, window.opens_minute), zone), _instant(_wall(day, window.closes_minute), zone)
        )
        for day, window in _windows(hours, zone, Span(start, end))
    )
    merged: list[Span] = []
    for span in opened:
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _windows(
    hours: Sequence[OpeningHours], zone: ZoneInfo, span: Span
) -> Iterator[tuple[date, OpeningHours]]:
    """Every window of the local days that `span` touches, and of the days on either side."""
    day = span.start.astimezone(zone).date() - DAY
    last = span.end.astimezone(zone).date() + DAY
    while day <= last:
        for window in hours:
            if window.weekday == day.weekday():
                yield day, window
        day += DAY


def _wall(day: date, minute: int) -> datetime:
    return datetime.combine(day, time()) + minute * MINUTE


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, at which the clock of `zone` has reached `wall`."""
    while not _exists(wall, zone):
        wall += MINUTE
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _exists(wall: datetime, zone: ZoneInfo) -> bool:
    there_and_back = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there_and_back.replace(tzinfo=None) == wall


def _fits(spans: Sequence[Span], wanted: Span) -> bool:
    return any(span.start <= wanted.start and wanted.end <= span.end for span in spans)


def _meets(busy: Sequence[Span], wanted: Span) -> bool:
    return any(span.start < wanted.end and wanted.start < span.end for span in busy)
