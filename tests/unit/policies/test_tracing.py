"""A trace: every part of a condition with its own verdict, and the samples that had a say."""

from hypothesis import given

from policies.engine import evaluation, language, tracing
from policies.engine.conditions import Condition
from policies.engine.tracing import Trace
from policies.engine.values import Outcome, TargetData
from tests.unit.policies import trees
from tests.unit.policies.builders import NOW, STALENESS, event, series, target


def trace(sentence: str, data: TargetData, *, was_violated: bool = False) -> Trace:
    return tracing.trace(language.parse(sentence), data, at=NOW, staleness=STALENESS, was_violated=was_violated)


def test_each_part_says_what_it_found() -> None:
    traced = trace("cpu > 90 and not mem > 50", target(series("cpu", [92]), series("mem", [40])))
    assert [(part.sentence, part.verdict.outcome) for part in traced.parts] == [
        ("cpu > 90", Outcome.VIOLATED),
        ("not mem > 50", Outcome.VIOLATED),
    ]
    assert [leaf.verdict.reason for leaf in traced.leaves()] == ["cpu 92 > 90", "mem 40 <= 50"]


def test_a_value_is_traced_to_its_newest_sample() -> None:
    [looked] = trace("cpu > 90", target(series("cpu", [80, 92]))).looked
    assert [(sample.id, sample.value) for sample in looked.samples] == [(1, 92)]


def test_a_window_is_traced_to_the_samples_inside_it() -> None:
    [looked] = trace("avg(cpu, 30s) > 90", target(series("cpu", [1, 2, 91, 92], every=15))).looked
    assert [sample.id for sample in looked.samples] == [2, 3]


def test_a_ratio_is_traced_to_both_its_sides() -> None:
    traced = trace("errors / requests > 0.05", target(series("errors", [1]), series("requests", [10])))
    assert [looked.series.name for looked in traced.looked] == ["errors", "requests"]


def test_a_silence_is_traced_to_what_was_heard_last() -> None:
    [looked] = trace("no heartbeat for 2m", target(series("heartbeat", [1, 1], newest=300))).looked
    assert [sample.id for sample in looked.samples] == [1]


def test_events_are_traced_also_those_that_take_back() -> None:
    came = [event("link_down", 60), event("link_up", 30)]
    traced = trace('"link_*" event in 5m resolved by link_up', target(events=came))
    assert [event.name for event in traced.events] == ["link_down", "link_up"]


def test_the_other_side_of_a_not_recovers_where_the_whole_does() -> None:
    traced = trace("not cpu > 90 recover at 80", target(series("cpu", [85])), was_violated=True)
    assert traced.verdict.outcome is Outcome.VIOLATED
    assert traced.parts[0].verdict.outcome is Outcome.HEALTHY


@given(condition=trees.trees)
def test_the_whole_is_judged_as_ever(condition: Condition) -> None:
    data = target(series("cpu", [92, 95]), events=[event("deploy", 10)])
    traced = tracing.trace(condition, data, at=NOW, staleness=STALENESS)
    assert traced.verdict == evaluation.evaluate(condition, data, at=NOW, staleness=STALENESS)
    assert len(list(traced.leaves())) >= 1
