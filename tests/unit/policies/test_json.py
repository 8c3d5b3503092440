"""Conditions as JSON: what is accepted, and what is refused with which path."""

import json
from typing import Any

import jsonschema
import pytest

from policies.engine import language
from policies.engine.language import ConditionError
from tests.unit.policies.trees import CANONICAL

NOT_JSON: dict[Any, Any] = {5: 5}  # a YAML file may have such a key
CPU: dict[str, Any] = {"type": "metric_exceeds", "metric": "cpu", "threshold": 90}
ZONES: dict[str, Any] = {**CPU, "across": "sum", "by": ["zone"]}
SUM: dict[str, Any] = {"metric": "bad", "across": "sum"}
RATIO: dict[str, Any] = {"type": "ratio", "over": {"metric": "bad"}, "under": {"metric": "all"}, "threshold": 1}
ODD: dict[str, Any] = {"type": "anomaly", "metric": "latency", "window": "1h"}
DISK: dict[str, Any] = {"type": "forecast_below", "metric": "free", "threshold": 0, "window": "6h", "within": "4h"}
EVENT: dict[str, Any] = {"type": "event_matches", "event": "link_down"}


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in CPU.items() if name != field}


def nested(depth: int) -> dict[str, Any]:
    return CPU if depth == 1 else {"type": "not", "condition": nested(depth - 1)}


def errors(document: object) -> dict[str, str]:
    with pytest.raises(ConditionError) as caught:
        language.from_json(document)
    return dict(caught.value.errors)


@pytest.mark.parametrize("document", CANONICAL, ids=json.dumps)
def test_canonical_json_comes_back_as_it_was(document: dict[str, Any]) -> None:
    assert language.to_json(language.from_json(document)) == document


