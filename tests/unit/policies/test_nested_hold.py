"""A `for` inside another condition is judged from the samples themselves."""

import time

import pytest

from policies.engine import history, language
from policies.engine.values import Outcome, TargetData
from tests.unit.policies.builders import NOW, STALENESS, ago, event, judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
HELD = "cpu > 90 for 1m and up == 1"


def data(*values: float, every: float = 15) -> TargetData:
    return target(series("cpu", values, every=every), series("up", [1]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((95, 95, 95, 95, 95), V),
        ((10, 95, 95, 95, 95), H),
        ((95, 95, 10, 95, 95), H),
        ((95, 95, 95, 95, 10), H),
        ((10, 95, 95, 95, 95, 95), V),
        ((95, 95, 95, 95), U),
    ],
    ids=["all of it", "began later", "a dip inside", "over now", "began just in time", "history too short"],
)
def test_it_must_have_held_at_every_moment(values: tuple[float, ...], expected: Outcome) -> None:
    assert outcome(HELD, data(*values)) is expected


def test_the_value_in_force_at_the_start_may_be_older() -> None:
    assert outcome(HELD, data(95, 95, every=100)) is V


def test_a_gap_longer_than_staleness_leaves_it_unknown() -> None:
    assert outcome("cpu > 90 for 10m and up == 1", data(95, 95, 95, every=400)) is U


def test_the_reason_says_how_long_it_lasted() -> None:
    assert judge(HELD, data(10, 95, 95)).reason == "cpu 95 > 90 for 15s of 1m"
    assert judge(HELD, data(95, 95, 95, 95, 95)).reason == "cpu 95 > 90 for 1m and up 1 == 1"


def test_the_outermost_for_is_left_to_the_lifecycle() -> None:
    assert outcome("cpu > 90 for 1m", data(10, 95)) is V


def test_an_event_leaves_its_window_again() -> None:
    flaky = target(series("up", [1]), events=[event("crash", 100), event("crash", 10)])
    assert outcome("crash event in 1m for 30s and up == 1", flaky) is H
    steady = target(series("up", [1]), events=[event("crash", 65), event("crash", 40), event("crash", 10)])
    assert outcome("crash event in 1m for 30s and up == 1", steady) is V


def test_silence_can_be_held_too() -> None:
    silent = target(series("beat", [1], newest=200), series("up", [1] * 20))
    assert outcome("(no beat for 2m or up == 0) for 1m and up == 1", silent) is V
    assert outcome("(no beat for 3m or up == 0) for 1m and up == 1", silent) is H


def test_a_dense_history_is_thinned_but_keeps_both_ends() -> None:
    dense = target(series("cpu", [95] * 5_000, every=1))
    tree = language.parse("cpu > 90 for 1h")
    times = history.moments(tree, dense, since=ago(3_600), until=NOW, staleness=STALENESS)
    assert len(times) == history.MOST_MOMENTS
    assert times == sorted(set(times))
    assert times[0] == ago(3_600)
    assert ago(1) <= times[-1] < NOW


def test_a_dense_history_is_judged_in_bounded_time() -> None:
    dense = target(series("cpu", [95] * 8_000, every=1), series("up", [1]))
    started = time.perf_counter()
    assert outcome("p99(cpu, 5m) > 90 for 2h and up == 1", dense) is V
    assert time.perf_counter() - started < 5
