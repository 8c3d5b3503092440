"""Queries that a configured server answers, or does not."""

from dataclasses import replace

import pytest

from policies.engine import conditions, language
from policies.engine.values import Answer, Answered, Outcome, Question, TargetData
from tests.unit.policies.builders import ago, judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
UP = Question("prometheus", "up == 0")
SENTENCE = 'promql "up == 0"'


def data(answer: Answer) -> TargetData:
    return replace(target(series("cpu", [50])), answers={UP: answer})


def test_anything_about_the_target_is_a_violation() -> None:
    verdict = judge(SENTENCE, data(Answer(at=ago(5), results=(Answered(labels={"job": "api"}, value=0),))))
    assert (verdict.outcome, verdict.value, verdict.newest_at) == (V, 0, ago(5))
    assert verdict.reason == 'prometheus answered 0 for {job="api"}'


def test_several_results_are_counted() -> None:
    both = (Answered(value=1.5), Answered(value=2))
    assert judge(SENTENCE, data(Answer(at=ago(5), results=both))).reason == "prometheus answered 1.5 and 1 more"


def test_nothing_about_the_target_is_healthy() -> None:
    verdict = judge(SENTENCE, data(Answer(at=ago(5))))
    assert (verdict.outcome, verdict.reason) == (H, "prometheus found nothing wrong with web-01")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(at=ago(5), failure="connection refused"), "prometheus could not answer: connection refused"),
        (
            Answer(at=ago(5), failure="bad", results=(Answered(value=1),)),
            "prometheus could not answer: bad",
        ),
        (Answer(at=ago(301)), "prometheus last answered 5m1s ago, and that counts for 5m"),
        (Answer(at=ago(-5)), "prometheus was not asked"),
    ],
    ids=["failed", "failed with results", "old", "later than now"],
)
def test_no_usable_answer_is_unknown_never_healthy(answer: Answer, reason: str) -> None:
    verdict = judge(SENTENCE, data(answer))
    assert (verdict.outcome, verdict.reason) == (U, reason)


def test_a_server_that_was_not_asked_is_unknown() -> None:
    assert judge(SENTENCE, target()).reason == "prometheus was not asked"
    assert outcome(f"not {SENTENCE}", target()) is U


def test_other_parts_still_decide() -> None:
    assert outcome(f"cpu > 40 or {SENTENCE}", data(Answer(at=ago(5), failure="gone"))) is V
    assert outcome(f"cpu > 40 and {SENTENCE}", data(Answer(at=ago(5), failure="gone"))) is U


def test_a_nested_for_beside_it_does_not_look_back_on_it() -> None:
    assert outcome(f"cpu > 40 for 1m and {SENTENCE}", data(Answer(at=ago(5)))) is H


def test_the_questions_of_a_condition_are_among_its_needs() -> None:
    condition = language.parse('promql "a" or promql "b" from mimir and cpu > 1')
    asked = {Question("prometheus", "a"), Question("mimir", "b")}
    assert conditions.questions_of(condition) == conditions.needs(condition).questions == asked


def test_an_answer_is_cut_down_to_those_it_concerns() -> None:
    both = (Answered(labels={"instance": "a"}, value=1), Answered(labels={"instance": "b"}, value=2))
    whole = Answer(at=ago(5), results=both)
    assert whole.about(lambda labels: labels["instance"] == "b").results == both[1:]
    failed = Answer(at=ago(5), failure="gone")
    assert failed.about(lambda labels: False) == failed
