"""The endpoints of actions, as machines and people call them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from actions.models import Action
from tests.integration.actions import fakes, make
from vigil.access import keys
from vigil.kernel import clock

pytestmark = pytest.mark.usefixtures("remote")

ALL = ("read", "actions:write", "control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Calls with one key and hands back status and JSON."""

    client: Client
    key: str

    def __call__(self, verb: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        sent = b"" if body is None else body
        extra = {} if verb == "get" else {"data": sent, "content_type": "application/json"}
        call: Callable[..., Any] = getattr(self.client, verb)
        answer = call(f"/api/v1/{path}", headers={"Authorization": f"Bearer {self.key}", **headers}, **extra)
        return answer.status_code, answer.json()


def caller(client: Client, scopes: Iterable[str] = ALL, targets: Iterable[str] = ()) -> Caller:
    _, plain = keys.create(name="agent-1", scopes=scopes, actor="user:ana", targets=targets)
    keys.forget_cache()
    return Caller(client=client, key=plain)


@pytest.fixture
def call(client: Client) -> Caller:
    return caller(client)


def test_an_order_by_hand_is_stored_and_answered(call: Caller) -> None:
    status, action = call("post", "actions", {"action": "scale-up", "target": "web-01", "params": {"replicas": 2}})
    assert status == 201
    assert (action["action"], action["target"], action["status"]) == ("scale-up", "web-01", "pending")
    assert (action["params"], action["ordered_by"]) == ({"replicas": 2}, "key:agent-1")
    assert call("get", f"actions/{action['id']}")[1]["timeline"][0]["kind"] == "action.ready"


def test_an_order_carries_the_requests_id(call: Caller) -> None:
    _, action = call("post", "actions", {"action": "restart", "target": "web-01"}, **{"X-Request-ID": "trace-7"})
    assert action["request_id"] == "trace-7"
    assert call("get", f"actions/{action['id']}")[1]["timeline"][0]["request_id"] == "trace-7"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"action": "restart", "target": ""}, "target"),
        ({"action": "restart", "target": "*"}, "target"),
        ({"action": "restart"}, "target"),
        ({"target": "web-01"}, "action"),
        ({"action": "nonsense", "target": "web-01"}, "action"),
        ({"action": "scale-up", "target": "web-01", "params": {"replicas": True}}, "params.replicas"),
        ({"action": "scale-up", "target": "web-01", "params": [1]}, "params"),
        ({"action": "scale-up", "target": "web-01", "dry_runn": True}, "dry_runn"),
        ({"action": "scale-up", "target": 5}, "target"),
    ],
)
def test_an_order_that_makes_no_sense_stores_nothing(call: Caller, body: object, path: str) -> None:
    status, error = call("post", "actions", body)
    assert status == 422
    assert error["errors"][0]["path"] == path
    assert Action.objects.count() == 0


def test_an_idempotency_key_orders_once(call: Caller) -> None:
    body = {"action": "restart", "target": "web-01"}
    first = call("post", "actions", body, **{"Idempotency-Key": "k-1"})
    again = call("post", "actions", body, **{"Idempotency-Key": "k-1"})
    other = call("post", "actions", {**body, "target": "web-02"}, **{"Idempotency-Key": "k-1"})
    assert (first[0], again[0], other[0]) == (201, 200, 422)
    assert first[1]["id"] == again[1]["id"]
    assert call("post", "actions", body, **{"Idempotency-Key": "a b"})[0] == 422


def test_paused_an_order_is_refused_with_what_to_do(call: Caller) -> None:
    assert call("put", "control", {"mode": "paused", "reason": "deploy"})[0] == 200
    status, error = call("post", "actions", {"action": "restart", "target": "web-01"})
    assert (status, error["code"]) == (409, "held_kill_switch")
    assert "deploy" in error["detail"]
    assert "Resume" in error["detail"]


def test_the_list_has_the_promised_shape(call: Caller) -> None:
    make.ordered()
    status, page = call("get", "actions")
    assert status == 200
    assert {"count", "next", "previous", "actions"} == set(page)
    promised = {
        "id", "target", "action", "status", "details", "params", "policy_name", "severity", "incident_id", "attempts",
        "verification", "notes", "created_at", "started_at", "finished_at",
    }  # fmt: skip
    assert promised <= set(page["actions"][0])


