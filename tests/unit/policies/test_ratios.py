"""Ratios: who is divided by whom, and what a missing or zero denominator means."""

from dataclasses import replace

import pytest

from policies.engine.values import Outcome, Series
from tests.unit.policies.builders import judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
RATIO = "rate(errors, 5m) / rate(requests, 5m) > 0.05"


def counter(name: str, per_second: float, **tags: str) -> Series:
    return replace(series(name, [1000 + 15 * per_second * place for place in range(21)]), tags=tags)


def test_two_rates_are_divided() -> None:
    verdict = judge(RATIO, target(counter("errors", 2), counter("requests", 20)))
    assert verdict.outcome is V
    assert verdict.value == pytest.approx(0.1)
    assert verdict.reason == "rate(errors, 5m) / rate(requests, 5m) 0.1 > 0.05"


def test_few_errors_are_healthy() -> None:
    assert outcome(RATIO, target(counter("errors", 0.1), counter("requests", 20))) is H


def test_a_denominator_of_zero_is_no_data() -> None:
    verdict = judge(RATIO, target(counter("errors", 2), counter("requests", 0)))
    assert (verdict.outcome, verdict.value) == (U, None)
    assert verdict.reason == "rate(requests, 5m) is 0, so there is no ratio to judge"


def test_zero_over_zero_is_no_data_either() -> None:
    assert outcome(RATIO, target(counter("errors", 0), counter("requests", 0))) is U


def test_a_missing_denominator_is_no_data() -> None:
    verdict = judge("errors / requests > 0.05", target(series("errors", [5])))
    assert (verdict.outcome, verdict.reason) == (
        U,
        "errors has no requests of the same tags to be divided by; sum(...) on both sides needs none",
    )


def test_what_was_never_sent_is_named() -> None:
    assert judge("errors / requests > 1", target()).reason == "web-01 has never sent errors"


def test_a_stale_denominator_says_so() -> None:
    data = target(series("errors", [5]), series("requests", [9], newest=400))
    assert judge("errors / requests > 0.1", data).reason == "requests was last seen 6m40s ago and counts for 5m"


def test_series_of_the_same_tags_are_divided_and_the_worst_answers() -> None:
    data = target(
        series("used", [50], mount="/"),
        series("used", [95], mount="/var"),
        series("size", [100], mount="/var"),
        series("size", [100], mount="/"),
    )
    assert judge("used / size > 0.9", data).reason == 'used / size of {mount="/var"} 0.95 > 0.9'
    assert outcome("used / size > 0.9 on all series", data) is H
    assert outcome("used / size > 0.4 on all series", data) is V


def test_lone_series_are_divided_whatever_their_tags() -> None:
    data = target(series("errors", [5], code="500"), series("requests", [10]))
    assert judge("errors / requests > 0.4", data).value == 0.5


def test_several_without_partners_are_no_data() -> None:
    data = target(series("errors", [5], code="500"), series("errors", [5], code="502"), series("requests", [10]))
    assert outcome("errors / requests > 0.4", data) is U
    assert judge("sum(errors) / sum(requests) > 0.4", data).value == 1


def test_one_number_goes_with_every_series_on_either_side() -> None:
    data = target(series("errors", [8], code="500"), series("errors", [2], code="502"))
    assert judge("errors / sum(errors) > 0.7", data).value == 0.8
    assert judge("sum(errors) / errors > 4", data).value == 5


def test_a_ratio_recovers_at_its_second_number() -> None:
    data = target(series("ready", [93]), series("wanted", [100]))
    assert outcome("ready / wanted < 0.9 recover at 0.95", data) is H
    assert outcome("ready / wanted < 0.9 recover at 0.95", data, was_violated=True) is V


def test_a_series_that_fell_silent_in_trouble_keeps_the_answer_open() -> None:
    data = target(
        series("used", [95], mount="/var", newest=400),
        series("size", [100], mount="/var", newest=400),
        series("used", [50], mount="/"),
        series("size", [100], mount="/"),
    )
    assert outcome("used / size > 0.9", data) is H
    assert outcome("used / size > 0.9", data, was_violated=True) is U


def test_a_quotient_too_large_for_a_float_is_unknown() -> None:
    assert outcome("a / b > 1", target(series("a", [1e300]), series("b", [1e-300]))) is U


def test_a_ratio_inside_a_nested_for_is_read_from_history() -> None:
    data = target(series("a", [9, 9, 9, 9, 9]), series("b", [10, 10, 10, 10, 10]))
    assert outcome("a / b > 0.5 for 1m and a > 0", data) is V
    falling = target(series("a", [9, 1, 9, 9, 9]), series("b", [10, 10, 10, 10, 10]))
    assert outcome("a / b > 0.5 for 1m and a > 0", falling) is H
