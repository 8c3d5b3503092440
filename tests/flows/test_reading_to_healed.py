"""A reading in over HTTP, a service healed: once as usual, once with nobody listening to any announcement."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from actions import execution
from actions.signals import action_finished
from metrics import ingest
from metrics.formats.reading import Reading
from policies import remedies, sweep
from tests.integration.policies import cast, remediator
from vigil.access import keys
from vigil.audit import entries
from vigil.kernel import clock

pytestmark = pytest.mark.django_db(transaction=True)

POLICY = {
    "name": "high-cpu-alert",
    "target": "web-*",
    "auto_remediate": True,
    "condition": {"type": "metric_exceeds", "metric": "cpu_usage", "threshold": 90},
    "action": "scale-up",
    "params": {"replicas": 2},
    "settle": "0s",
}


@pytest.fixture
def agent(db: None) -> Iterator[Client]:
    """An agent with a key, and a remediator that remembers its calls."""
    cast.forget()
    _, plain = keys.create(name="agent-1", scopes=["ingest", "read", "policies:write"], actor="user:ana")
    keys.forget_cache()
    with cast.use_fake_remediator():
        yield Client(headers={"Authorization": f"Bearer {plain}"})
    cast.forget()


@pytest.fixture
def nobody_listens() -> Iterator[None]:
    """Every receiver of every announcement is gone."""
    receivers, action_finished.receivers = action_finished.receivers, []
    action_finished.sender_receivers_cache.clear()
    yield
    action_finished.receivers = receivers
    action_finished.sender_receivers_cache.clear()


def _ask(agent: Client, method: str, path: str, body: object = None) -> Any:
    content = json.dumps(body) if body is not None else ""
    response = agent.generic(method, f"/api/v1/{path}", content, content_type="application/json")
    assert response.status_code < 300, response.content
    return response.json()


def _reading(value: float) -> dict[str, object]:
    return {"name": "cpu_usage", "value": value, "tags": {"host": "web-01"}}


def _store_without_judging(value: float) -> None:
    """A reading that arrived while nothing could be judged."""
    at = clock.now()
    ingest.store(readings=[Reading("cpu_usage", value, {"host": "web-01"}, at)], at=at)


def _told(agent: Client, incident_id: int) -> tuple[str, str | None, str, str]:
    incident = _ask(agent, "GET", f"incidents/{incident_id}")
    [action] = incident["action_details"]
    return incident["status"], incident["resolution"], action["status"], action["verification"]


def test_a_reading_heals_a_service(agent: Client) -> None:
    _ask(agent, "POST", "policies", POLICY)
    answer = _ask(agent, "POST", "ingest", _reading(92))
    [violation], [ordered] = answer["violations"], answer["actions"]
    assert (violation["policy_name"], violation["value"], ordered["status"]) == ("high-cpu-alert", 92, "pending")

    assert execution.run_due(limit=10, worker="test") == 1
    [call] = remediator.calls
    assert (call.action_id, call.kind, call.target) == (ordered["action_id"], "scale-up", "web-01")
    assert (call.params, call.policy, call.incident_id) == ({"replicas": 2}, "high-cpu-alert", violation["incident_id"])

    after = _ask(agent, "POST", "ingest", _reading(40))
    assert after["violations"] == []
    assert _told(agent, violation["incident_id"]) == ("resolved", "healed", "completed", "effective")
    [incident] = _ask(agent, "GET", "incidents")["incidents"]
    assert incident["time_to_heal_seconds"] > 0


def test_one_request_id_goes_from_the_reading_to_the_call(agent: Client) -> None:
    _ask(agent, "POST", "policies", POLICY)
    response = agent.generic(
        "POST",
        "/api/v1/ingest",
        json.dumps(_reading(92)),
        content_type="application/json",
        headers={"X-Request-ID": "0123456789abcdef0123456789abcdef"},
    )
    answer = response.json()
    execution.run_due(limit=10, worker="test")
    incident_id, action_id = answer["violations"][0]["incident_id"], answer["actions"][0]["action_id"]
    subjects = (f"incident:{incident_id}", f"action:{action_id}")
    ids = {entry.request_id for subject in subjects for entry in entries.of(subject)}
    assert ids == {remediator.calls[0].request_id}
    assert ids != {""}


@pytest.mark.usefixtures("nobody_listens")
def test_the_sweep_finds_everything_that_announcements_would_have_told(agent: Client) -> None:
    _store_without_judging(92)
    _ask(agent, "POST", "policies", POLICY)

    assert sweep.run(at=clock.now()).changed == 1
    [incident] = _ask(agent, "GET", "incidents")["incidents"]
    assert incident["status"] == "open"
    assert execution.run_due(limit=10, worker="test") == 1
    assert len(remediator.calls) == 1
    assert _told(agent, incident["id"]) == ("open", None, "completed", "")

    _store_without_judging(40)
    assert remedies.verify_due(at=clock.now()) == 1
    assert sweep.run(at=clock.now()).changed == 1
    assert _told(agent, incident["id"]) == ("resolved", "healed", "completed", "effective")


@pytest.mark.usefixtures("nobody_listens")
def test_the_sweep_alone_verifies_too(agent: Client) -> None:
    _store_without_judging(92)
    _ask(agent, "POST", "policies", POLICY)
    sweep.run(at=clock.now())
    execution.run_due(limit=10, worker="test")
    _store_without_judging(40)
    assert sweep.run(at=clock.now()).verified == 1
    [incident] = _ask(agent, "GET", "incidents")["incidents"]
    assert _told(agent, incident["id"]) == ("resolved", "healed", "completed", "effective")


def test_an_action_that_is_no_longer_wanted_is_never_sent(agent: Client) -> None:
    _ask(agent, "POST", "policies", POLICY | {"keep_open_for": "5m"})
    incident_id = _ask(agent, "POST", "ingest", _reading(92))["violations"][0]["incident_id"]
    _ask(agent, "POST", "ingest", _reading(40))
    execution.run_due(limit=10, worker="test")
    assert remediator.calls == []
    assert _told(agent, incident_id) == ("open", None, "cancelled", "")

    again = _ask(agent, "POST", "ingest", _reading(95))
    assert [action["status"] for action in again["actions"]] == ["pending"]


def test_an_action_that_did_not_help_is_called_so_and_a_person_is_asked(agent: Client) -> None:
    _ask(agent, "POST", "policies", POLICY)
    _ask(agent, "POST", "ingest", _reading(92))
    execution.run_due(limit=10, worker="test")
    answer = _ask(agent, "POST", "ingest", _reading(93))
    [incident] = _ask(agent, "GET", "incidents")["incidents"]
    assert incident["exhausted"] is True
    assert answer["violations"][0]["decision"] == "refuse"
    assert "did not help" in answer["violations"][0]["decision_reason"]
