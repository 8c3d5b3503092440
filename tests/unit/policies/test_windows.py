"""Aggregates over a window."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import aggregates
from policies.engine.values import Outcome
from tests.unit.policies.builders import ago, judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("avg", [1, 2, 6], 3),
        ("min", [4, 2, 6], 2),
        ("max", [4, 2, 6], 6),
        ("sum", [4, 2, 6], 12),
        ("count", [4, 2, 6], 3),
        ("last", [4, 2, 6], 6),
        ("p50", [1, 2, 3, 4], 2.5),
        ("p90", list(range(11)), 9),
        ("p99", [7], 7),
        ("stddev", [2, 4, 4, 4, 5, 5, 7, 9], 2),
        ("stddev", [5], 0),
        ("increase", [10, 15, 20], 12.5),
        ("increase", [10, 15, 3, 5], 10 * 52.5 / 45),
        ("rate", [0, 15, 30], 30 / 300),
        ("rate", [0, 15, 0, 15], 30 / 300),
        ("delta", [10, 4, 7], -3.75),
        ("p97.5", list(range(11)), 9.75),
        ("changes", [1, 1, 2, 2, 1], 2),
        ("changes", [1], 0),
    ],
)
def test_each_aggregate_of_samples_fifteen_seconds_apart(name: str, values: list[float], expected: float) -> None:
    assert judge(f"{name}(m, 5m) > 1000000", target(series("m", values))).value == pytest.approx(expected)


@pytest.mark.parametrize("name", ["increase", "rate", "delta"])
def test_a_difference_needs_two_samples(name: str) -> None:
    verdict = judge(f"{name}(m, 5m) > 0", target(series("m", [5])))
    assert (verdict.outcome, verdict.reason) == (U, f"{name}(m, 5m) needs two samples at different times")


def test_the_reason_names_the_window() -> None:
    assert judge("avg(cpu_percent, 5m) > 90", target(series("cpu_percent", [93, 93.8]))).reason == (
        "avg(cpu_percent, 5m) 93.4 > 90"
    )


def test_only_samples_inside_the_window_count() -> None:
    data = target(series("m", [1000, 1, 1, 1, 1], every=15))
    assert judge("sum(m, 1m) > 3", data).value == 4


def test_a_window_with_data_only_outside_is_unknown() -> None:
    verdict = judge("avg(m, 1m) > 90", target(series("m", [95, 96], newest=90)))
    assert (verdict.outcome, verdict.reason) == (U, "no m in the last 1m, the newest is 1m30s old")


def test_a_window_reaches_further_back_than_staleness() -> None:
    assert outcome("last(backup_age_days, 2d) > 1", target(series("backup_age_days", [3], newest=86_400))) is V


def test_nan_is_left_out_of_a_window() -> None:
    assert judge("avg(m, 5m) > 1", target(series("m", [math.nan, 4, 2]))).value == 3


def test_a_window_of_nan_alone_is_unknown() -> None:
    assert outcome("count(m, 5m) >= 0", target(series("m", [math.nan]))) is U


def test_a_sum_too_large_for_a_float_is_unknown() -> None:
    assert outcome("sum(m, 5m) > 1", target(series("m", [1.7e308, 1.7e308]))) is U


def test_the_deviation_of_huge_numbers_is_unknown_rather_than_an_error() -> None:
    assert outcome("stddev(m, 5m) > 1", target(series("m", [1.7e308, -1.7e308]))) is U


@pytest.mark.parametrize(
    ("samples", "window", "expected"),
    [
        ([0, 10, 20, 30, 40], "1m", 40),
        ([20, 30, 40], "1m", 20 * 37.5 / 30),
        ([5, 15, 25], "1m", 20 * 37.5 / 30),
        ([1, 16, 31], "1m", 30 * 31 / 30),
        ([7, 7, 7], "1m", 0),
    ],
    ids=["fills the window", "began in between", "half a gap before zero", "not below zero", "never moved"],
)
def test_an_increase_is_drawn_on_to_the_edges_of_the_window(samples: list[float], window: str, expected: float) -> None:
    found = judge(f"increase(m, {window}) > 0", target(series("m", samples))).value
    assert found == pytest.approx(expected)


def test_a_series_that_ended_is_drawn_on_by_half_a_gap() -> None:
    data = target(series("m", [1000, 1010, 1020], every=15, newest=60))
    assert judge("increase(m, 5m) > 0", data).value == pytest.approx(20 * 45 / 30)


def test_a_rate_of_what_came_after_an_action_is_not_diluted_by_the_time_before() -> None:
    data = replace(target(series("m", [1000, 1015, 1030], every=15)), since=ago(45))
    assert judge("rate(m, 5m) > 0", data).value == pytest.approx((30 * 45 / 30) / 45)


@pytest.mark.parametrize(
    ("share", "name"),
    [("0.97", "p97"), (".5", "p50"), ("0.975", "p97.5"), ("0.999", "p99.9"), ("0.9", "p90"), ("0.010", "p1")],
)
def test_a_quantile_is_a_percentile(share: str, name: str) -> None:
    assert aggregates.quantile_name(share) == name


@pytest.mark.parametrize("share", ["0", "1", "1.5", "", ".", "0.9.9", "x", "-0.5", "0.00000001"])
def test_what_is_no_quantile(share: str) -> None:
    assert aggregates.quantile_name(share) is None


@pytest.mark.parametrize("name", ["p0", "p100", "p05", "p5.0", "p.5", "p5.", "p", "pp", "p5x", "p²", "median", ""])
def test_what_is_no_aggregate(name: str) -> None:
    assert not aggregates.known(name)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40), st.integers(1, 99))
def test_a_percentile_lies_between_the_extremes(values: list[float], percent: int) -> None:
    found = aggregates.percentile(values, percent)
    assert min(values) - 1e-6 <= found <= max(values) + 1e-6


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=40))
def test_a_counter_never_falls(values: list[int]) -> None:
    found = judge("increase(m, 30m) > 0", target(series("m", [float(value) for value in values]))).value
    assert found is not None
    assert found >= max(0, values[-1] - values[0])
