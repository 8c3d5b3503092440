"""Maintenance windows on days when clocks jump, across midnight, and at their bounds."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import calendar
from policies.engine.calendar import Schedule, Span, Weekly

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _weekly(opens: str, closes: str, *, zone: str = BERLIN, days: str = "mon tue wed thu fri sat sun") -> Schedule:
    return Schedule(
        starts_at=LONG_AGO,
        ends_at=None,
        weekly=Weekly(
            days=frozenset(calendar.DAYS.index(day) for day in days.split()),
            opens=time.fromisoformat(opens),
            closes=time.fromisoformat(closes),
            zone=ZoneInfo(zone),
        ),
    )


# In Berlin clocks go from 02:00 to 03:00 on 2026-03-29 (01:00 UTC) and from 03:00 to 02:00 on 2026-10-25 (01:00 UTC);
# in New York from 02:00 to 03:00 on 2026-03-08 (07:00 UTC) and from 02:00 to 01:00 on 2026-11-01 (06:00 UTC).
@pytest.mark.parametrize(
    ("zone", "opens", "closes", "within", "starts_at", "ends_at"),
    [
        pytest.param(BERLIN, "02:00", "04:00", "2026-01-11 02:00", "2026-01-11 01:00", "2026-01-11 03:00", id="winter"),
        pytest.param(BERLIN, "02:00", "04:00", "2026-07-12 01:00", "2026-07-12 00:00", "2026-07-12 02:00", id="summer"),
        pytest.param(
            BERLIN, "01:00", "04:00", "2026-03-29 01:00", "2026-03-29 00:00", "2026-03-29 02:00", id="over the gap"
        ),
        pytest.param(
            BERLIN, "02:30", "04:00", "2026-03-29 01:30", "2026-03-29 01:00", "2026-03-29 02:00", id="opens in the gap"
        ),
        pytest.param(
            BERLIN, "01:30", "02:30", "2026-03-29 00:45", "2026-03-29 00:30", "2026-03-29 01:30", id="closes in the gap"
        ),
        pytest.param(
            BERLIN, "02:15", "02:45", "2026-03-29 01:30", "2026-03-29 01:00", "2026-03-29 01:45", id="all in the gap"
        ),
        pytest.param(
            BERLIN, "02:00", "03:00", "2026-10-25 00:30", "2026-10-25 00:00", "2026-10-25 02:00", id="hour shown twice"
        ),
        pytest.param(
            BERLIN,
            "02:30",
            "04:00",
            "2026-10-25 01:00",
            "2026-10-25 00:30",
            "2026-10-25 03:00",
            id="opens at 1st 2:30",
        ),
        pytest.param(
            BERLIN,
            "01:00",
            "02:30",
            "2026-10-25 01:15",
            "2026-10-24 23:00",
            "2026-10-25 01:30",
            id="closes at 2nd 2:30",
        ),
        pytest.param(
            NEW_YORK, "01:30", "03:30", "2026-03-08 07:00", "2026-03-08 06:30", "2026-03-08 07:30", id="NY over the gap"
        ),
        pytest.param(
            NEW_YORK, "02:30", "03:30", "2026-03-08 07:10", "2026-03-08 07:00", "2026-03-08 07:30", id="NY opens in gap"
        ),
        pytest.param(
            NEW_YORK, "01:00", "02:00", "2026-11-01 06:30", "2026-11-01 05:00", "2026-11-01 07:00", id="NY hour twice"
        ),
        pytest.param(
            BERLIN, "22:00", "02:00", "2026-01-11 00:30", "2026-01-10 21:00", "2026-01-11 01:00", id="over midnight"
        ),
        pytest.param(
            BERLIN, "23:00", "04:00", "2026-03-29 01:30", "2026-03-28 22:00", "2026-03-29 02:00", id="midnight and gap"
        ),
        pytest.param(
            NEW_YORK, "22:00", "03:00", "2026-11-01 06:30", "2026-11-01 02:00", "2026-11-01 08:00", id="NY night longer"
        ),
        pytest.param(
            BERLIN, "00:00", "00:00", "2026-03-29 12:00", "2026-03-28 23:00", "2026-03-29 22:00", id="a day of 23 hours"
        ),
        pytest.param(
            BERLIN, "00:00", "00:00", "2026-10-25 12:00", "2026-10-24 22:00", "2026-10-25 23:00", id="a day of 25 hours"
        ),
    ],
)
def test_opens_early_and_closes_late_where_clocks_jump(
    zone: str, opens: str, closes: str, within: str, starts_at: str, ends_at: str
) -> None:
    schedule = _weekly(opens, closes, zone=zone)
    expected = Span(starts_at=_utc(starts_at), ends_at=_utc(ends_at))
    assert calendar.open_at(schedule, _utc(within)) == expected
    assert calendar.open_at(schedule, expected.starts_at) == expected
    moment_after = calendar.open_at(schedule, expected.ends_at)
    assert moment_after is None or moment_after.starts_at == expected.ends_at


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-01-10 20:59", False),  # Saturday, 21:59 in Berlin
        ("2026-01-10 21:00", True),
        ("2026-01-11 00:59", True),  # Sunday already
        ("2026-01-11 01:00", False),
        ("2026-01-11 22:00", False),  # Sunday evening: it opens on Saturdays only
        ("2026-01-17 21:00", True),
    ],
)
def test_a_weekly_night_belongs_to_the_day_it_begins_on(at: str, is_open: bool) -> None:
    assert (calendar.open_at(_weekly("22:00", "02:00", days="sat"), _utc(at)) is not None) is is_open


def test_once_is_open_from_its_start_until_just_before_its_end() -> None:
    once = Schedule(starts_at=_utc("2026-01-10 10:00"), ends_at=_utc("2026-01-10 11:00"))
    moments = ("2026-01-10 09:59:59", "2026-01-10 10:00", "2026-01-10 10:59:59", "2026-01-10 11:00")
    assert [calendar.open_at(once, _utc(at)) is not None for at in moments] == [False, True, True, False]


def test_weekly_hours_are_cut_to_the_time_the_window_holds() -> None:
    weekly = _weekly("22:00", "02:00").weekly
    held = Schedule(starts_at=_utc("2026-01-10 22:00"), ends_at=_utc("2026-01-11 00:30"), weekly=weekly)
    assert calendar.open_at(held, _utc("2026-01-10 21:30")) is None
    assert calendar.open_at(held, _utc("2026-01-10 23:00")) == Span(
        starts_at=_utc("2026-01-10 22:00"), ends_at=_utc("2026-01-11 00:30")
    )
    assert calendar.open_at(held, _utc("2026-01-11 00:30")) is None


@pytest.mark.parametrize(
    ("since", "until", "ended"),
    [
        pytest.param("2026-01-10 20:00", "2026-01-11 03:00", "2026-01-11 01:00", id="opened and closed meanwhile"),
        pytest.param("2026-01-10 22:00", "2026-01-11 03:00", "2026-01-11 01:00", id="closed meanwhile"),
        pytest.param("2026-01-10 20:00", "2026-01-10 21:00", "2026-01-11 01:00", id="just opened"),
        pytest.param("2026-01-11 01:00", "2026-01-11 03:00", None, id="ordered when it had closed"),
        pytest.param("2026-01-10 10:00", "2026-01-10 20:00", None, id="not yet open"),
    ],
)
def test_tells_whether_a_window_was_open_between_two_moments(since: str, until: str, ended: str | None) -> None:
    found = calendar.last_between(_weekly("22:00", "02:00", days="sat"), since=_utc(since), until=_utc(until))
    assert (found.ends_at if found else None) == (_utc(ended) if ended else None)


def test_the_next_opening_is_found_a_week_ahead_and_before_the_window_begins_to_hold() -> None:
    saturdays = _weekly("22:00", "02:00", days="sat")
    found = calendar.next_after(saturdays, _utc("2026-01-10 21:00"))
    assert found is not None
    assert found.starts_at == _utc("2026-01-17 21:00")
    later = Schedule(starts_at=_utc("2026-06-01 00:00"), ends_at=None, weekly=saturdays.weekly)
    found = calendar.next_after(later, _utc("2026-01-10 21:00"))
    assert found is not None
    assert found.starts_at == _utc("2026-06-06 20:00")


def test_nothing_is_to_come_once_it_is_over() -> None:
    once = Schedule(starts_at=_utc("2026-01-10 10:00"), ends_at=_utc("2026-01-10 11:00"))
    assert calendar.next_after(once, _utc("2026-01-10 10:00")) is None
    assert calendar.next_after(once, _utc("2026-01-10 09:00")) == calendar.open_at(once, _utc("2026-01-10 10:00"))


_moments = st.integers(0, 4 * 366 * 86_400).map(lambda second: datetime.fromisoformat("2024-01-01") + second * SECOND)
_zones = st.sampled_from([BERLIN, NEW_YORK, "UTC", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"])


@given(wall=_moments, zone=_zones)
def test_no_reading_of_a_wall_clock_lies_outside_earliest_and_latest(wall: datetime, zone: str) -> None:
    place = ZoneInfo(zone)
    first, last = calendar.earliest(wall, place), calendar.latest(wall, place)
    assert first <= last
    assert last - first <= HOUR
    assert first.astimezone(place).replace(tzinfo=None) >= wall  # in a gap the clocks already show more
    assert last.astimezone(place).replace(tzinfo=None) >= wall


@given(at=_moments, zone=_zones, opens=st.times(), closes=st.times(), days=st.sets(st.integers(0, 6), min_size=1))
def test_an_opening_covers_the_moment_it_was_asked_for(
    at: datetime, zone: str, opens: time, closes: time, days: set[int]
) -> None:
    weekly = Weekly(days=frozenset(days), opens=opens, closes=closes, zone=ZoneInfo(zone))
    schedule = Schedule(starts_at=LONG_AGO, ends_at=None, weekly=weekly)
    moment = at.replace(tzinfo=UTC)
    found = calendar.open_at(schedule, moment)
    if found is not None:
        assert found.covers(moment)
        assert found.ends_at - found.starts_at <= 26 * HOUR
        assert found.starts_at.astimezone(weekly.zone).weekday() in days


@given(at=_moments, zone=_zones, opens=st.times(), closes=st.times(), days=st.sets(st.integers(0, 6), min_size=1))
def test_it_is_open_whenever_the_clock_on_the_wall_says_so(
    at: datetime, zone: str, opens: time, closes: time, days: set[int]
) -> None:
    weekly = Weekly(days=frozenset(days), opens=opens, closes=closes, zone=ZoneInfo(zone))
    schedule = Schedule(starts_at=LONG_AGO, ends_at=None, weekly=weekly)
    moment = at.replace(tzinfo=UTC)
    wall = moment.astimezone(weekly.zone)
    shown, today, yesterday = wall.time().replace(tzinfo=None), wall.weekday(), (wall.weekday() - 1) % 7
    if closes > opens:
        meant = today in days and opens <= shown < closes
    else:
        meant = (today in days and shown >= opens) or (yesterday in days and shown < closes)
    if meant:
        assert calendar.open_at(schedule, moment) is not None
