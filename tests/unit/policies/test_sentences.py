"""Conditions as sentences: what they mean, how they are written, and how a mistake is pointed at."""

import json
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.engine import evaluation, language
from policies.engine.conditions import Condition
from policies.engine.language import ConditionError, SentenceError
from policies.engine.values import TargetData
from tests.unit.policies.builders import NOW
from tests.unit.policies.trees import trees

ANY_TREE = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@ANY_TREE
@given(trees)
def test_any_tree_survives_both_languages(tree: Condition) -> None:
    sentence, document = language.to_sentence(tree), language.to_json(tree)
    assert language.parse(sentence) == tree
    assert language.from_json(json.loads(json.dumps(document))) == tree
    assert language.to_sentence(language.parse(sentence)) == sentence
    assert language.to_json(language.from_json(document)) == document


@ANY_TREE
@given(trees)
def test_any_tree_can_be_judged_without_data(tree: Condition) -> None:
    empty = TargetData(target="web-01")
    assert evaluation.evaluate(tree, empty, at=NOW, staleness=timedelta(minutes=5)).reason


words = st.sampled_from(
    [
        *"(){},<>=",
        "and",
        "or",
        "not",
        "no",
        "for",
        "5m",
        "90",
        "cpu",
        "avg",
        "..",
        '"x"',
        "event",
        "on",
        "all",
        "series",
    ]
)


def refusal(text: str) -> SentenceError | None:
    try:
        language.parse(text)
    except SentenceError as error:
        return error
    return None


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=40), st.lists(words, max_size=14).map(" ".join)))
def test_any_text_is_a_condition_or_an_error_that_points_into_it(text: str) -> None:
    error = refusal(text)
    if error is None:
        assert language.parse(language.to_sentence(language.parse(text))) == language.parse(text)
    else:
        assert 0 <= error.position <= len(text)
        assert error.expected
        assert error.pointed().endswith("^")


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(language.TYPES)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["type", "metric", "threshold", "conditions", "condition", "for", "tags", "window", "x"]),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=20,
)


def complaints(value: object) -> tuple[tuple[str, str], ...] | None:
    try:
        language.from_json(value)
    except ConditionError as error:
        return error.errors
    return None


@settings(max_examples=500)
@given(json_values)
def test_any_json_is_a_condition_or_an_error_with_paths(value: object) -> None:
    errors = complaints(value)
    if errors is None:
        tree = language.from_json(value)
        assert language.from_json(language.to_json(tree)) == tree
    else:
        assert errors
        assert all(message for _, message in errors)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("cpu>90", "cpu > 90"),
        ("cpu = 5", "cpu == 5"),
        ("CPU > 90 FOR 2m", "CPU > 90 for 2m"),
        ("cpu > 90 for 120s recover at 80", "cpu > 90 recover at 80 for 2m"),
        ("cpu > 90 on any series", "cpu > 90"),
        ("((cpu > 90))", "cpu > 90"),
        ("(cpu > 90) for 2m", "cpu > 90 for 2m"),
        ("a > 1 or b > 2 and c > 3", "a > 1 or (b > 2 and c > 3)"),
        ("not a > 1 and b > 2", "not a > 1 and b > 2"),
        ("not (a > 1 and b > 2)", "not (a > 1 and b > 2)"),
        ("not a > 1 for 2m", "not a > 1 for 2m"),
        ("(not a > 1) for 2m", "(not a > 1) for 2m"),
        ("((a > 1 and b > 2) for 1m) or c > 3", "(a > 1 and b > 2) for 1m or c > 3"),
        ("1 deploy event", "deploy event in 5m"),
        ("AVG(cpu, 300s) > .5", "avg(cpu, 5m) > 0.5"),
        ('"cpu" > 90', "cpu > 90"),
        ('"or" > 9e1', '"or" > 90'),
        ("cpu > +5", "cpu > 5"),
        ("temp outside -5..-1.5", "temp outside -5..-1.5"),
        ("rate(a,5m)/rate(b,5m)>.05", "rate(a, 5m) / rate(b, 5m) > 0.05"),
        ("a / b < 1 for 2m recover at 2", "a / b < 1 recover at 2 for 2m"),
        ("sum by (zone) (rate(a, 5m)) > 1", "sum(rate(a, 5m) by zone) > 1"),
        ("sum by zone (a) > 1", "sum(a by zone) > 1"),
        ("sum(a) by (zone, rack) > 1", "sum(a by zone, rack) > 1"),
        ("sum(a by (zone)) / sum by (zone) (b) > 1", "sum(a by zone) / sum(b by zone) > 1"),
        ("quantile(0.97, a, 5m) > 1", "p97(a, 5m) > 1"),
        ("quantile(.999, a, 5m) > 1", "p99.9(a, 5m) > 1"),
        ("a anomalous over 60m using robust_z beyond 4 sigma", "a anomalous over 1h"),
        ("a anomalously HIGH over 7d using seasonal every 1d", "a anomalously high over 7d using seasonal"),
        ("disk > 95 within 4h from 6h", "disk > 95 within 4h, from 6h"),
        ('promql "up == 0" from prometheus', 'promql "up == 0"'),
        ("critical anomalous event", "critical anomalous event in 5m"),
        ("by > 1", "by > 1"),
        ("down event resolved by up with same (host)", "down event in 5m resolved by up with same host"),
    ],
)
def test_there_is_one_way_to_write_each(written: str, canonical: str) -> None:
    assert language.to_sentence(language.parse(written)) == canonical


