"""Rule files become policies that observe, and every rule is accounted for."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies import documents, rulefiles
from policies.rulefiles import Brought, UnableToReadRules

PAGE = (Path(__file__).parents[3] / "docs" / "importing-rules.md").read_text()
RULES = """
groups:
  - name: nodes
    rules:
      - record: job:a:rate5m
        expr: sum by (job) (rate(a[5m]))
      - alert: HighCPULoad
        expr: cpu_percent{job="node"} > 90
        for: 5m
        keep_firing_for: 10m
        labels: {severity: page, team: core}
        annotations: {summary: "CPU of {{ $labels.instance }} is high", description: "It is\\n high."}
      - alert: HighCPULoad
        expr: cpu_percent > 99
        labels: {severity: critical}
      - alert: Slow
        expr: histogram_quantile(0.9, rate(latency_bucket[5m])) > 2
        for: 1m
      - alert: Broken
        expr: sum(
"""


def bring(text: str, **options: Any) -> list[Brought]:
    return list(rulefiles.bring({"rules.yml": text.encode()}, **options).brought)


def one(**fields: object) -> Brought:
    rule = {"alert": "One", "expr": "a > 1", **fields}
    (brought,) = bring(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    return brought


def policy(**fields: object) -> dict[str, Any]:
    found = one(**fields).policy
    assert found is not None
    return dict(found)


def test_each_rule_has_its_fate() -> None:
    harvest = rulefiles.bring({"rules.yml": RULES.encode()})
    assert [(one.rule.alert, one.fate, one.name) for one in harvest.brought] == [
        ("HighCPULoad", "translated", "high-cpu-load"),
        ("HighCPULoad", "translated", "high-cpu-load-critical"),
        ("Slow", "promql", "slow"),
        ("Broken", "left out", ""),
    ]
    assert harvest.recording == 1


def test_a_rule_becomes_a_policy_that_only_observes() -> None:
    found = bring(RULES)[0]
    assert found.policy == {
        "name": "high-cpu-load",
        "description": "CPU of {{ $labels.instance }} is high\nIt is high.",
        "severity": "critical",
        "target": "*",
        "enabled": True,
        "auto_remediate": False,
        "condition": {
            "type": "metric_exceeds",
            "metric": "cpu_percent",
            "tags": {"job": "node"},
            "threshold": 90,
            "for": "5m",
        },
        "action": "custom",
        "keep_open_for": "10m",
        "on_no_data": "resolve",
    }


def test_what_cannot_be_translated_keeps_its_query_and_its_for() -> None:
    found = bring(RULES)[2]
    assert found.policy is not None
    condition = found.policy["condition"]
    assert isinstance(condition, dict)
    assert (condition["type"], condition["for"]) == ("promql", "1m")
    assert condition["query"] == "histogram_quantile(0.9, rate(latency_bucket[5m])) > 2"
    assert (found.kind, found.reason) == (
        "histogram_quantile()",
        "the function histogram_quantile has no counterpart in a condition",
    )


def test_the_report_counts_and_gives_reasons() -> None:
    harvest = rulefiles.bring({"rules.yml": RULES.encode()})
    told = "\n".join(harvest.lines())
    assert 'translated  high-cpu-load: cpu_percent{job="node"} > 90 for 5m' in told
    assert "4 alerting rules: 2 translated (50 %), 1 kept as promql, 1 left out; 1 recording rules skipped." in told
    assert "     1  histogram_quantile()" in told
    counts = {key: value for key, value in harvest.as_json().items() if key != "rules"}
    assert counts == {"total": 4, "translated": 2, "promql": 1, "left_out": 1, "recording": 1}


def test_what_is_written_out_is_read_back_as_policies() -> None:
    text = rulefiles.as_yaml(rulefiles.bring({"rules.yml": RULES.encode()}))
    names = [documents.read(raw).name for raw in yaml.safe_load(text)["policies"]]
    assert names == ["high-cpu-load", "high-cpu-load-critical", "slow"]
    assert all(documents.read(raw).document.mode == "observe" for raw in yaml.safe_load(text)["policies"])


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ({}, "custom"),
        ({"annotations": {"vigil_action": "restart"}}, "restart"),
        ({"labels": {"vigil_action": "scale-up"}}, "scale-up"),
    ],
)
def test_the_action_is_what_the_rule_names(fields: dict[str, object], action: str) -> None:
    assert policy(**fields)["action"] == action


@pytest.mark.parametrize(
    ("label", "severity"),
    [("critical", "critical"), ("PAGE", "critical"), ("warning", "warning"), ("info", "info"), ("x", "warning")],
)
def test_severities(label: str, severity: str) -> None:
    assert policy(labels={"severity": label})["severity"] == severity


@pytest.mark.parametrize(
    ("alert", "name"),
    [("NodeDown", "node-down"), ("node_down", "node-down"), ("HTTPErrors5xx", "http-errors5xx"), ("Ü!", "rule")],
)
def test_names(alert: str, name: str) -> None:
    assert policy(alert=alert)["name"] == name


def test_a_word_of_the_api_is_no_name() -> None:
    assert policy(alert="Check")["name"] == "check-2"


@pytest.mark.parametrize("fields", [{"for": "soon"}, {"for": "31d"}, {"for": "1500ms"}, {"keep_firing_for": "2d"}])
def test_a_rule_whose_times_no_policy_has_is_left_out(fields: dict[str, object]) -> None:
    brought = one(**fields)
    assert (brought.fate, brought.policy) == ("left out", None)
    assert brought.reason


def test_resources_of_the_operator_and_several_documents_are_read() -> None:
    rule = "{alert: %s, expr: a > 1}"
    resource = "kind: PrometheusRule\nspec: {groups: [{name: g, rules: [" + rule % "A" + "]}]}\n"
    listed = "kind: List\nitems:\n- spec: {groups: [{name: g, rules: [" + rule % "B" + "]}]}\n"
    assert [one.name for one in bring(f"{resource}---\n{listed}---\ngroups: [{{name: g, rules: null}}]")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no rule groups"),
        ("a: 1", "holds no rule groups"),
        ("groups: [", "is not YAML"),
        ("groups: [{name: g, rules: [{alert: A}]}]", "`alert` or `record`, and `expr`"),
        ("[" * 3000, "is not YAML"),
    ],
)
def test_a_file_without_rules_is_refused(text: str, said: str) -> None:
    with pytest.raises(UnableToReadRules, match=said):
        bring(text)


def test_the_page_shows_exactly_what_is_printed() -> None:
    rules, printed = (re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)[0] for kind in ("yaml", "text"))
    assert "\n".join(rulefiles.bring({"rules.yml": rules.encode()}).lines()) == printed.rstrip()


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("sum by (job, zone) (a) > 5", "sum(a by job, zone) > 5"),
        ("100 - a * 100 > 90", "a < 0.1"),
        ("(a - b) / a > 0.9", "b / a < 0.1"),
        ("a / b > 0.9 and b > 0", "a / b > 0.9"),
    ],
)
def test_the_page_translates_as_vigil_does(expression: str, said: str) -> None:
    assert f"`{expression}`" in PAGE
    assert f"`{said}`" in PAGE
    assert one(expr=expression).sentence == said
