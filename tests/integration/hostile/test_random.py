"""Random JSON at the three doors that store: never a 5xx, and what is refused leaves nothing behind."""

import json
import os
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.hostile.door import Door, refused

# What is refused is refused before any database is asked, so one of the two gets the many, and the other a sample.
MANY = 100 if os.environ.get("VIGIL_TEST_DATABASE") == "postgres" else 300
# One database for all examples of a test: what a good one leaves behind is part of what the next one meets.
many = settings(max_examples=MANY, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

WORDS = ["name", "value", "tags", "timestamp", "type", "severity", "payload", "metrics", "event", "metric", "host"]
WORDS += ["target", "condition", "action", "params", "threshold", "for", "all", "any", "not", "conditions", "restart"]
WORDS += ["scale-up", "custom", "web-01", "*", "cpu", "critical", "5m", "metric_exceeds", "enabled", "mode", "auto", ""]
NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**17, 0.1, -0.0, 1e308, 5e-324])
TEXTS = st.sampled_from(WORDS) | st.text(max_size=12)
SCALARS = st.none() | st.booleans() | NUMBERS | st.integers() | st.floats() | TEXTS
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=15,
)
CONDITION = {"type": "metric_exceeds", "metric": "cpu_percent", "threshold": 90}
POLICY: dict[str, Any] = {
    "name": "high-cpu-alert",
    "target": "web-*",
    "condition": {"type": "all", "conditions": [CONDITION, {**CONDITION, "metric": "load", "for": "5m"}]},
    "action": "custom",
    "params": {"replicas": 2},
    "then": [{"action": "restart", "after": "1m"}],
    "rate": {"count": 2, "per": "10m"},
    "group": {"name": "web", "max": 1},
    "severity": "warning",
    "cooldown": "5m",
}
READING: dict[str, Any] = {"name": "cpu", "value": 1.5, "tags": {"host": "web-01"}, "type": "metric"}
EVENT: dict[str, Any] = {"type": "event", "name": "deploy", "severity": "info", "tags": {}, "payload": {"a": [1, {}]}}
BATCH: dict[str, Any] = {"metrics": [READING, EVENT]}
ORDER: dict[str, Any] = {
    "action": "custom",
    "target": "web-01",
    "params": {"a": [1]},
    "reason": "r",
    "severity": "info",
}


def _places(document: Any) -> list[tuple[Any, ...]]:
    """The way to every value in the document."""
    steps: list[Any] = list(document) if isinstance(document, dict) else list(range(len(document)))
    found: list[tuple[Any, ...]] = [()]
    for step in steps:
        inside = document[step]
        found += [(step, *rest) for rest in (_places(inside) if isinstance(inside, dict | list) else [()])]
    return found


def _with(document: Any, place: tuple[Any, ...], value: object) -> Any:
    if not place:
        return value
    changed = dict(document) if isinstance(document, dict) else list(document)
    changed[place[0]] = _with(document[place[0]], place[1:], value)
    return changed


def _spoilt(good: Any) -> st.SearchStrategy[Any]:
    """A good document in which one or two places hold anything, or which has a field too many."""
    one = st.builds(_with, st.just(good), st.sampled_from(_places(good)), ANYTHING)
    added = st.builds(lambda name, value: {**good, name: value}, TEXTS, ANYTHING) if isinstance(good, dict) else one
    return one | added


def _bytes(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


BODIES = {
    "/api/v1/ingest": ANYTHING | _spoilt(READING) | _spoilt(EVENT) | _spoilt([READING, EVENT]) | _spoilt(BATCH),
    "/api/v1/policies": ANYTHING | _spoilt(POLICY) | _spoilt({**POLICY, "condition": "cpu > 90 for 5m"}),
    "/api/v1/actions": ANYTHING | _spoilt(ORDER),
}  # fmt: skip


@pytest.mark.parametrize("body", [READING, EVENT, BATCH, POLICY, ORDER], ids=lambda body: next(iter(body)))
def test_what_is_spoilt_here_was_good(door: Door, body: dict[str, Any]) -> None:
    path = "actions" if body is ORDER else "policies" if body is POLICY else "ingest"
    assert door.send("POST", f"/api/v1/{path}", body).status == 201


@pytest.mark.parametrize("path", BODIES)
@many
@given(data=st.data())
def test_random_documents(door: Door, path: str, data: st.DataObject) -> None:
    answer = door.send("POST", f"{path}?atomic=true" if "ingest" in path else path, _bytes(data.draw(BODIES[path])))
    assert answer.status < 500
    if answer.status >= 400:
        refused(answer, 400, 409, 413, 422)
    else:
        assert answer.status in (200, 201)


@pytest.mark.parametrize("path", BODIES)
@many
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_random_bytes(door: Door, path: str, body: bytes) -> None:
    refused(door.send("POST", path, body), 400, 422)


@many
@given(change=_spoilt(POLICY) | st.dictionaries(st.sampled_from(sorted(POLICY)), ANYTHING, max_size=3))
def test_random_changes_of_a_policy(door: Door, change: Any) -> None:
    door.send("POST", "/api/v1/policies", POLICY)
    answer = door.send("PATCH", "/api/v1/policies/high-cpu-alert", _bytes(change))
    if answer.status != 200:
        refused(answer, 400, 412, 422)


VIOLATING: dict[str, Any] = {"metrics": {"cpu_percent": 95, "load": 3}, "target": "web-01", "tags": {"host": "web-01"}}


@many
@given(trial=ANYTHING | _spoilt(VIOLATING))
def test_random_trials_store_nothing(door: Door, trial: Any) -> None:
    door.send("POST", "/api/v1/policies", POLICY)
    answer = door.send("POST", "/api/v1/policies/evaluate", _bytes(trial))
    assert answer.left == {}
    if answer.status != 200:
        refused(answer, 400, 404, 422)


FILTERS = [
    "limit",
    "offset",
    "status",
    "target",
    "policy",
    "since",
    "until",
    "subject",
    "metric",
    "step",
    "aggregate",
    "x",
]


@pytest.mark.parametrize("path", ["actions", "incidents", "audit", "metrics", "metrics/query"])
@settings(many, max_examples=MANY // 3)
@given(
    query=st.dictionaries(st.sampled_from(FILTERS) | st.text(max_size=8), TEXTS | st.integers().map(str), max_size=3)
)
def test_random_queries(door: Door, path: str, query: dict[str, str]) -> None:
    answer = door.send("GET", f"/api/v1/{path}?{urlencode(query, errors='surrogatepass')}", content_type="")
    if answer.status != 200:
        refused(answer, 422)
