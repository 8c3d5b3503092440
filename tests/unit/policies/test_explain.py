"""Sentences for people."""

from datetime import timedelta

import pytest

from policies.engine import explain, lifecycle
from policies.engine.lifecycle import IncidentState, Status, Step, Timings, Transition
from policies.engine.values import Outcome
from tests.unit.policies.builders import NOW, verdict


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (Outcome.VIOLATED, "web-01 violates high-cpu: cpu 92 > 90."),
        (Outcome.HEALTHY, "web-01 is healthy for high-cpu: cpu 92 > 90."),
        (Outcome.UNKNOWN, "Whether web-01 violates high-cpu is unknown: cpu 92 > 90."),
    ],
)
def test_a_verdict(outcome: Outcome, sentence: str) -> None:
    assert explain.verdict(verdict(outcome, "cpu 92 > 90"), policy="high-cpu", target="web-01") == sentence


def test_a_step_that_opened_an_incident() -> None:
    step = lifecycle.advance(IncidentState(), verdict(Outcome.VIOLATED, "cpu 92 > 90"), NOW, Timings())
    said = explain.step(step, policy="high-cpu", target="web-01")
    assert said == "An incident of high-cpu opened on web-01: cpu 92 > 90."


def test_a_step_in_grace_says_until_when_nothing_is_ordered() -> None:
    seen = IncidentState(last_evaluated_at=NOW - timedelta(hours=1))
    step = lifecycle.advance(seen, verdict(Outcome.HEALTHY, "cpu 9 <= 90"), NOW, Timings())
    assert explain.step(step, policy="high-cpu", target="web-01") == (
        "high-cpu has nothing against web-01: cpu 9 <= 90. "
        "Nothing is ordered until 12:02:00, as the policy was not evaluated for a while."
    )


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("transition", [None, *Transition])
def test_every_step_has_a_sentence(status: Status, transition: Transition | None) -> None:
    step = Step(state=IncidentState(status=status), transition=transition, reason="for a reason.")
    said = explain.step(step, policy="P", target="T")
    assert "P" in said
    assert "T" in said
    assert said.endswith("for a reason.")


@pytest.mark.parametrize(
    ("answer", "guard", "sentence"),
    [
        ("order", "", "Ordered restart on web-01: cpu 92 > 90."),
        ("hold", "cooldown", "Holding restart on web-01 for now (cooldown): cpu 92 > 90."),
        ("refuse", "kill_switch", "Refused restart on web-01 (kill_switch): cpu 92 > 90."),
    ],
)
def test_a_decision_names_its_guard(answer: str, guard: str, sentence: str) -> None:
    said = explain.decision(answer, action="restart", target="web-01", reason="cpu 92 > 90", guard=guard)
    assert said == sentence
