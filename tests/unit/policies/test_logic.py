"""all, any and not in three values."""

from datetime import timedelta
from itertools import product

import pytest

from policies.engine import conditions, language
from policies.engine.values import Outcome, TargetData
from tests.unit.policies.builders import judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
LEAF = {V: "bad > 90", H: "good > 90", U: "missing > 90"}


def data() -> TargetData:
    return target(series("bad", [95]), series("good", [10]))


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [((a, b), V if a is b is V else H if H in (a, b) else U) for a, b in product((V, H, U), repeat=2)],
)
def test_and_is_violated_only_if_both_are(kinds: tuple[Outcome, Outcome], expected: Outcome) -> None:
    assert outcome(" and ".join(LEAF[kind] for kind in kinds), data()) is expected


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [((a, b), V if V in (a, b) else H if a is b is H else U) for a, b in product((V, H, U), repeat=2)],
)
def test_or_is_healthy_only_if_both_are(kinds: tuple[Outcome, Outcome], expected: Outcome) -> None:
    assert outcome(" or ".join(LEAF[kind] for kind in kinds), data()) is expected


@pytest.mark.parametrize(("kind", "expected"), [(V, H), (H, V), (U, U)])
def test_not_turns_known_answers_and_keeps_unknown(kind: Outcome, expected: Outcome) -> None:
    assert outcome(f"not {LEAF[kind]}", data()) is expected


def test_only_the_deciding_parts_are_the_reason() -> None:
    assert judge("bad > 90 or good > 90", data()).reason == "bad 95 > 90"
    assert judge("bad > 90 and good < 20", data()).reason == "bad 95 > 90 and good 10 < 20"
    assert judge("bad > 90 and missing > 1", data()).reason == "web-01 has never sent missing"


def test_many_reasons_are_cut_short() -> None:
    sentence = " and ".join(["bad > 90"] * 5)
    assert judge(sentence, data()).reason == "bad 95 > 90 and bad 95 > 90 and bad 95 > 90 and 2 more"


def test_numbers_of_the_parts_are_kept_apart() -> None:
    verdict = judge("bad > 90 and missing > 1", data())
    assert verdict.numbers == {"1.bad": 95, "1.threshold": 90, "2.missing": None, "2.threshold": 1}


def test_not_recovers_on_its_other_side() -> None:
    sentence = "not cpu < 10 recover at 20"
    between = target(series("cpu", [15]))
    assert outcome(sentence, between, was_violated=False) is H
    assert outcome(sentence, between, was_violated=True) is V


@pytest.mark.parametrize(
    ("sentence", "metrics", "events"),
    [
        ("cpu > 90 for 5m", {"cpu": None}, {}),
        ("avg(cpu, 5m) > 90 for 5m", {"cpu": 300}, {}),
        ("cpu > 90 and avg(cpu, 5m) > 80", {"cpu": 300}, {}),
        ("cpu > 90 for 2m or mem > 1", {"cpu": 420, "mem": None}, {}),
        ("avg(cpu, 5m) > 90 for 2m or mem > 1", {"cpu": 420, "mem": None}, {}),
        ("(cpu > 90 and mem > 1) for 2m or up < 1", {"cpu": 420, "mem": 420, "up": None}, {}),
        ("no heartbeat for 2m", {"heartbeat": None}, {}),
        ("(no heartbeat for 2m or cpu > 1) for 1m and cpu > 1", {"heartbeat": 180, "cpu": 360}, {}),
        ("3 deploy_failed events in 5m", {}, {"deploy_failed": 300}),
        ("deploy event in 5m for 1m or deploy event in 1m", {}, {"deploy": 360}),
    ],
)
def test_needs_reach_back_as_far_as_windows_and_nested_holds(
    sentence: str, metrics: dict[str, int | None], events: dict[str, int]
) -> None:
    needs = conditions.needs(language.parse(sentence))
    assert needs.metrics == {name: None if back is None else timedelta(seconds=back) for name, back in metrics.items()}
    assert needs.events == {name: timedelta(seconds=back) for name, back in events.items()}


def test_plain_questions_about_a_tree() -> None:
    tree = language.parse("(cpu > 90 or no heartbeat for 2m or deploy event in 5m) for 3m")
    assert conditions.metrics_of(tree) == {"cpu", "heartbeat"}
    assert conditions.events_of(tree) == {"deploy"}
    assert conditions.top_level_hold(tree) == timedelta(minutes=3)
    assert conditions.has_absence(tree)
    assert not conditions.has_absence(language.parse("cpu > 90"))
    assert conditions.top_level_hold(language.parse("no heartbeat for 2m")) == timedelta(0)
