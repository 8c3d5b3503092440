"""A test that fails says what was expected, what came, and the engine's reason."""

import re
from pathlib import Path

import pytest
import yaml

from policies import rehearse

PAGE = (Path(__file__).parents[3] / "docs" / "testing-policies.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
EXAMPLES = [
    (text, BLOCKS[place + 1][1]) for place, (kind, text) in enumerate(BLOCKS) if kind == "yaml" and "tests:" in text
]


def report(expect: str, *, test: str = "") -> rehearse.Report:
    document = f"""
policies:
  - {{name: high-cpu, target: "*", mode: auto, condition: cpu > 90 for 2m, action: scale-up}}
  - {{name: errors, target: "*", condition: errors > 5, action: restart}}
tests:
  - name: one
    input_series: [{{series: 'cpu{{host="a"}}', values: 95x9}}]
    {test}
    expect: {expect}
"""
    return rehearse.check(document=yaml.safe_load(document))


@pytest.mark.parametrize(
    ("expect", "about", "expected", "got", "reason"),
    [
        (
            "[{at: 1m, incidents: [{policy: high-cpu, target: a, status: open}]}]",
            "incidents",
            "high-cpu on a: open",
            "high-cpu on a: pending",
            "cpu 95 > 90, for 1m of 2m",
        ),
        (
            "[{at: 2m, incidents: []}]",
            "incidents",
            "high-cpu on a: nothing",
            "high-cpu on a: open",
            "cpu 95 > 90 for 2m",
        ),
        (
            "[{at: 1m, incidents: [{policy: errors, target: b, status: open}, "
            "{policy: high-cpu, target: a, status: pending}]}]",
            "incidents",
            "errors on b: open",
            "errors on b: nothing",
            "it was never judged on that target",
        ),
        (
            "[{at: 1m, actions: [{action: scale-up, target: a}]}]",
            "action 1",
            "scale-up on a",
            "no more actions",
            "high-cpu: cpu 95 > 90, for 1m of 2m",
        ),
        (
            "[{at: 3m, actions: []}]",
            "action 1",
            "no more actions",
            "scale-up on a by high-cpu at 2m",
            "high-cpu: cpu 95 > 90",
        ),
        (
            "[{at: 3m, actions: [{action: scale-up, target: a, at: 3m}]}]",
            "action 1",
            "scale-up on a at 3m",
            "scale-up on a at 2m",
            "high-cpu: cpu 95 > 90",
        ),
        (
            "[{at: 3m, actions: [{action: scale-up, target: a, params: {replicas: 3}}]}]",
            "action 1",
            'scale-up on a with {"replicas": 3}',
            "scale-up on a with {}",
            "high-cpu: cpu 95 > 90",
        ),
        (
            "[{at: 2m, held: [{policy: high-cpu, target: a, guard: cooldown}]}]",
            "held",
            "high-cpu on a: cooldown",
            "high-cpu on a: nothing",
            "cpu 95 > 90 for 2m",
        ),
        (
            "[{at: 1m, verdicts: [{policy: high-cpu, target: a, outcome: healthy}]}]",
            "verdicts",
            "high-cpu on a: healthy",
            "high-cpu on a: violated",
            "cpu 95 > 90",
        ),
        (
            "[{at: 1m, verdicts: [{policy: high-cpu, target: a, outcome: violated, reason: 96}]}]".replace(
                "96", "'96'"
            ),
            "verdicts",
            "high-cpu on a: a reason with '96'",
            "high-cpu on a: violated",
            "cpu 95 > 90",
        ),
    ],
)
def test_a_difference_tells_both_sides_and_why(expect: str, about: str, expected: str, got: str, reason: str) -> None:
    (difference,) = report(expect).tests[0].differences
    assert (difference.about, difference.expected, difference.got, difference.reason) == (about, expected, got, reason)


def test_an_action_that_failed_and_was_the_only_step_is_exhausted() -> None:
    held = "[{at: 5m, held: [{policy: high-cpu, target: a, guard: exhausted}]}]"
    assert report(held, test="answers: failed").ok


def test_the_report_for_machines_says_the_same() -> None:
    told = report("[{at: 1m, incidents: []}]").as_json()
    assert told["ok"] is False
    assert told["tests"] == [
        {
            "name": "one",
            "ok": False,
            "differences": [
                {
                    "at": "1m",
                    "about": "incidents",
                    "expected": "high-cpu on a: nothing",
                    "got": "high-cpu on a: pending",
                    "reason": "cpu 95 > 90, for 1m of 2m",
                }
            ],
        }
    ]


def test_the_page_has_a_test_that_passes_and_one_that_fails() -> None:
    told = [rehearse.check(document=yaml.safe_load(text)).ok for text, _ in EXAMPLES]
    assert told == [True, False]


@pytest.mark.parametrize(("text", "printed"), EXAMPLES, ids=["passes", "fails"])
def test_the_page_shows_exactly_what_is_printed(text: str, printed: str) -> None:
    lines = rehearse.check(document=yaml.safe_load(text)).lines()
    assert "\n".join(lines) == printed.split("\n", 1)[1].rstrip()


@pytest.mark.parametrize("mode", ["suggest", "approve"])
def test_what_asks_first_orders_nothing_in_a_replay_and_is_held_by_approval(mode: str) -> None:
    document = f"""
policies:
  - {{name: high-cpu, target: "*", mode: {mode}, condition: cpu > 90, action: scale-up}}
tests:
  - name: nobody clicks
    input_series: [{{series: 'cpu{{host="a"}}', values: 95x9}}]
    expect: [{{at: 3m, actions: [], held: [{{policy: high-cpu, target: a, guard: approval}}]}}]
"""
    assert rehearse.check(document=yaml.safe_load(document)).ok
