"""A single comparison on the newest value."""

import math

import pytest

from policies.engine.values import Outcome
from tests.unit.policies.builders import judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("sentence", "value", "expected"),
    [
        ("cpu > 90", 91, V),
        ("cpu > 90", 90, H),
        ("cpu < 10", 9, V),
        ("cpu < 10", 10, H),
        ("cpu >= 90", 90, V),
        ("cpu >= 90", 89.9, H),
        ("cpu <= 10", 10, V),
        ("cpu <= 10", 10.1, H),
        ("cpu == 5", 5, V),
        ("cpu == 5", 6, H),
        ("cpu != 5", 6, V),
        ("cpu != 5", 5, H),
        ("cpu outside 10..90", 91, V),
        ("cpu outside 10..90", 9, V),
        ("cpu outside 10..90", 90, H),
        ("cpu outside 10..90", 10, H),
    ],
)
def test_each_comparison_has_the_boundary_its_sign_says(sentence: str, value: float, expected: Outcome) -> None:
    assert outcome(sentence, target(series("cpu", [value]))) is expected


@pytest.mark.parametrize("sign", [">", "<", ">=", "<=", "==", "!="])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_finite_number_satisfies_no_comparison(sign: str, value: float) -> None:
    assert outcome(f"cpu {sign} 5", target(series("cpu", [value]))) is U


def test_nan_lies_neither_in_nor_outside_a_band() -> None:
    assert outcome("cpu outside 1..2", target(series("cpu", [math.nan]))) is U


def test_without_data_the_answer_is_unknown() -> None:
    verdict = judge("cpu > 90", target())
    assert (verdict.outcome, verdict.reason) == (U, "web-01 has never sent cpu")


@pytest.mark.parametrize(("age", "expected"), [(0, V), (299, V), (300, V), (301, U), (86_400, U)])
def test_a_value_counts_for_the_staleness_window(age: float, expected: Outcome) -> None:
    assert outcome("cpu > 90", target(series("cpu", [95], newest=age))) is expected


def test_a_stale_value_is_named_with_its_age() -> None:
    verdict = judge("cpu > 90", target(series("cpu", [95], newest=720)))
    assert verdict.reason == "cpu was last seen 12m ago and counts for 5m"
    assert verdict.newest_at is not None
    assert verdict.value is None


def test_a_sample_from_the_future_does_not_exist_yet() -> None:
    assert outcome("cpu > 90", target(series("cpu", [10, 95], newest=-10))) is H


@pytest.mark.parametrize(
    ("sentence", "value", "reason"),
    [
        ("cpu_usage > 90", 92, "cpu_usage 92 > 90"),
        ("cpu_usage > 90", 87.5, "cpu_usage 87.5 <= 90"),
        ("cpu_usage > 90", 90.0000001, "cpu_usage 90.0000001 > 90"),
        ("cpu_usage > 90", 92.123456789, "cpu_usage 92.1235 > 90"),
        ("bytes > 1000000", 1234567.8, "bytes 1234567.8 > 1000000"),
        ("cpu_usage outside 10..90", 95, "cpu_usage 95 outside 10..90"),
        ("cpu_usage outside 10..90", 50, "cpu_usage 50 within 10..90"),
        ("errors == 0", 0, "errors 0 == 0"),
        ("errors != 0", 0, "errors 0 == 0"),
    ],
)
def test_the_reason_is_a_true_statement_with_its_numbers(sentence: str, value: float, reason: str) -> None:
    name = sentence.split()[0]
    assert judge(sentence, target(series(name, [value]))).reason == reason


def test_the_verdict_carries_value_and_numbers() -> None:
    verdict = judge("cpu > 90 recover at 80", target(series("cpu", [92])), was_violated=True)
    assert verdict.value == 92
    assert verdict.numbers == {"cpu": 92, "threshold": 90, "recover": 80}


@pytest.mark.parametrize(
    ("sentence", "value", "before", "expected"),
    [
        ("cpu > 90 recover at 80", 85, False, H),
        ("cpu > 90 recover at 80", 85, True, V),
        ("cpu > 90 recover at 80", 80, True, V),
        ("cpu > 90 recover at 80", 79.9, True, H),
        ("free < 10 recover at 20", 15, False, H),
        ("free < 10 recover at 20", 15, True, V),
        ("free < 10 recover at 20", 20, True, V),
        ("free < 10 recover at 20", 21, True, H),
        ("temp outside 10..90 recover at 20..80", 85, False, H),
        ("temp outside 10..90 recover at 20..80", 85, True, V),
        ("temp outside 10..90 recover at 20..80", 15, True, V),
        ("temp outside 10..90 recover at 20..80", 50, True, H),
    ],
)
def test_once_violated_it_is_healthy_only_beyond_recover(
    sentence: str, value: float, before: bool, expected: Outcome
) -> None:
    name = sentence.split()[0]
    assert outcome(sentence, target(series(name, [value])), was_violated=before) is expected


def test_a_value_between_the_two_lines_says_what_it_waits_for() -> None:
    verdict = judge("cpu > 90 recover at 80", target(series("cpu", [85])), was_violated=True)
    assert verdict.reason == "cpu 85 not yet < 80"


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ('region="us-*"', V),
        ('region="eu-*"', U),
        ('region!="eu-*"', V),
        ('region!="us-*"', U),
        ('region=~"us-(east|west)-[0-9]"', V),
        ('region=~"us"', U),
        ('region!~"us"', V),
        ('region!~"us-.*"', U),
        ('zone="?*"', U),
        ('zone!="?*"', V),
        ('region="us-*", host="web-0?"', V),
        ('region="us-*", host="db-0?"', U),
        ('region="us-*", region!="us-east-1"', U),
    ],
)
def test_tag_matchers_choose_the_series(matcher: str, expected: Outcome) -> None:
    data = target(series("cpu", [95], region="us-east-1", host="web-01"))
    assert outcome(f"cpu{{{matcher}}} > 90", data) is expected