@pytest.mark.parametrize(
    ("sentence", "position", "expected", "suggestion"),
    [
        ("", 0, "a metric such as", None),
        ("cpu", 3, "expected a comparison", None),
        ("cpu >", 5, "expected a number", None),
        ("cpu > ninety", 6, "expected a number", None),
        ("cpu >> 90", 5, "expected a number", None),
        ("cpu > 90%", 8, "without `%`", None),
        ("cpu outsid 10..90", 4, "expected a comparison", "outside"),
        ("cpu outside 10", 14, "upper end", None),
        ("cpu outside 90..10", 16, "must be above low", None),
        ("cpu > 90 fro 2m", 9, "`for`", "for"),
        ("cpu > 90 for", 12, "expected a duration", None),
        ("cpu > 90 for 2", 13, "whole number and a unit", None),
        ("cpu > 90 for 2w", 13, "30s, 5m, 2h or 1d", None),
        ("cpu > 90 for 1m for 2m", 16, "said twice", None),
        ("cpu > 90 recover 80", 17, "expected `at`", None),
        ("cpu > 90 recover at 95", 20, "above the threshold", None),
        ("cpu == 90 recover at 95", 21, "has a meaning only", None),
        ("cpu > 90 on every series", 12, "`all series`", None),
        ("cpu > 90 on all seris", 16, "expected `series`", "series"),
        ("sum(cpu) > 90 on all series", 27, "already makes one number", None),
        ("agv(cpu, 5m) > 90", 0, "expected an aggregate", "avg"),
        ("rate(cpu) > 90", 8, "expected a window", None),
        ("mean(cpu) > 90", 0, "write `avg(..., 5m)`", None),
        ("avg(cpu, 5m > 90", 12, "expected `)`", None),
        ("sum(sum(cpu)) > 1", 12, "one number already", None),
        ("cpu{region} > 1", 10, "expected =, !=", None),
        ("cpu{region=us} > 1", 11, "double quotes", None),
        ("cpu{region='us'} > 1", 11, "double quotes", None),
        ('cpu{region="us} > 1', 11, "never closed", None),
        ('cpu{region="u\\s"} > 1', 14, "after a backslash", None),
        ('cpu{region=~"(u"} > 1', 12, "RE2", None),
        ('cpu{region="us" > 1', 16, "expected `,` or `}`", None),
        ("no heartbeat", 12, "expected `for`", None),
        ("no heartbeat fro 2m", 13, "expected `for`", "for"),
        ("3 deploy_failed evnts in 5m", 16, "expected `event`", "events"),
        ("deploy_failed evnt in 5m", 14, "or `event`", "event"),
        ("critical deploy_failed evnt in 5m", 23, "expected `event`", "event"),
        ("1.5 deploy events in 5m", 0, "whole number", None),
        ("0 deploy events in 5m", 0, "from 1 to", None),
        ("5xx > 3", 0, "begins with a digit", None),
        ('"" > 3', 0, "blank", None),
        ("cpu > 1e400", 6, "too large", None),
        ("(cpu > 90", 9, "`)`", None),
        ("cpu > 90)", 8, "or the end", None),
        ("cpu > 90 and", 12, "a metric such as", None),
        ("cpu > 90 adn mem > 1", 9, "`and`", "and"),
        ("(cpu > 90 for 1m) for 2m", 18, "has a `for` already", None),
        ("not ((a > 1 for 1m and b > 2) for 2m)", 12, "inside another one", None),
        ("rate(a, 5m) / 100 > 1", 14, "the name of a metric", None),
        ("rate(a, 5m) / rate(b, 5m) outside 1..2", 26, "expected a comparison", None),
        ("a / b > 5 recover at 9", 21, "above the threshold", None),
        ("sum(a) / sum(b) > 5 on all series", 20, "one number already", None),
        ("cpu > 1 / 5", 8, "no arithmetic", None),
        ("cpu * 2 > 1", 4, "no arithmetic", None),
        ("avg_over_time(cpu[5m]) > 1", 0, "write `avg(..., 5m)`", None),
        ("cpu > 1 && mem > 1", 8, "write `and`", None),
        ("cpu > 1 || mem > 1", 8, "write `or`", None),
        ("!cpu > 1", 0, "write `not`", None),
        ("sum(cpu by) > 1", 10, "the name of a tag", None),
        ("sum by (zone (cpu) > 1", 13, "`,` or `)`", None),
        ("rate(cpu, 5m) by (zone) > 1", 14, "goes with one of avg", None),
        ("sum by (zone) (cpu by rack) > 1", 0, "said twice", None),
        ("sum(cpu by zone) > 1 or sum(cpu) > 5", 24, "say `by zone` here too", None),
        ("sum(cpu by zone) > 1 or sum(cpu by rack) > 5", 32, "same tags, here zone", None),
        ("sum(avg(rate(cpu, 5m))) > 1", 8, "nothing goes deeper", None),
        ("quantile(97, cpu, 5m) > 1", 9, "between 0 and 1", None),
        ("quantile(0.97, cpu) > 1", 18, "a window", None),
        ("latency anomalus over 1h", 8, "expected a comparison", "anomalous"),
        ("latency anomalous", 17, "expected `over`", None),
        ("latency anomalous ovr 1h", 18, "expected `over`", "over"),
        ("latency anomalously hgh over 1h", 20, "`high` or `low`", "high"),
        ("latency anomalous over 1h using robst_z", 32, "a method", "robust_z"),
        ("latency anomalous over 1h beyond 3", 34, "expected `sigma`", None),
        ("latency anomalous over 1h using seasonal", 18, "two periods", None),
        ("latency anomalous over 1h beyond 0 sigma", 33, "above 0", None),
        ("disk > 95 within 4h", 19, "expected `from`", None),
        ("disk == 95 within 4h, from 6h", 5, "says > or <", None),
        ("avg(disk, 5m) > 95 within 4h, from 6h", 19, "only a metric itself", None),
        ("disk > 95 withn 4h", 10, "or the end", "within"),
        ("promql up", 7, "in double quotes", None),
        ('promql " "', 7, "blank", None),
        ('promql "up" from', 16, "the name of a server", None),
        ('not promql "up" for 5m', 16, "no past", None),
        ("link_down event resolved", 24, "expected `by`", None),
        ("link_down event resolved by", 27, "an event or its tags", None),
        ("link_down event resolved by link_up with host", 41, "expected `same`", None),
        ("link_down event resolvd by link_up", 16, "or the end", "resolved"),
        ("not " * 41 + "a > 1", 164, "may be open at once", None),
        ("not " * 8 + "a > 1", 0, "8 levels deep", None),
        (" or ".join(["a > 1"] * 50), 0, "50 parts", None),
        ("a > 1 and (b / c > 2 recover at 9 or d > 3)", 32, "above the threshold", None),
        ("a > 1 and sum(b) / sum(c by zone) > 2", 10, "say `by zone` here too", None),
        ("temp outside 1..9 recover at 8..2", 32, "above recover.low", None),
        ("3 critcal deploy events in 5m", 2, "did you mean `critical`", None),
        ("three deploy events in 5m", 0, "one of info, warning, critical", None),
        ('"de**y" event', 0, "`**`", None),
    ],
)
def test_a_mistake_is_pointed_at(sentence: str, position: int, expected: str, suggestion: str | None) -> None:
    with pytest.raises(SentenceError) as caught:
        language.parse(sentence)
    assert expected in caught.value.expected
    assert (caught.value.position, caught.value.suggestion) == (position, suggestion)