@pytest.mark.parametrize(
    ("query", "targets"),
    [
        ("", ["web-03", "web-02", "web-01"]),
        ("?status=completed", ["web-01"]),
        ("?status=pending", ["web-03", "web-02"]),
        ("?target=web-02", ["web-02"]),
        ("?policy=high-cpu", ["web-02"]),
        ("?incident=7", ["web-02"]),
        ("?until=2020-01-01T00:00:00Z", []),
        ("?since=2020-01-01T00:00:00Z&limit=1", ["web-03"]),
        ("?limit=1&offset=2", ["web-01"]),
    ],
)
def test_the_list_is_filtered(call: Caller, query: str, targets: list[str]) -> None:
    make.run(make.by_hand(target="web-01").id)
    make.ordered(target="web-02")
    make.by_hand(target="web-03")
    assert [action["target"] for action in call("get", f"actions{query}")[1]["actions"]] == targets


@pytest.mark.parametrize(
    "query",
    ["?status=done", "?limit=0", "?limit=201", "?offset=-1", "?since=yesterday", "?since=2020-01-01", "?polcy=x",
     "?incident=x", "?target=%00"],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused(call: Caller, query: str) -> None:
    assert call("get", f"actions{query}")[0] == 422


def test_actions_by_status(call: Caller) -> None:
    make.by_hand()
    assert call("get", "actions/status/pending")[1]["count"] == 1
    assert call("get", "actions/status/running")[1]["count"] == 0
    assert call("get", "actions/status/sleeping")[0] == 404


def test_one_action_is_shown_with_attempts_and_story(call: Caller) -> None:
    action = make.ordered()
    make.run(action.id)
    status, shown = call("get", f"actions/{action.id}/")
    assert status == 200
    assert [attempt["outcome"] for attempt in shown["tries"]] == ["succeeded"]
    assert [step["to"] for step in shown["timeline"]] == ["ready", "leased", "executing", "succeeded"]


@pytest.mark.parametrize("path", ["actions/4711", "actions/999999999999999999", "actions/0", "actions/x"])
def test_no_such_action_is_said_so(call: Caller, path: str) -> None:
    assert call("get", path)[0] == 404


def test_cancel_says_whether_it_is_done_or_requested(call: Caller) -> None:
    waiting, running = make.by_hand(), make.by_hand(target="web-02")
    make.leased(running.id)
    assert call("post", f"actions/{waiting.id}/cancel")[1]["cancel"] == "cancelled"
    status, answer = call("post", f"actions/{running.id}/cancel", {"reason": "wrong host"})
    assert (status, answer["cancel"], answer["cancel_requested"]) == (202, "requested", True)
    assert call("post", f"actions/{waiting.id}/cancel")[0] == 409
    assert call("post", "actions/4711/cancel")[0] == 404


def test_retry_makes_a_new_action(call: Caller) -> None:
    action = make.by_hand()
    assert call("post", f"actions/{action.id}/retry")[0] == 409
    call("post", f"actions/{action.id}/cancel")
    status, answer = call("post", f"actions/{action.id}/retry", {"reason": "after all"})
    assert (status, answer["retry_of"]) == (201, action.id)


@pytest.mark.parametrize(("verb", "path"), [("patch", ""), ("post", "/notes")])
def test_notes_are_written(call: Caller, verb: str, path: str) -> None:
    action = make.by_hand()
    status, answer = call(verb, f"actions/{action.id}{path}", {"notes": "see ticket 9"})
    assert (status, answer["notes"]) == (200, "see ticket 9")
    assert call(verb, f"actions/{action.id}{path}", {"notes": "x" * 10_001})[0] == 422
    assert call(verb, f"actions/{action.id}{path}", {"state": "succeeded"})[0] == 422


def test_the_switch_is_shown_and_set(call: Caller) -> None:
    assert call("get", "control")[1]["mode"] == "active"
    status, answer = call("put", "control", {"mode": "observe", "reason": "a look"})
    assert (status, answer["mode"], answer["by"], answer["reason"]) == (200, "observe", "key:agent-1", "a look")
    assert call("put", "control", {"mode": "off"})[0] == 422


def test_action_types_come_with_their_schemas(call: Caller) -> None:
    kinds = call("get", "action-types")[1]["action_types"]
    by_name = {kind["name"]: kind for kind in kinds}
    assert len(by_name) == 9
    assert by_name["scale-up"]["retry_safety"] == "natural"
    assert by_name["restart"]["retry_safety"] == "at_most_once"
    assert by_name["scale-up"]["schema"]["properties"]["replicas"]["type"] == "integer"


@pytest.mark.parametrize("path", ["queue/stats", "ui/queue/stats"])
def test_queue_statistics_have_the_promised_shape(call: Caller, remote: fakes.Fake, path: str) -> None:
    done, failed = make.by_hand(target="web-01"), make.by_hand(target="web-02")
    make.run(done.id)
    remote.outcomes = [fakes.SAID_NO]
    make.run(failed.id)
    make.by_hand(target="web-03")
    stats = call("get", path)[1]
    assert (stats["queue_length"], stats["tasks_enqueued"], stats["tasks_dequeued"]) == (1, 3, 2)
    assert (stats["tasks_completed"], stats["tasks_failed"], stats["success_rate"]) == (1, 1, 50.0)
    assert (stats["queue_depth"], stats["completed"], stats["failed"]) == (1, 1, 1)
    assert stats["last_processed_task"]["action_id"] == failed.id
    assert len(stats["history"]) == 12
    assert set(stats["history"][0]) == {"time", "depth"}


def test_the_queues_history_counts_what_waited_then(call: Caller) -> None:
    action = make.by_hand()
    Action.objects.filter(pk=action.id).update(created_at=clock.now() - timedelta(minutes=12))
    assert [point["depth"] for point in call("get", "queue/stats")[1]["history"][-4:]] == [0, 1, 1, 1]


NEEDED = [
    ("get", "actions", "read"),
    ("post", "actions", "actions:write"),
    ("get", "actions/1", "read"),
    ("patch", "actions/1", "actions:write"),
    ("post", "actions/1/notes", "actions:write"),
    ("post", "actions/1/cancel", "actions:write"),
    ("post", "actions/1/retry", "actions:write"),
    ("get", "actions/status/pending", "read"),
    ("get", "control", "read"),
    ("put", "control", "control"),
    ("get", "action-types", "read"),
    ("get", "queue/stats", "read"),
    ("get", "ui/queue/stats", "read"),
]
SCOPES = ["ingest", "read", "actions:write", "actions:approve", "policies:write", "remediator", "control", "simulator"]


@pytest.mark.parametrize(("verb", "path", "scope"), NEEDED)
def test_each_verb_needs_exactly_its_scope(client: Client, verb: str, path: str, scope: str) -> None:
    for held in SCOPES:
        status, _ = caller(client, [held])(verb, path, {} if verb != "get" else None)
        assert (status == 403) == (held != scope), held


@pytest.mark.parametrize(("verb", "path", "scope"), NEEDED)
def test_a_stranger_gets_nowhere(client: Client, verb: str, path: str, scope: str) -> None:
    answer = getattr(client, verb)(f"/api/v1/{path}", data={}, content_type="application/json")
    assert answer.status_code == 401
    assert Action.objects.count() == 0


@pytest.mark.parametrize("verb", ["delete", "put", "patch"])
def test_a_verb_that_is_not_there_is_said_so(call: Caller, verb: str) -> None:
    status, error = call(verb, "actions", {})
    assert (status, error["code"]) == (405, "method_not_allowed")


def test_a_key_bound_to_targets_sees_and_touches_only_those(client: Client) -> None:
    bound = caller(client, ALL, ["web-*"])
    mine, other = make.by_hand(target="web-01"), make.by_hand(target="db-01")
    assert [action["id"] for action in bound("get", "actions")[1]["actions"]] == [mine.id]
    assert bound("get", f"actions/{mine.id}")[0] == 200
    for verb, path, body in [
        ("get", "", None), ("patch", "", {"notes": "x"}), ("post", "/notes", {"notes": "x"}),
        ("post", "/cancel", None), ("post", "/retry", None),
    ]:  # fmt: skip
        assert bound(verb, f"actions/{other.id}{path}", body)[0] == 404
    assert make.state(other.id) == "ready"
    make.run(other.id)
    assert bound("get", "queue/stats")[1]["last_processed_task"] is None
    status, error = bound("post", "actions", {"action": "restart", "target": "db-01"})
    assert (status, error["code"]) == (403, "target_not_allowed")


@pytest.mark.parametrize("pattern", ["web.01", "web-0", "eb-01", "(web-01|db-01)", "WEB-*"])
def test_patterns_of_a_key_are_taken_literally_but_for_the_star(client: Client, pattern: str) -> None:
    make.by_hand(target="web-01")
    assert caller(client, ALL, [pattern])("get", "actions")[1]["count"] == 0


def test_a_key_bound_to_targets_says_nothing_about_all_of_them(client: Client) -> None:
    bound = caller(client, scopes=("read", "control", "policies:write", "simulator"), targets=["web-*"])
    policy = {"name": "mine", "condition": "cpu_usage > 90", "target": "db-*", "action": "restart"}
    for verb, path, body in (
        ("put", "control", {"mode": "paused"}),
        ("post", "policies", policy),
        ("post", "simulator/start", {}),
    ):
        status, answer = bound(verb, path, body)
        assert status == 403, path
        assert "web-*" in answer["detail"]
    assert bound("get", "control")[1]["mode"] == "active"
