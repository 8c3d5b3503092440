"""PromQL becomes a condition that says the same, or a sentence that says why not."""

from datetime import timedelta

import pytest

from policies.engine import language
from policies.engine.translation.parts import Untranslatable
from policies.engine.translation.translate import Translated, translate


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("up == 0", "up == 0"),
        ("(((up)) == (0))", "up == 0"),
        ("5 < a", "a > 5"),
        ("a >= 2 * 60", "a >= 120"),
        ("a > 10 ^ 2 % 7", "a > 2"),
        ("-a < -5", "a > 5"),
        ("a * 100 > 90", "a > 0.9"),
        ("100 - a * 100 > 90", "a < 0.1"),
        ("(1 - a) >= 0.2", "a <= 0.7999999999999999"),  # 1 - 0.8 is less than 0.2 in Prometheus too
        ("a / 1024 / 1024 > 5", "a > 5242880"),
        ("a * 0.1 > 0.3", "a > 2.9999999999999996"),
        ('a{x="y", z!="w", v=~"b|c", u!~"d.*"} > 1', 'a{x="y", z!="w", v=~"b|c", u!~"d.*"} > 1'),
        ('a{x="", y!=""} > 1', 'a{x!="?*", y="?*"} > 1'),
        ('a{x=~".+", y!~".+"} > 1', 'a{x="?*", y!="?*"} > 1'),
        ('a{x="b*c.d"} > 1', r'a{x=~"b\\*c\\.d"} > 1'),
        ('{__name__="a", x="y"} > 1', 'a{x="y"} > 1'),
        ("avg_over_time(a[90s]) > 1", "avg(a, 90s) > 1"),
        ("quantile_over_time(0.975, a[1h]) > 1", "p97.5(a, 1h) > 1"),
        ("rate(a[5m]) > 1", "rate(a, 5m) > 1"),
        ("predict_linear(a[6h], 4 * 3600) < 0", "a < 0 within 4h, from 6h"),
        ("a / b > 0.9", "a / b > 0.9"),
        ("a / b * 100 > 90", "a / b > 0.9"),
        ("(a - b) / a > 0.9", "b / a < 0.1"),
        ("(a - b) / a * 100 > 90", "b / a < 0.1"),
        ("a / b > 0.9 and b > 0", "a / b > 0.9"),
        ("b != 0 and a / b > 0.9", "a / b > 0.9"),
        ("a > 1 or b > 2 or c > 3", "a > 1 or b > 2 or c > 3"),
        ("a", "count(a) >= 1"),
    ],
)
def test_it_says_the_same(expression: str, said: str) -> None:
    assert translate(expression).sentence == said