@pytest.mark.parametrize(
    ("sentence", "position", "instead"),
    [
        ("rate(http_requests_total[90s]) > 1", 24, "write `, 90s`"),
        ("quantile_over_time(0.9, latency[5m]) > 1", 0, "write `quantile(0.95, ..., 5m)`"),
        ("irate(requests, 5m) > 1", 0, "write `rate(..., 5m)`"),
        ("absent(heartbeat)", 0, "write `no heartbeat for 2m`"),
        ("predict_linear(disk[6h], 4h) > 95", 0, "within 4h, from 6h"),
        ("histogram_quantile(0.9, latency) > 1", 0, "ask a Prometheus"),
        ("p100(latency, 5m) > 1", 0, "between p0 and p100"),
        ("sum(errors) without (zone) > 5", 12, "name the tags to keep"),
        ("a > 1 unless b > 1", 6, "write `and not`"),
        ("a > 1 offset 1h", 6, "ask a Prometheus"),
        ("a => 1", 2, "write `>=`"),
        ("a =< 1", 2, "write `<=`"),
        ("a <> 1", 2, "write `!=`"),
        ("a \u2265 1", 2, "write `>=`"),
        ("a above 1", 2, "write `>`"),
        ("a is above 1", 2, "write a sign"),
        ("avg(a, 5m) exceeds 1", 11, "write `>`"),
        ("a between 1 and 2", 2, "`outside 10..90`"),
        ("a not in 1..2", 2, "`not` stands before"),
        ("latency anomaly over 1h", 8, "write `anomalous over 1h`"),
        ("90 < a", 0, "number on the right"),
        ("cpu percent > 90", 4, "double quotes"),
        ("a > b", 4, "divide them"),
        ("a > true", 4, "expected a number"),
        ("a > 10GB", 4, "without a unit"),
        ("a > 9,000", 5, "write `9000`"),
        ("a > 90for 2m", 4, "a space is missing"),
        ("a > \uff19\uff10", 4, "digits 0 to 9"),
        ("temp\u00e9rature > 1", 4, "goes in double quotes"),
        ("\ufeffa > 1", 0, "U+FEFF"),
        ("a > 1, b > 2", 5, "write `and`"),
        ("a > 1 for 5m, recover at 0", 12, "leave the `,` out"),
        ("a > 1; restart", 5, "`action`"),
        ("a > 1 then restart", 6, "`action`"),
        ("if a > 1", 0, "leave it out"),
        ("a > 1 over 5m", 6, "stands with its aggregate"),
        ("deploy_failed event within 5m", 20, "write `in`"),
        ("a - b > 1", 2, "no arithmetic"),
        ("a > 1 for 2min", 10, "did you mean `2m`?"),
        ("a > 1 for 2 minutes", 10, "did you mean `2m`?"),
        ("a > 1 FOR 2M", 10, "did you mean `2m`?"),
        ("a > 1 for 1h30m", 10, "did you mean `90m`?"),
        ("a > 1 for 1.5h", 10, "did you mean `90m`?"),
        ("a > 1 for 1w", 10, "did you mean `7d`?"),
    ],
)
def test_habits_of_other_languages_are_told_what_to_write(sentence: str, position: int, instead: str) -> None:
    with pytest.raises(SentenceError) as caught:
        language.parse(sentence)
    assert instead in str(caught.value)
    assert caught.value.position == position


