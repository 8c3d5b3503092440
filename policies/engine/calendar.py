"""When a maintenance window is open: once, or every week by the clock on a wall somewhere.

Clocks jump. Where a wall clock shows a time twice or never, a window opens as early and closes as late as that can be
read, because Vigil does not act in maintenance: an hour too long is harmless, an hour too short is not.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
_WEEK = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time; `ends_at` is the first moment after it."""

    starts_at: datetime
    ends_at: datetime

    def covers(self, at: datetime) -> bool:
        """Whether the moment lies within."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """The same hours on some days of every week."""

    days: frozenset[int]
    """The days it opens on: 0 is Monday, 6 is Sunday."""
    opens: time
    closes: time
    """On the wall clock; at or before `opens` it is on the next day, so 22:00 to 22:00 is a whole day."""
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a window is open: the whole of `within`, or the weekly hours that fall into it."""

    starts_at: datetime
    ends_at: datetime | None
    """None: it recurs until somebody ends it."""
    weekly: Weekly | None = None


def open_at(schedule: Schedule, at: datetime) -> Span | None:
    """The opening that covers the moment, None when there is none."""
    found = [span for span in _openings(schedule, since=at, until=at) if span.covers(at)]
    return max(found, key=lambda span: span.ends_at, default=None)


def last_between(schedule: Schedule, *, since: datetime, until: datetime) -> Span | None:
    """The newest opening of which any part lies in `since` to `until`; None when there is none."""
    found = [span for span in _openings(schedule, since=since, until=until) if since < span.ends_at]
    return max((span for span in found if span.starts_at <= until), key=lambda span: span.ends_at, default=None)


def next_after(schedule: Schedule, at: datetime) -> Span | None:
    """The first opening that begins after the moment, None when none is to come."""
    until = max(at, schedule.starts_at) + _DAY * (_WEEK + 1)
    found = [span for span in _openings(schedule, since=at, until=until) if span.starts_at > at]
    return min(found, key=lambda span: span.starts_at, default=None)


def earliest(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which clocks in the zone show this time, or skip over it."""
    before, after = _readings(wall, zone)
    return _jump(before, after, zone) if before > after else before


def latest(wall: datetime, zone: ZoneInfo) -> datetime:
    """The last moment at which clocks in the zone show this time; where they skip it, as if they had not jumped."""
    return max(_readings(wall, zone))


def _openings(schedule: Schedule, *, since: datetime, until: datetime) -> list[Span]:
    """Every opening that may touch the stretch, cut to the schedule's own bounds."""
    if schedule.weekly is None:
        spans = [] if schedule.ends_at is None else [Span(starts_at=schedule.starts_at, ends_at=schedule.ends_at)]
    else:
        spans = _weekly(schedule.weekly, max(since, schedule.starts_at), until)
    cut = (_cut(span, schedule) for span in spans)
    return [span for span in cut if span is not None]


def _weekly(weekly: Weekly, since: datetime, until: datetime) -> list[Span]:
    """From the day before, whose opening may reach over midnight."""
    day = since.astimezone(weekly.zone).date() - _DAY
    last = until.astimezone(weekly.zone).date()
    spans = []
    while day <= last:
        if day.weekday() in weekly.days:
            spans.append(_opening(weekly, day))
        day += _DAY
    return spans


def _opening(weekly: Weekly, day: date) -> Span:
    closing_day = day if weekly.closes > weekly.opens else day + _DAY
    return Span(
        starts_at=earliest(datetime.combine(day, weekly.opens), weekly.zone),
        ends_at=latest(datetime.combine(closing_day, weekly.closes), weekly.zone),
    )


def _cut(span: Span, schedule: Schedule) -> Span | None:
    starts_at = max(span.starts_at, schedule.starts_at)
    ends_at = span.ends_at if schedule.ends_at is None else min(span.ends_at, schedule.ends_at)
    return Span(starts_at=starts_at, ends_at=ends_at) if starts_at < ends_at else None


def _readings(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The time read by the offset before a jump of the clocks and by the one after it; the same on other days."""
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment the clocks jumped forward over a time: `after` is earlier than it, `before` is not."""
    offset = after.astimezone(zone).utcoffset()
    while before - after > timedelta(seconds=1):
        middle = after + (before - after) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return before.replace(microsecond=0)
