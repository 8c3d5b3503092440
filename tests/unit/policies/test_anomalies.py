"""Anomalies: what is usual, how far away is too far, and when that cannot be said."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine.values import Outcome, Sample, Series, TargetData
from tests.unit.policies.builders import ago, judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
NOISE = [100 + 5 * math.sin(place) for place in range(60)]
DAY = 86_400


@pytest.mark.parametrize("using", ["", " using ewma"])
def test_a_jump_out_of_the_noise_is_found(using: str) -> None:
    assert outcome(f"m anomalous over 1h{using}", target(series("m", [*NOISE, 180]))) is V
    assert outcome(f"m anomalous over 1h{using}", target(series("m", [*NOISE, 103]))) is H


def test_the_reason_and_the_numbers_say_what_is_usual() -> None:
    verdict = judge("latency_ms anomalous over 1h", target(series("latency_ms", [*range(90, 110), 480.0])))
    sigma = (480 - 99.5) / (5 * 1.482602218505602)
    assert verdict.reason == "latency_ms 480 against a usual 99.5 over 1h, sigma 51.3287 > 4"
    assert verdict.value == pytest.approx(sigma)
    assert verdict.numbers["usual"] == 99.5
    assert verdict.numbers["threshold"] == 4


@pytest.mark.parametrize(
    ("newest", "word", "expected"),
    [
        (180, "anomalous", V),
        (20, "anomalous", V),
        (180, "anomalously high", V),
        (20, "anomalously high", H),
        (180, "anomalously low", H),
        (20, "anomalously low", V),
    ],
)
def test_only_the_direction_asked_for_counts(newest: float, word: str, expected: Outcome) -> None:
    assert outcome(f"m {word} over 1h", target(series("m", [*NOISE, newest]))) is expected


def test_sigma_says_how_far_is_too_far() -> None:
    data = target(series("m", [*NOISE, 125]))
    found = judge("m anomalous over 1h", data).value
    assert found is not None
    assert outcome(f"m anomalous over 1h beyond {found + 0.1} sigma", data) is H
    assert outcome(f"m anomalous over 1h beyond {found - 0.1} sigma", data) is V


def test_a_few_wild_values_do_not_hide_the_next_one() -> None:
    """The point of the robust way: the deviation that `ewma` uses grows with each outlier."""
    data = target(series("m", [*NOISE, 900, 900, 900, 900, 400]))
    assert outcome("m anomalous over 1h", data) is V
    assert outcome("m anomalous over 1h using ewma", data) is H


def test_over_half_equal_values_still_have_a_spread() -> None:
    data = [0.0] * 40 + [1.0, 2.0] * 5
    verdict = judge("m anomalous over 1h", target(series("m", [*data, 50])))
    assert verdict.numbers["spread"] == pytest.approx(15 / 50 * math.sqrt(math.pi / 2))
    assert verdict.outcome is V


def test_what_never_moved_is_healthy_while_it_stays_and_unknown_when_it_moves() -> None:
    assert outcome("m anomalous over 1h", target(series("m", [7.1] * 30))) is H
    verdict = judge("m anomalous over 1h", target(series("m", [7.1] * 30 + [8])))
    assert (verdict.outcome, verdict.reason) == (U, "m never moved before, so nothing says how much is unusual")


def test_too_few_earlier_samples_are_unknown() -> None:
    verdict = judge("m anomalous over 1h", target(series("m", [*range(9), 500.0])))
    assert (verdict.outcome, verdict.reason) == (
        U,
        "m has 9 earlier samples, and at least 10 say what is usual",
    )
    assert outcome("m anomalous over 1h", target(series("m", [*range(10), 500.0]))) is V


def test_samples_before_the_window_say_nothing() -> None:
    assert outcome("m anomalous over 2m", target(series("m", [*NOISE, 500]))) is U


@pytest.mark.parametrize(
    ("values", "newest", "reason"),
    [
        ([*NOISE, 500], 301, "m was last seen 5m1s ago and counts for 5m"),
        ([*NOISE, math.nan], 0, "m is not a number"),
    ],
)
def test_an_old_or_missing_newest_value_is_unknown(values: list[float], newest: float, reason: str) -> None:
    verdict = judge("m anomalous over 1h", target(series("m", values, newest=newest)))
    assert (verdict.outcome, verdict.reason) == (U, reason)


def test_the_worst_series_answers_and_is_named() -> None:
    data = target(series("m", [*NOISE, 101], path="/a"), series("m", [*NOISE, 300], path="/b"))
    assert judge("m anomalous over 1h", data).reason.startswith('m{path="/b"} 300 against a usual')


def test_a_series_that_fell_silent_in_trouble_keeps_the_answer_open() -> None:
    data = target(series("m", [*NOISE, 101], path="/a"), series("m", [*NOISE, 300], path="/b", newest=400))
    assert outcome("m anomalous over 1h", data) is H
    assert outcome("m anomalous over 1h", data, was_violated=True) is U


def test_ewma_weighs_what_is_new() -> None:
    """After a level shift the recent past is what is usual."""
    shifted = [*NOISE[:30], *(value + 100 for value in NOISE[:90])]
    verdict = judge("m anomalous over 30m using ewma", target(series("m", [*shifted, 200])))
    plain = judge("m anomalous over 30m", target(series("m", [*NOISE, 101])))
    assert verdict.outcome is plain.outcome is H
    centre = verdict.numbers["usual"]
    assert isinstance(centre, float)
    assert centre > statistics.mean(shifted)


def season(days: int, now: float) -> TargetData:
    """Every ten minutes, a wave of one day with noise; now is at its quiet time."""
    noise = random.Random(7)
    samples = [
        Sample(
            id=place, at=ago(600 * back), value=500 - 400 * math.cos(600 * back / DAY * math.tau) + noise.gauss(0, 9)
        )
        for place, back in enumerate(range(days * 144, 0, -1))
    ]
    return target(Series(name="m", samples=(*samples, Sample(id=-1, at=ago(0), value=now))))


def test_a_value_usual_at_noon_is_unusual_at_night() -> None:
    assert outcome("m anomalous over 7d using seasonal", season(6, now=100)) is H
    assert outcome("m anomalous over 7d using seasonal", season(6, now=800)) is V
    assert outcome("m anomalous over 7d", season(6, now=800)) is H


def test_one_earlier_day_is_no_season() -> None:
    verdict = judge("m anomalous over 7d using seasonal", season(1, now=100))
    assert verdict.outcome is U
    assert "from 1 earlier periods at this time" in verdict.reason


def test_another_period_is_looked_at_when_asked() -> None:
    halves = judge("m anomalous over 7d using seasonal every 12h", season(6, now=100))
    assert halves.numbers["usual"] != pytest.approx(100, abs=50)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30), st.sampled_from(["", " using ewma"]))
def test_any_numbers_give_an_answer(values: list[float], using: str) -> None:
    verdict = judge(f"m anomalous over 1h{using}", target(series("m", values)))
    assert verdict.reason
    assert verdict.value is None or math.isfinite(verdict.value)