def test_the_first_mistake_is_told_although_a_later_character_is_unreadable() -> None:
    with pytest.raises(SentenceError, match="did you mean `for`"):
        language.parse("cpu > 90 fro 2m && mem > 1")


def test_a_word_that_only_looks_like_another_is_not_suggested() -> None:
    with pytest.raises(SentenceError) as caught:
        language.parse("cpu recent")
    assert caught.value.suggestion is None


def test_severities_are_read_in_capitals_too() -> None:
    assert language.to_sentence(language.parse("2 CRITICAL deploy events in 1h")) == "2 critical deploy events in 1h"


def test_the_message_and_the_caret() -> None:
    with pytest.raises(SentenceError) as caught:
        language.parse("cpu > 90 fro 2m")
    assert str(caught.value) == "at character 10: expected `and`, `or`, `for` or the end; did you mean `for`?"
    assert caught.value.pointed() == "cpu > 90 fro 2m\n         ^"


def test_only_the_surroundings_of_a_far_mistake_are_shown() -> None:
    with pytest.raises(SentenceError) as caught:
        language.parse("a > 1 and " * 40 + "cpu >\n?")
    line, caret = caught.value.pointed().split("\n")
    assert line.endswith("cpu > ?")
    assert caret.index("^") == line.index("?") == 60


@pytest.mark.parametrize(
    "sentence",
    [
        "(" * 100_000,
        "sum(" * 40_000,
        "a / " * 50_000,
        "not " * 50_000,
        "a" * 200_001,
        '"' + "\\" * 100_000,
        "9" * 100_000,
    ],
)
def test_a_huge_sentence_is_refused_quickly(sentence: str) -> None:
    started = time.perf_counter()
    with pytest.raises(SentenceError):
        language.parse(sentence)
    assert time.perf_counter() - started < 2
