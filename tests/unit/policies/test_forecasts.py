"""Forecasts: a straight line through the window, read off at a time to come."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import forecasts
from policies.engine.values import Outcome, Sample
from tests.unit.policies.builders import NOW, ago, judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
FILLING = [80 + place * 0.01 for place in range(241)]
"""A sample every 15 s for an hour: 2.4 an hour."""


def test_a_disk_that_will_be_full_in_time() -> None:
    data = target(series("disk_percent", FILLING))
    verdict = judge("disk_percent > 95 within 6h, from 1h", data)
    assert verdict.outcome is V
    assert verdict.value == pytest.approx(82.4 + 6 * 2.4)
    assert verdict.reason == "disk_percent moves 2.4 an hour; in 6h 96.8 > 95"
    assert outcome("disk_percent > 95 within 5h, from 1h", data) is H


def test_what_runs_out() -> None:
    data = target(series("free", [1000 - place for place in range(60)]))
    assert outcome("free < 0 within 10h, from 1h", data) is V
    assert outcome("free < 0 within 1h, from 1h", data) is H


def test_the_line_goes_through_the_window_alone() -> None:
    rising_once = [*range(100), *([99.0] * 240)]
    assert outcome("m > 100 within 10h, from 1h", target(series("m", rising_once))) is H


@pytest.mark.parametrize("values", [[5], [5, math.nan], [math.nan]])
def test_two_samples_are_needed(values: list[float]) -> None:
    assert outcome("m > 1 within 1h, from 1h", target(series("m", values))) is U


def test_two_samples_at_one_moment_are_no_line() -> None:
    assert forecasts.fit([Sample(id=place, at=NOW, value=place) for place in (1, 2)], NOW) is None


def test_no_sample_in_the_window_is_unknown() -> None:
    verdict = judge("m > 1 within 1h, from 10m", target(series("m", [1, 2], newest=700)))
    assert (verdict.outcome, verdict.reason) == (U, "no m in the last 10m, the newest is 11m40s old")


def test_the_worst_series_answers_and_is_named() -> None:
    data = target(series("disk", FILLING, mount="/"), series("disk", [50.0] * 100, mount="/var"))
    assert judge("disk > 95 within 6h, from 1h", data).reason.startswith('disk{mount="/"} moves 2.4')


def test_a_series_that_fell_silent_in_trouble_keeps_the_answer_open() -> None:
    data = target(series("disk", FILLING, mount="/", newest=2000), series("disk", [50.0] * 100, mount="/var"))
    assert outcome("disk > 95 within 6h, from 30m", data) is H
    assert outcome("disk > 95 within 6h, from 30m", data, was_violated=True) is U


@given(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3), st.integers(2, 50))
def test_a_straight_line_is_found_again(start: float, slope: float, count: int) -> None:
    samples = [
        Sample(id=place, at=ago(15 * (count - place)), value=start + slope * 15 * place) for place in range(count)
    ]
    line = forecasts.fit(samples, NOW)
    assert line is not None
    assert line.slope == pytest.approx(slope, rel=1e-6, abs=1e-6)
    assert line.now == pytest.approx(start + slope * 15 * count, rel=1e-6, abs=1e-3)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
def test_any_numbers_give_an_answer(values: list[float]) -> None:
    assert judge("m > 1 within 1h, from 1h", target(series("m", values))).reason