@pytest.mark.parametrize("document", CANONICAL, ids=json.dumps)
def test_the_schema_accepts_what_the_engine_accepts(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(language.json_schema()).validate(document)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(language.json_schema())


@pytest.mark.parametrize(
    "document",
    [
        {**CPU, "threshold": "90"},
        {**CPU, "thresold": 90},
        {**CPU, "window": "5m"},
        {**CPU, "for": "5"},
        {**CPU, "tags": {}},
        {**CPU, "tags": {"a": None}},
        {"type": "ratio"},
        {**RATIO, "over": {"metric": "bad", "window": "5m"}},
        {**ODD, "sigma": 0},
        {**DISK, "within": 5},
        {"type": "promql", "query": ""},
        {**EVENT, "resolved_by": {}},
        {**CPU, "by": []},
        {"type": "not"},
        {"type": "all", "conditions": []},
        without("metric"),
    ],
    ids=json.dumps,
)
def test_the_schema_refuses_what_the_engine_refuses(document: dict[str, Any]) -> None:
    assert errors(document)
    assert not jsonschema.Draft202012Validator(language.json_schema()).is_valid(document)


@pytest.mark.parametrize(
    ("document", "path", "part"),
    [
        (None, "", "not null"),
        ([], "", "not a list"),
        ("cpu > 90", "", "not a text"),
        ({}, "type", "missing"),
        ({"type": None}, "type", "null"),
        ({"type": 5}, "type", "text"),
        ({"type": "metric_exceed"}, "type", "did you mean `metric_exceeds`?"),
        ({"type": "exec"}, "type", "known: metric_exceeds"),
        ({"type": "ratios"}, "type", "did you mean `ratio`?"),
        ({**CPU, "by": []}, "by", "list of one to 8"),
        ({**CPU, "by": "zone"}, "by", "list of one to 8"),
        ({**CPU, "by": ["zone"]}, "by", "goes with one of avg"),
        ({**CPU, "across": "sum", "by": ["zone", "zone"]}, "by", "twice"),
        ({**CPU, "across": "sum", "by": ["zone", ""]}, "by[1]", "blank"),
        ({**CPU, "across": "sum", "by": ["zone", 5]}, "by[1]", "not a number"),
        ({**CPU, "aggregate": "p0", "window": "5m"}, "aggregate", "unknown aggregate"),
        ({"type": "all", "conditions": [ZONES, {**ZONES, "by": ["rack"]}]}, "conditions[1].by", "same tags, here zone"),
        ({"type": "any", "conditions": [ZONES, {**CPU, "across": "sum"}]}, "conditions[1].by", "say `by zone` here"),
        ({"type": "ratio", "threshold": 1}, "over", "missing"),
        ({**RATIO, "over": "errors"}, "over", "object"),
        ({**RATIO, "over": {"metric": ""}}, "over.metric", "blank"),
        ({**RATIO, "under": {"metric": "all", "window": "5m"}}, "under.aggregate", "needs an aggregate"),
        ({**RATIO, "under": {"metric": "all", "threshold": 5}}, "under.threshold", "unknown field"),
        ({**RATIO, "over": {"metric": "bad", "across": "all"}}, "over.across", "belongs to the whole ratio"),
        ({**RATIO, "across": "sum"}, "across", "known: any, all"),
        ({**RATIO, "over": {**SUM, "by": ["zone"]}, "under": SUM}, "under.by", "say `by zone` here"),
        ({**RATIO, "over": SUM, "under": SUM, "across": "all"}, "across", "one number already"),
        ({**RATIO, "comparison": "above"}, "comparison", "known: exceeds"),
        ({**RATIO, "recover": 2}, "recover", "above the threshold"),
        ({"type": "anomaly", "metric": "m"}, "window", "what is usual"),
        ({**ODD, "sigma": 0}, "sigma", "above 0"),
        ({**ODD, "sigma": -4}, "sigma", "above 0"),
        ({**ODD, "method": "zscore"}, "method", "known: robust_z"),
        ({**ODD, "direction": "up"}, "direction", "known: both"),
        ({**ODD, "period": "2d"}, "period", "only with the method seasonal"),
        ({**ODD, "method": "seasonal"}, "window", "two periods"),
        ({**DISK, "within": "0s"}, "within", "longer than zero"),
        ({**DISK, "aggregate": "avg"}, "aggregate", "unknown field"),
        ({"type": "forecast_exceeds", "metric": "disk"}, "window", "missing"),
        ({"type": "promql"}, "query", "missing"),
        ({"type": "promql", "query": " "}, "query", "blank"),
        ({"type": "promql", "query": "up\x00"}, "query", "printable"),
        ({"type": "promql", "query": "u" * 4001}, "query", "at most 4000"),
        ({"type": "promql", "query": 5}, "query", "not a number"),
        ({"type": "promql", "query": "up", "source": ""}, "source", "blank"),
        (
            {"type": "not", "condition": {"type": "promql", "query": "up", "for": "1m"}},
            "condition.for",
            "no past to look back on",
        ),
        ({**EVENT, "resolved_by": {}}, "resolved_by", "needs an event or tags"),
        ({**EVENT, "resolved_by": "up"}, "resolved_by", "object"),
        ({**EVENT, "resolved_by": {"event": "up", "name": "x"}}, "resolved_by.name", "unknown field"),
        ({**EVENT, "resolved_by": {"event": "up", "same": ["a", "a"]}}, "resolved_by.same", "twice"),
        ({**EVENT, "event": "a**"}, "event", "already matches"),
        (without("threshold"), "threshold", "is missing"),
        ({**CPU, "threshold": float("nan")}, "threshold", "finite"),
        ({**CPU, "threshold": float("inf")}, "threshold", "finite"),
        ({**CPU, "threshold": 10**400}, "threshold", "finite"),
        ({**CPU, "threshold": "90"}, "threshold", "not a text"),
        ({**CPU, "threshold": True}, "threshold", "not true or false"),
        ({**CPU, "threshold": None}, "threshold", "null"),
        ({**CPU, "threshold": [90]}, "threshold", "not a list"),
        ({**CPU, "metric": ""}, "metric", "blank"),
        ({**CPU, "metric": "  "}, "metric", "blank"),
        ({**CPU, "metric": None}, "metric", "null"),
        ({**CPU, "metric": 5}, "metric", "not a number"),
        ({**CPU, "metric": "a\x00b"}, "metric", "printable"),
        ({**CPU, "metric": "a\ud800"}, "metric", "printable"),
        ({**CPU, "metric": "m" * 201}, "metric", "at most 200"),
        ({**CPU, "treshold": 5}, "treshold", "did you mean `threshold`?"),
        ({**CPU, "xyz": 5}, "xyz", "known here"),
        ({**CPU, **NOT_JSON}, "5", "unknown field"),
        ({**CPU, "for": "-1s"}, "for", "no duration"),
        ({**CPU, "for": -1}, "for", "not a number"),
        ({**CPU, "for": 1e9}, "for", "not a number"),
        ({**CPU, "for": "0s"}, "for", "longer than zero"),
        ({**CPU, "for": "5"}, "for", "no duration"),
        ({**CPU, "for": "PT5M"}, "for", "no duration"),
        ({**CPU, "for": None}, "for", "null"),
        ({**CPU, "for": "999999999d"}, "for", "30d"),
        ({**CPU, "window": "5m"}, "aggregate", "needs an aggregate"),
        ({**CPU, "aggregate": "avg"}, "window", "needs a window"),
        ({**CPU, "aggregate": "average", "window": "5m"}, "aggregate", "unknown aggregate"),
        ({**CPU, "aggregate": "agv", "window": "5m"}, "aggregate", "did you mean `avg`?"),
        ({**CPU, "across": "some"}, "across", "known: any, all"),
        ({**CPU, "recover": 95}, "recover", "above the threshold"),
        ({**CPU, "recover": None}, "recover", "null"),
        ({**CPU, "type": "metric_below", "recover": 80}, "recover", "below the threshold"),
        ({**CPU, "type": "metric_equals", "recover": 80}, "recover", "has a meaning only"),
        ({**CPU, "tags": []}, "tags", "object"),
        ({**CPU, "tags": None}, "tags", "not null"),
        ({**CPU, "tags": {"region": ""}}, "tags.region", "blank"),
        ({**CPU, "tags": {"region": None}}, "tags.region", "null"),
        ({**CPU, "tags": {"region": 5}}, "tags.region", "not a number"),
        ({**CPU, "tags": {"": "x"}}, "tags.", "blank"),
        ({**CPU, "tags": {"region": {"is": "x"}}}, "tags.region", "one of not, regex, not_regex"),
        ({**CPU, "tags": {"region": {"regexp": "x"}}}, "tags.region", "did you mean `regex`?"),
        ({**CPU, "tags": {"region": {"regex": "(a"}}}, "tags.region", "RE2"),
        ({**CPU, "tags": {"region": {"regex": r"(a)\1"}}}, "tags.region", "RE2"),
        ({**CPU, "tags": {"region": "a*b*c*d*e*f"}}, "tags.region", "at most 4 stars"),
        ({**CPU, "tags": {"region": []}}, "tags.region", "empty list"),
        ({**CPU, "tags": {str(place): "x" for place in range(9)}}, "tags", "from one to 8"),
        ({**CPU, "tags": {"region": ["x"] * 100}}, "tags", "at most 8"),
        ({"type": "metric_outside", "metric": "cpu", "low": 9, "high": 1}, "high", "above low"),
        ({"type": "metric_outside", "metric": "cpu", "low": 1}, "high", "missing"),
        ({"type": "metric_outside", "metric": "cpu", "low": 1, "high": 9, "recover": 5}, "recover", "object"),
        (
            {"type": "metric_outside", "metric": "cpu", "low": 1, "high": 9, "recover": {"low": 0, "high": 5}},
            "recover",
            "between low and high",
        ),
        ({"type": "metric_absent", "metric": "beat"}, "for", "how long the silence"),
        ({"type": "event_matches", "event": "deploy", "count": 0}, "count", "from 1 to"),
        ({"type": "event_matches", "event": "deploy", "count": 1.5}, "count", "whole number"),
        ({"type": "event_matches", "event": "deploy", "count": True}, "count", "whole number"),
        ({"type": "event_matches", "event": "deploy", "severity": ""}, "severity", "blank"),
        ({"type": "event_matches", "event": "deploy", "severity": "critcal"}, "severity", "did you mean `critical`?"),
        ({"type": "event_matches", "event": "deploy", "window": "0m"}, "window", "longer than zero"),
        ({"type": "all"}, "conditions", "at least one"),
        ({"type": "any", "conditions": {}}, "conditions", "list"),
        ({"type": "all", "conditions": [CPU, None]}, "conditions[1]", "not null"),
        ({"type": "all", "conditions": [CPU, {**CPU, "threshold": "x"}]}, "conditions[1].threshold", "number"),
        ({"type": "not"}, "condition", "exactly one"),
        ({"type": "not", "condition": None}, "condition", "not null"),
        ({"type": "not", "conditions": [CPU, CPU]}, "condition", "exactly one"),
        ({"type": "not", "condition": CPU, "conditions": [CPU]}, "conditions", "alone"),
        ({"type": "not", "condition": {**CPU, "metric": ""}}, "condition.metric", "blank"),
        ({"type": "all", "conditions": [{**CPU, "for": "1m"}], "for": "2m"}, "for", "of its own"),
    ],
)
def test_refused_with_path_and_sentence(document: object, path: str, part: str) -> None:
    assert part in errors(document)[path]


def test_every_problem_is_told_at_once() -> None:
    assert set(errors({"type": "metric_exceeds", "threshold": None, "for": 5})) == {"metric", "threshold", "for"}


def test_eight_levels_are_allowed_and_nine_refused() -> None:
    assert language.from_json(nested(8))
    assert "8 levels" in errors(nested(9))[".".join(["condition"] * 8)]


def test_fifty_parts_are_allowed_and_fifty_one_refused() -> None:
    assert language.from_json({"type": "all", "conditions": [CPU] * 49})
    assert "50 parts" in errors({"type": "all", "conditions": [CPU] * 50})["conditions[49]"]
    assert len(errors({"type": "all", "conditions": [CPU] * 100_000})) == 1


def test_a_condition_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {"type": "not"}
    loop["condition"] = loop
    assert errors(loop)
    wide: dict[str, Any] = {"type": "all"}
    wide["conditions"] = [wide] * 8
    assert errors(wide)


def test_a_thousand_unknown_fields_are_not_a_thousand_answers() -> None:
    assert len(errors({**CPU, **{f"x{place}": 1 for place in range(1_000)}})) == 5


def test_a_for_inside_a_nested_for_is_refused() -> None:
    inner = {"type": "all", "conditions": [{**CPU, "for": "1m"}, CPU], "for": "2m"}
    assert "inside another" in errors({"type": "not", "condition": inner})["condition.conditions[0].for"]
    assert language.from_json(inner)


def test_a_group_of_one_is_its_member() -> None:
    assert language.from_json({"type": "all", "conditions": [CPU]}) == language.from_json(CPU)
    held = language.from_json({"type": "any", "conditions": [CPU], "for": "2m"})
    assert held == language.from_json({**CPU, "for": "2m"})


def test_not_also_takes_a_list_of_one() -> None:
    listed = language.from_json({"type": "not", "conditions": [CPU]})
    assert listed == language.from_json({"type": "not", "condition": CPU})