@pytest.mark.parametrize(
    ("expression", "said", "target", "tag"),
    [
        ("a > 1", "a > 1", "*", ""),
        ("sum by (job) (a) > 1", "sum(a) > 1", "*", "job"),
        ("sum(a) by (job) > 1", "sum(a) > 1", "*", "job"),
        ('sum(a{job="x"}) > 1', 'sum(a{job="x"}) > 1', "x", "job"),
        ('sum by (job, pod) (a{job="x"}) > 1', 'sum(a{job="x"}) > 1', "*", "pod"),
        ("sum by (job, pod) (a) > 1", "sum(a by job, pod) > 1", "*", ""),
        ('count(a{job="x", instance="y:1"}) > 1', 'count(a{job="x", instance="y:1"}) > 1', "y:1", "instance"),
        ('absent(a{job="x"})', 'no a{job="x"} for 5m', "x", "job"),
        ('absent_over_time(a{job="x"}[2h])', 'no a{job="x"} for 2h', "x", "job"),
        ("a > 1 and on(instance) b > 2", "a > 1 and b > 2", "*", "instance"),
        ("sum by (job) (a) / sum by (job) (b) > 1", "sum(a) / sum(b) > 1", "*", "job"),
        ('absent(a{job="x"}) or a{job="x"} == 0', 'no a{job="x"} for 5m or a{job="x"} == 0', "x", "job"),
    ],
)
def test_whose_number_it_is_becomes_the_target(expression: str, said: str, target: str, tag: str) -> None:
    found = translate(expression)
    assert (found.sentence, found.target, found.target_tag) == (said, target, tag)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("a > b", "two metrics compared"),
        ("a - b > 1", "arithmetic of metrics"),
        ("1 / a > 1", "arithmetic"),
        ("a % 2 == 1", "arithmetic"),
        ("a > bool 1", "bool"),
        ("1 > bool 2", "bool"),
        ("rate(a[5m])", "no comparison"),
        ("a offset 5m > 1", "offset or @"),
        ("a @ 0 > 1", "offset or @"),
        ('{__name__=~"a.*"} > 1', "metric by pattern"),
        ('a{b="c" or d="e"} > 1', "matchers"),
        ("irate(a[5m]) > 1", "irate()"),
        ("time() - a > 1", "arithmetic of metrics"),
        ("abs(a) > 1", "abs()"),
        ("max_over_time(rate(a[5m])[1h:1m]) > 1", "subquery"),
        ("avg_over_time(a[1500ms]) > 1", "window"),
        ("avg_over_time(a[31d]) > 1", "window"),
        ("quantile_over_time(1, a[5m]) > 1", "quantile"),
        ("predict_linear(a[6h], 60) >= 1", "predict_linear()"),
        ("sum(a) > 1", "whole fleet"),
        ("absent(a)", "whole fleet"),
        ('sum(a{job="x*"}) > 1', "whole fleet"),
        ('sum(a{job="all"}) > 1', "whole fleet"),
        ("sum without (x) (a) > 1", "without"),
        ("topk(3, a) > 1", "topk()"),
        ("count(a == 0) > 1", "aggregated filter"),
        ("sum(a * 2) > 1", "aggregated number"),
        ("max(sum by (job) (a)) > 1", "aggregated number"),
        ("(a > 1) * 2 > 1", "filter in arithmetic"),
        ("a / on(job) b > 1", "on or ignoring"),
        ("a / ignoring(x) b > 1", "on or ignoring"),
        ("a / on(job) group_left b > 1", "group_left"),
        ("sum by (job) (a) / b > 1", "unlike groups"),
        ("a > 1 and b > 2", "joined by all labels"),
        ("a > 1 and ignoring(x) b > 2", "ignoring"),
        ("a > 1 and on() b > 2", "on"),
        ("sum by (job) (a) > 1 and on(pod) b > 2", "on"),
        ("sum by (job) (a) > 1 and b > 2", "unlike groups"),
        ("sum by (job) (a) > 1 or b > 2", "or"),
        ("a > 1 or on(job) b > 2", "or"),
        ("a > 1 unless on(job) b > 2", "unless"),
        ("a > 1e400", "threshold"),
        ("absent(sum(a))", "absent()"),
        (f"a > 1 {' or a > 2' * 60}", "limits"),
    ],
)
def test_what_a_condition_cannot_say_is_told(expression: str, kind: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        translate(expression)
    assert caught.value.kind == kind
    assert str(caught.value)


@pytest.mark.parametrize("expression", ["", "a >", "sum(", "rate(a) > 1", "nosuch(a) > 1", "a > b c"])
def test_what_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        translate(expression)
    assert not isinstance(caught.value, Untranslatable)


def test_for_goes_with_the_condition_and_adds_to_silence() -> None:
    two = timedelta(minutes=2)
    assert translate("a > 1", hold_for=two).sentence == "a > 1 for 2m"
    assert translate("a > 1 or b > 1", hold_for=two).sentence == "(a > 1 or b > 1) for 2m"
    assert translate('absent(a{job="x"})', hold_for=two).sentence == 'no a{job="x"} for 7m'


def test_one_series_for_each_target_may_be_taken_for_granted() -> None:
    found = translate("a > 1 and b > 2", join_per_target=True)
    assert found.sentence == "a > 1 and b > 2"
    assert found.notes == ("both sides are taken to have one series for each target",)


@pytest.mark.parametrize(
    ("expression", "note"),
    [
        ("a / b > 1", "denominator of zero"),
        ("a / b > 1 and b > 0", "a negative one is judged here"),
        ('absent(a{job="x"})', "never heard is unknown"),
        ("sum by (pod) (a) > 1", "without the label pod"),
    ],
)
def test_where_the_two_differ_a_note_says_so(expression: str, note: str) -> None:
    assert any(note in one for one in translate(expression).notes)


@pytest.mark.parametrize("expression", ["rate(a[5m]) / rate(b[5m]) > 1 and rate(b[5m]) > 0", "sum by (job) (a) > 1"])
def test_where_they_do_not_differ_no_note_warns(expression: str) -> None:
    assert not any("negative" in note or "label" in note for note in translate(expression).notes)


def test_a_translation_is_a_condition_that_can_be_stored() -> None:
    found: Translated = translate("sum by (job, pod) (rate(a[5m])) / sum by (job, pod) (rate(b[5m])) > 0.5")
    assert language.from_json(language.to_json(found.condition)) == found.condition
    assert language.parse(found.sentence) == found.condition
