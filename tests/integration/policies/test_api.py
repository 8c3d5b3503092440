"""The doors: shapes, statuses and who may."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client

from metrics.models import Sample
from policies.models import Incident
from vigil.access import keys
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

ALL = ["ingest", "read", "policies:write", "actions:write"]
HIGH_CPU = {
    "name": "high-cpu-alert",
    "description": "Scale up when CPU exceeds 90%",
    "severity": "warning",
    "target": "web-*",
    "enabled": True,
    "auto_remediate": True,
    "condition": {"type": "metric_exceeds", "metric": "cpu_percent", "threshold": 90},
    "action": "scale-up",
    "params": {"replicas": 2},
}

type Call = Callable[..., HttpResponse]


def _caller(*scopes: str, targets: tuple[str, ...] = ()) -> Client:
    _, plain = keys.create(name=f"agent-{len(scopes)}-{len(targets)}", scopes=scopes, actor="user:ana", targets=targets)
    keys.forget_cache()
    return Client(headers={"Authorization": f"Bearer {plain}"})


@pytest.fixture
def client(db: None) -> Client:
    return _caller(*ALL)


def _send(client: Client, method: str, path: str, body: object = None, **headers: str) -> Any:
    content = body if isinstance(body, str | bytes) else json.dumps(body) if body is not None else ""
    return client.generic(method, f"/api/v1/{path}", content, content_type="application/json", headers=headers)


def _create(client: Client, **fields: object) -> None:
    assert _send(client, "POST", "policies", HIGH_CPU | fields).status_code == 201


def _reading(value: float = 95, **fields: object) -> dict[str, object]:
    return {"name": "cpu_percent", "value": value, "tags": {"host": "web-01", "region": "us-east-1"}, **fields}


class TestIngest:
    def test_answers_one_reading_as_the_contract_shows(self, client: Client) -> None:
        _create(client)
        response = _send(client, "POST", "ingest", _reading())
        assert response.status_code == 201
        answer = response.json()
        assert set(answer) == {"ok", "metric_id", "status", "policies_evaluated", "violations", "actions"}
        assert (answer["ok"], answer["status"], answer["policies_evaluated"]) == (True, "stored", True)
        assert answer["metric_id"] == Sample.objects.get().pk
        [violation], [action] = answer["violations"], answer["actions"]
        incident = Incident.objects.get()
        expected = {
            "policy_name": "high-cpu-alert",
            "severity": "warning",
            "action": "scale-up",
            "target": "web-01",
            "value": 95,
            "reason": "cpu_percent 95 > 90",
            "incident_id": incident.pk,
        }
        assert violation.items() >= expected.items()
        assert action.items() >= {"action": "scale-up", "target": "web-01", "status": "pending"}.items()
        assert violation["action_id"] == action["action_id"]

    def test_lists_the_violation_again_with_the_action_already_ordered(self, client: Client) -> None:
        _create(client)
        first = _send(client, "POST", "ingest", _reading()).json()
        again = _send(client, "POST", "ingest", _reading(96)).json()
        assert [action["action_id"] for action in again["actions"]] == [first["actions"][0]["action_id"]]
        assert again["violations"][0]["incident_id"] == first["violations"][0]["incident_id"]

    def test_says_why_no_action_is_ordered(self, client: Client) -> None:
        _create(client, auto_remediate=False)
        answer = _send(client, "POST", "ingest", _reading()).json()
        assert answer["actions"] == []
        assert answer["violations"][0]["decision"] == "nothing"
        assert "only observes" in answer["violations"][0]["decision_reason"]

    @pytest.mark.parametrize("wrap", [lambda many: many, lambda many: {"metrics": many}])
    def test_takes_a_batch_and_names_what_it_refused(self, client: Client, wrap: Callable[[Any], Any]) -> None:
        response = _send(client, "POST", "ingest", wrap([_reading(), _reading(value=True), _reading(1)]))
        assert response.status_code == 201
        answer = response.json()
        assert (answer["ok"], answer["stored"]) == (True, 2)
        [rejected] = answer["rejected"]
        assert rejected["index"] == 1
        assert rejected["errors"][0]["path"] == "value"

    def test_takes_lines(self, client: Client) -> None:
        body = "\n".join(json.dumps(_reading(value)) for value in (1, 2, 3))
        response = client.generic("POST", "/api/v1/ingest", body, content_type="application/x-ndjson")
        assert (response.status_code, response.json()["stored"]) == (201, 3)

    def test_takes_an_event(self, client: Client) -> None:
        event = {"type": "event", "name": "deploy_failed", "severity": "critical", "tags": {"host": "web-01"}}
        answer = _send(client, "POST", "ingest", event).json()
        assert answer["status"] == "stored"
        assert answer["event_id"] > 0

    def test_atomic_stores_all_or_nothing(self, client: Client) -> None:
        response = _send(client, "POST", "ingest?atomic=true", [_reading(), _reading(name="")])
        assert response.status_code == 422
        assert response.json()["errors"][0]["path"] == "[1].name"
        assert not Sample.objects.exists()

    def test_refuses_a_batch_without_one_valid_reading(self, client: Client) -> None:
        assert _send(client, "POST", "ingest", [_reading(name=""), {}]).status_code == 422

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ("{", 400),
            (" ", 400),
            ("[" * 100_000, 400),
            ("null", 400),
            ('{"name": "a", "value": NaN}', 400),
            ('{"name": "a", "value": true}', 422),
            ('{"name": "a", "value": "1"}', 422),
            ('{"name": "a\\u0000b", "value": 1}', 422),
            ('{"name": "a", "value": 1, "dry_runn": true}', 422),
            ('{"name": "a", "value": 1, "timestamp": "2026-01-19T12:00:00"}', 422),
        ],
    )
    def test_bad_input_is_never_a_500_and_stores_nothing(self, client: Client, body: str, status: int) -> None:
        response = _send(client, "POST", "ingest", body)
        assert response.status_code in {400, 422}
        assert response.status_code == status or body.startswith('{"name": "a", "value": NaN')
        assert response.json()["detail"]
        assert not Sample.objects.exists()

    def test_too_large_a_body_is_413(self, client: Client) -> None:
        assert _send(client, "POST", "ingest", b" " * 1_048_577).status_code == 413

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", ""]
    )
    def test_other_types_and_charsets_are_415(self, client: Client, content_type: str) -> None:
        response = client.generic("POST", "/api/v1/ingest", json.dumps(_reading()), content_type=content_type)
        assert response.status_code == 415

    def test_compressed_bodies_are_415(self, client: Client) -> None:
        assert _send(client, "POST", "ingest", _reading(), **{"Content-Encoding": "gzip"}).status_code == 415

    def test_a_retried_batch_counts_once(self, client: Client) -> None:
        first = _send(client, "POST", "ingest", [_reading()], **{"Idempotency-Key": "batch-1"})
        again = _send(client, "POST", "ingest", [_reading()], **{"Idempotency-Key": "batch-1"})
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert Sample.objects.count() == 1
        other = _send(client, "POST", "ingest", [_reading(1)], **{"Idempotency-Key": "batch-1"})
        assert other.status_code == 422

    def test_a_key_bound_to_targets_speaks_for_those_alone(self, db: None) -> None:
        bound = _caller("ingest", targets=("db-*",))
        assert _send(bound, "POST", "ingest", _reading()).status_code == 403
        assert _send(bound, "POST", "ingest", _reading(tags={"host": "db-01"})).status_code == 201

    def test_needs_the_scope(self, db: None) -> None:
        assert _send(_caller("read"), "POST", "ingest", _reading()).status_code == 403
        assert _send(Client(), "POST", "ingest", _reading()).status_code == 401

    def test_a_trailing_slash_works_too(self, client: Client) -> None:
        assert _send(client, "POST", "ingest/", _reading()).status_code == 201

    def test_a_database_that_is_away_is_503(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(**_: object) -> None:
            raise OperationalError("the connection is gone")

        monkeypatch.setattr("metrics.ingest.store", away)
        response = _send(client, "POST", "ingest", _reading())
        assert response.status_code == 503
        assert int(response["Retry-After"]) > 0


class TestPolicies:
    def test_creates_and_answers_with_version_and_sentence(self, client: Client) -> None:
        response = _send(client, "POST", "policies", HIGH_CPU)
        assert response.status_code == 201
        answer = response.json()
        assert answer.items() >= (HIGH_CPU | {"version": 1, "sentence": "cpu_percent > 90", "mode": "auto"}).items()
        assert response["ETag"] == '"1"'

    def test_lists_by_name(self, client: Client) -> None:
        _create(client)
        _create(client, name="off", enabled=False)
        answer = _send(client, "GET", "policies").json()
        assert (answer["ok"], answer["total"], answer["enabled_count"]) == (True, 2, 1)
        assert set(answer["policies"]) == {"high-cpu-alert", "off"}

    def test_takes_a_sentence_as_condition(self, client: Client) -> None:
        _create(client, condition="avg(cpu_percent, 5m) > 90 for 2m")
        shown = _send(client, "GET", "policies/high-cpu-alert").json()
        assert shown["sentence"] == "avg(cpu_percent, 5m) > 90 for 2m"
        assert shown["condition"]["for"] == "2m"

    def test_a_second_of_the_name_is_409(self, client: Client) -> None:
        _create(client)
        assert _send(client, "POST", "policies", HIGH_CPU).status_code == 409

    def test_an_unknown_field_is_422_with_the_one_meant(self, client: Client) -> None:
        response = _send(client, "POST", "policies", HIGH_CPU | {"cooldwon": "5m"})
        assert response.status_code == 422
        [error] = response.json()["errors"]
        assert error["path"] == "cooldwon"
        assert "`cooldown`" in error["message"]

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_both_verbs_merge(self, client: Client, method: str) -> None:
        _create(client)
        response = _send(client, method, "policies/high-cpu-alert", {"severity": "critical"})
        assert response.status_code == 200
        assert (response.json()["severity"], response.json()["version"]) == ("critical", 2)
        assert response.json()["params"] == {"replicas": 2}

    def test_if_match_of_an_older_version_is_412(self, client: Client) -> None:
        _create(client)
        _send(client, "PUT", "policies/high-cpu-alert", {"severity": "critical"})
        response = _send(client, "PUT", "policies/high-cpu-alert", {"severity": "info"}, **{"If-Match": '"1"'})
        assert response.status_code == 412
        assert _send(client, "DELETE", "policies/high-cpu-alert", **{"If-Match": '"1"'}).status_code == 412

    def test_deletes(self, client: Client) -> None:
        _create(client)
        assert _send(client, "DELETE", "policies/high-cpu-alert").status_code == 200
        assert _send(client, "GET", "policies/high-cpu-alert").status_code == 404

    def test_toggles(self, client: Client) -> None:
        _create(client)
        assert _send(client, "PUT", "policies/high-cpu-alert/disable").json()["enabled"] is False
        assert _send(client, "PUT", "policies/high-cpu-alert/enable").json()["enabled"] is True
        assert _send(client, "PUT", "policies/nobody/enable").status_code == 404

    def test_filters_by_severity(self, client: Client) -> None:
        _create(client)
        assert _send(client, "GET", "policies/severity/warning").json()["total"] == 1
        assert _send(client, "GET", "policies/severity/critical").json()["total"] == 0
        assert _send(client, "GET", "policies/severity/loud").status_code == 404

    def test_evaluates_without_a_trace(self, client: Client) -> None:
        _create(client)
        sample = {"metrics": {"cpu_percent": 95}, "target": "web-01"}
        answer = _send(client, "POST", "policies/evaluate", sample).json()
        assert answer["ok"] is True
        assert answer["violations"][0]["policy_name"] == "high-cpu-alert"
        [triggered] = answer["actions_triggered"]
        expected = {"action": "scale-up", "target": "web-01", "status": "dry_run", "params": {"replicas": 2}}
        assert triggered.items() >= expected.items()
        assert datetime.fromisoformat(answer["timestamp"])
        assert not Incident.objects.exists()
        assert not Sample.objects.exists()

    def test_evaluates_healthy_values_and_other_targets_to_nothing(self, client: Client) -> None:
        _create(client)
        for sample in (
            {"metrics": {"cpu_percent": 10}, "target": "web-01"},
            {"metrics": {"cpu_percent": 95}, "target": "db-01"},
        ):
            answer = _send(client, "POST", "policies/evaluate", sample).json()
            assert (answer["violations"], answer["actions_triggered"]) == ([], [])

    def test_evaluate_refuses_what_is_no_number(self, client: Client) -> None:
        assert _send(client, "POST", "policies/evaluate", {"metrics": {"cpu": True}}).status_code == 422

    def test_replays_an_edit_that_is_not_saved(self, client: Client) -> None:
        _create(client)
        for value in (85, 86, 40):
            _send(client, "POST", "ingest", _reading(value))
        asked = {"since": "1h", "change": {"condition": "cpu_percent > 80"}}
        answer = _send(client, "POST", "policies/high-cpu-alert/backtest", asked)
        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["condition"], shown["samples"], shown["incidents_total"]) == ("cpu_percent > 80", 3, 1)
        assert [one["action"] for one in shown["actions"]] == ["scale-up"]
        assert shown["sentence"].startswith("In 1h it would have opened 1 incident on 1 target")
        assert _send(client, "GET", "policies/high-cpu-alert").json()["sentence"] == "cpu_percent > 90"

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"since": "yesterday"}, "since"),
            ({"since": "2026-01-19T12:00:00"}, "since"),
            ({"until": "2999-01-01T00:00:00Z"}, "until"),
            ({"takes": "long"}, "takes"),
            ({"change": {"condition": "cpu >"}}, "condition"),
            ({"change": {"colour": "red"}}, "colour"),
        ],
    )
    def test_a_replay_of_what_makes_no_sense_is_422_with_its_place(
        self, client: Client, body: dict[str, object], path: str
    ) -> None:
        _create(client)
        answer = _send(client, "POST", "policies/high-cpu-alert/backtest", body)
        assert answer.status_code == 422
        assert [one["path"] for one in answer.json()["errors"]] == [path]

    def test_a_bound_key_replays_its_own_targets_alone(self, client: Client) -> None:
        _create(client)
        _send(client, "POST", "ingest", _reading())
        bound = _caller("read", targets=("db-*",))
        assert _send(bound, "POST", "policies/high-cpu-alert/backtest", {}).json()["incidents"] == []
        assert _send(client, "POST", "policies/none/backtest", {}).status_code == 404

    def test_tells_how_the_runner_fares(self, client: Client, settings: LazySettings) -> None:
        settings.VIGIL_SWEEP_SHARD_TARGETS = 700
        runner = _send(client, "GET", "policies/runner/status").json()["runner"]
        assert runner["interval_seconds"] == 15
        assert {"enabled", "running", "batch_size", "last_run_at", "last_duration_ms", "policies_evaluated"} <= set(
            runner
        )
        assert (runner["lag_seconds"], runner["batch_size"]) == (0, 700)

    def test_reloads(self, client: Client) -> None:
        assert _send(client, "POST", "policies/reload").json()["ok"] is True

    def test_a_reader_may_not_write(self, db: None) -> None:
        reader = _caller("read")
        assert _send(reader, "POST", "policies", HIGH_CPU).status_code == 403
        assert _send(reader, "GET", "policies").status_code == 200

    @pytest.mark.parametrize("body", ["[]", "null", '"x"', "{", '{"name": "a", "name": "b"}'])
    def test_bodies_that_are_no_policy(self, client: Client, body: str) -> None:
        assert _send(client, "POST", "policies", body).status_code in {400, 422}

    def test_verbs_that_are_not_there_are_405(self, client: Client) -> None:
        response = _send(client, "DELETE", "policies")
        assert response.status_code == 405


class TestIncidents:
    def test_lists_in_the_contracts_shape(self, client: Client) -> None:
        _create(client)
        ordered = _send(client, "POST", "ingest", _reading()).json()["actions"][0]["action_id"]
        answer = _send(client, "GET", "incidents").json()
        assert (answer["count"], answer["next"], answer["previous"]) == (1, None, None)
        [incident] = answer["incidents"]
        expected = {
            "policy_name": "high-cpu-alert",
            "target": "web-01",
            "severity": "warning",
            "status": "open",
            "value": 95,
            "resolved_at": None,
            "acknowledged_by": None,
            "actions": [ordered],
            "time_to_heal_seconds": None,
        }
        assert incident.items() >= expected.items()

    def test_filters(self, client: Client) -> None:
        _create(client)
        _send(client, "POST", "ingest", _reading())
        for parameters, count in (("status=open", 1), ("status=resolved", 0), ("policy=x", 0), ("target=web-01", 1)):
            assert _send(client, "GET", f"incidents?{parameters}").json()["count"] == count
        assert _send(client, "GET", "incidents?state=open").status_code == 422
        assert _send(client, "GET", "incidents?status=odd").status_code == 422

    def test_shows_the_time_to_heal(self, client: Client) -> None:
        _create(client)
        at = clock.now()
        for seconds, value in ((10, 95), (4, 40)):
            moment = (at - timedelta(seconds=seconds)).isoformat()
            _send(client, "POST", "ingest", _reading(value, timestamp=moment))
        [incident] = _send(client, "GET", "incidents?status=resolved").json()["incidents"]
        assert incident["time_to_heal_seconds"] >= 0

    def test_tells_the_whole_story_of_one(self, client: Client) -> None:
        _create(client)
        incident_id = _send(client, "POST", "ingest", _reading()).json()["violations"][0]["incident_id"]
        answer = _send(client, "GET", f"incidents/{incident_id}").json()
        assert answer["sentence"] == "cpu_percent > 90"
        assert [moment["kind"] for moment in answer["timeline"]] == ["incident.opened", "action.ready"]
        assert [decision["answer"] for decision in answer["decisions"]] == ["order"]
        assert answer["action_details"][0]["action"] == "scale-up"

    def test_explains(self, client: Client) -> None:
        _create(client)
        incident_id = _send(client, "POST", "ingest", _reading()).json()["violations"][0]["incident_id"]
        text = _send(client, "GET", f"incidents/{incident_id}/explain").json()["text"]
        assert "cpu_percent 95 > 90" in text
        assert "Ordered scale-up on web-01" in text

    def test_explains_each_comparison_and_each_gate(self, client: Client) -> None:
        _create(client)
        ingested = _send(client, "POST", "ingest", _reading()).json()
        answer = _send(client, "GET", "explain?policy=high-cpu-alert&target=web-01").json()
        [sample] = answer["condition"]["series"][0]["samples"]
        assert (sample["id"], sample["value"]) == (ingested["metric_id"], 95)
        assert [gate["gate"] for gate in answer["gates"] if not gate["passed"]] == ["ladder"]
        assert answer["text"].startswith("At ")
        of_incident = _send(client, "GET", f"incidents/{answer['incident_id']}/explain").json()["explanation"]
        assert of_incident["reason"] == "cpu_percent 95 > 90"

    def test_explains_an_action(self, client: Client) -> None:
        _create(client)
        action_id = _send(client, "POST", "ingest", _reading()).json()["actions"][0]["action_id"]
        answer = _send(client, "GET", f"actions/{action_id}/explain").json()
        assert answer["ordered_on"]["verdict"] == "violated"
        assert answer["ordered_on"]["gates"] is None

    @pytest.mark.parametrize(
        ("asked", "status", "said"),
        [
            ("explain", 422, "policy: say which"),
            ("explain?policy=high-cpu-alert", 422, "target: say which"),
            ("explain?policy=nobody&target=web-01", 404, "There is no policy"),
            ("explain?policy=high-cpu-alert&target=db-01", 422, "covers web-*"),
            ("explain?policy=high-cpu-alert&target=web-01&at=noon", 422, "must be a time with a zone"),
            ("explain?policy=high-cpu-alert&target=web-01&at=2999-01-01T00:00:00Z", 422, "lies in the future"),
            ("explain?policy=high-cpu-alert&target=web-01&when=now", 422, "unknown parameter"),
            ("actions/999999/explain", 404, "There is no action"),
        ],
    )
    def test_explains_what_is_wrong_with_a_question(self, client: Client, asked: str, status: int, said: str) -> None:
        _create(client)
        answer = _send(client, "GET", asked)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.json()

    def test_explains_nothing_to_a_key_bound_to_other_targets(self, client: Client) -> None:
        _create(client)
        action_id = _send(client, "POST", "ingest", _reading()).json()["actions"][0]["action_id"]
        stranger = _caller("read", targets=("db-*",))
        assert _send(stranger, "GET", "explain?policy=high-cpu-alert&target=web-01").status_code == 404
        assert _send(stranger, "GET", f"actions/{action_id}/explain").status_code == 404

    def test_is_acknowledged_once_seen(self, client: Client) -> None:
        _create(client)
        incident_id = _send(client, "POST", "ingest", _reading()).json()["violations"][0]["incident_id"]
        answer = _send(client, "POST", f"incidents/{incident_id}/acknowledge", {"note": "on it"}).json()
        assert answer["acknowledged_by"] == "key:agent-4-0"
        story = _send(client, "GET", f"incidents/{incident_id}").json()
        assert story["timeline"][-1]["reason"] == "on it"

    def test_is_resolved_by_hand_once(self, client: Client) -> None:
        _create(client)
        incident_id = _send(client, "POST", "ingest", _reading()).json()["violations"][0]["incident_id"]
        response = _send(client, "POST", f"incidents/{incident_id}/resolve")
        assert (response.status_code, response.json()["resolution"]) == (200, "by_hand")
        assert response.json()["time_to_heal_seconds"] is None
        assert _send(client, "POST", f"incidents/{incident_id}/resolve").status_code == 409

    def test_none_is_404(self, client: Client) -> None:
        assert _send(client, "GET", "incidents/999999").status_code == 404
        assert _send(client, "POST", "incidents/999999/acknowledge").status_code == 404

    def test_a_key_bound_to_targets_knows_of_those_alone(self, client: Client) -> None:
        _create(client)
        incident_id = _send(client, "POST", "ingest", _reading()).json()["violations"][0]["incident_id"]
        stranger = _caller("read", "actions:write", targets=("db-*",))
        assert _send(stranger, "GET", "incidents").json()["count"] == 0
        assert _send(stranger, "GET", f"incidents/{incident_id}").status_code == 404
        assert _send(stranger, "POST", f"incidents/{incident_id}/resolve").status_code == 404
        friend = _caller("read", targets=("web-*", "db-1"))
        assert _send(friend, "GET", "incidents").json()["count"] == 1
