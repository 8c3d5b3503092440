"""Pull mode: what a remediator behind a firewall fetches, what it reports, and what becomes of it when it does not."""

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import F
from django.test import Client

from actions import control, dispatch, execution, fsck, line, queries, reaper, steering
from actions.claims import Claimed, Intent, NotClaimed, claim, intend
from actions.guards import GateAnswer
from actions.models import Action, ActionType, Attempt, Circuit, Remediator
from tests.integration.actions import fakes, make
from tests.integration.actions.test_races import at_once, errors
from vigil.access import keys
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

type Fetch = dict[str, Any]


@pytest.fixture(autouse=True)
def pulled(db: None, stage: object) -> Iterator[Remediator]:
    """All action types are carried out by a remediator that fetches."""
    keys.forget_cache()
    row = Remediator.objects.create(name="edge", kind="pull", config={"keys": ["edge-key"]})
    ActionType.objects.update(remediator=row)
    yield row
    keys.forget_cache()


def client(name: str = "edge-key", scope: str = "remediator", targets: tuple[str, ...] = ()) -> Client:
    _, plain = keys.create(name=name, scopes=[scope], targets=targets, actor="user:ana")
    keys.forget_cache()
    return Client(headers={"Authorization": f"Bearer {plain}"})


@pytest.fixture
def edge() -> Client:
    return client()


def fetch(caller: Client, remediator_id: str = "edge-1", **query: int) -> list[Fetch]:
    answer = caller.get("/remediator/tasks", {"remediator_id": remediator_id, **{k: str(v) for k, v in query.items()}})
    assert answer.status_code == 200, answer.content
    found: list[Fetch] = answer.json()["tasks"]
    return found


def report(caller: Client, task: Fetch, status: str = "success", **said: object) -> tuple[int, Any]:
    body = {
        "task_id": task["id"],
        "timestamp": int(clock.now().timestamp()),
        "status": status,
        "resource": task["resource"],
        "namespace": task["namespace"],
        "action": task["action"],
        "duration": 1200,
        "details": {"pod": "web-1"},
        "remediator_id": "edge-1",
        "remediator_version": "1.0.0",
        "retry_attempts": 1,
        **said,
    }
    answer = caller.post("/remediator/results", json.dumps(body), content_type="application/json")
    return answer.status_code, answer.json()


def attempt_of(action_id: int) -> Attempt:
    return Attempt.objects.filter(action_id=action_id).latest("number")


def given_up(action_id: int) -> None:
    """Let the type's `max_seconds` be over, and the dispatcher notice it."""
    before = clock.now() - timedelta(seconds=310)
    Attempt.objects.filter(action_id=action_id).update(intent_at=before, first_byte_at=before)
    make.due_now(action_id)
    reaper.ask(at=clock.now())


def sound() -> None:
    assert list(fsck.broken(at=clock.now())) == []


def test_a_task_has_the_shape_that_the_remediators_there_are_speak(edge: Client) -> None:
    action = make.ordered(kind="restart", params={"namespace": "shop", "grace_seconds": 5})
    [task] = fetch(edge)
    assert {name: value for name, value in task.items() if name != "timestamp"} == {
        "id": str(action.uid),
        "resource": "web-01",
        "namespace": "shop",
        "action": "restart",
        "parameters": {"namespace": "shop", "grace_seconds": 5},
        "priority": "medium",
        "policy_id": "high-cpu",
        "timeout": 300,
        "max_retries": 1,
    }
    assert abs(task["timestamp"] - clock.now().timestamp()) < 60


def test_a_task_that_may_be_repeated_may_be_tried_again_by_the_remediator(edge: Client) -> None:
    make.ordered(kind="scale-up")
    assert [task["max_retries"] for task in fetch(edge)] == [3]


def test_what_was_fetched_is_accepted_with_its_attempt_and_in_no_other_answer(edge: Client) -> None:
    action = make.ordered(kind="restart")
    assert len(fetch(edge)) == 1
    assert fetch(edge, "edge-2") == []
    attempt = attempt_of(action.id)
    assert (attempt.worker, attempt.outcome, attempt.first_byte_at is not None) == ("pull/edge-1", "accepted", True)
    assert make.story(action.id) == ["ready", "leased", "executing", "accepted"]
    sound()


def test_no_worker_calls_what_is_fetched(edge: Client) -> None:
    action = make.ordered()
    assert isinstance(make.run(action.id), NotClaimed)
    assert execution.run_due(limit=5, worker="w1") == 0
    assert not line.due().exists()
    assert make.state(action.id) == "ready"


def test_nobody_fetches_what_is_called(edge: Client, pulled: Remediator) -> None:
    ActionType.objects.filter(name="scale-up").update(remediator=Remediator.objects.get(name="default"))
    make.ordered(kind="scale-up")
    assert fetch(edge) == []


@pytest.mark.parametrize(
    ("status", "state", "outcome", "error_class"),
    [
        ("success", "succeeded", "succeeded", ""),
        ("failed", "failed", "failed", "answered_failed"),
        ("partial", "failed", "failed", "partial"),
        ("timeout", "unknown", "ambiguous", "timeout"),
    ],
)
def test_a_result_settles_its_task(edge: Client, status: str, state: str, outcome: str, error_class: str) -> None:
    action = make.ordered(kind="restart")
    [task] = fetch(edge)
    code, answer = report(edge, task, status, error_message="half of it")
    assert (code, answer["ok"], answer["action_id"]) == (200, True, action.id)
    attempt = attempt_of(action.id)
    assert (make.state(action.id), attempt.outcome, attempt.error_class) == (state, outcome, error_class)
    assert (attempt.message, attempt.details["pod"], attempt.details["duration_ms"]) == ("half of it", "web-1", 1200)
    assert make.story(action.id)[-2:] == ["accepted", state]
    sound()


def test_the_same_result_again_is_answered_the_same_and_changes_nothing(edge: Client) -> None:
    action = make.ordered()
    [task] = fetch(edge)
    first, again = (report(edge, task) for _ in range(2))
    assert first[0] == 200
    assert first == again
    assert make.story(action.id)[-2:] == ["accepted", "succeeded"]


def test_a_contradicting_result_is_refused(edge: Client) -> None:
    action = make.ordered()
    [task] = fetch(edge)
    report(edge, task, "failed")
    code, answer = report(edge, task, "success")
    assert (code, answer["code"], make.state(action.id)) == (409, "contradicting_result", "failed")


@pytest.mark.parametrize("task_id", ["7f6a7cf9-7b7b-4a43-b2a6-40a2f9de7d0a", "456", "x" * 200, "'; --"])
def test_an_unknown_task_is_not_found(edge: Client, task_id: str) -> None:
    make.ordered()
    [task] = fetch(edge)
    assert report(edge, task, task_id=task_id)[0] == 404


def test_a_task_is_reported_by_who_fetched_it_alone(edge: Client) -> None:
    action = make.ordered()
    [task] = fetch(edge)
    assert report(edge, task, remediator_id="edge-2")[0] == 404
    assert make.state(action.id) == "accepted"


@pytest.mark.parametrize("wrong", [{"resource": "web-02"}, {"action": "restart"}])
def test_a_result_about_something_else_is_refused(edge: Client, wrong: dict[str, Any]) -> None:
    make.ordered()
    [task] = fetch(edge)
    code, answer = report(edge, task, **wrong)
    assert (code, [error["path"] for error in answer["errors"]]) == (422, list(wrong))


def test_another_key_gets_nothing_and_reports_nothing(edge: Client) -> None:
    make.ordered()
    stranger = client("other-key")
    answer = stranger.get("/remediator/tasks", {"remediator_id": "edge-1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_remediator")
    [task] = fetch(edge)
    assert report(stranger, task)[0] == 409


def test_another_remediators_tasks_are_not_there(edge: Client) -> None:
    Remediator.objects.create(name="other", kind="pull", config={"keys": ["other-key"]})
    action = make.ordered()
    other = client("other-key")
    assert fetch(other) == []
    [task] = fetch(edge)
    assert report(other, task)[0] == 404
    assert make.state(action.id) == "accepted"


def test_a_key_bound_to_targets_fetches_theirs_alone() -> None:
    make.ordered(target="db-01", key="a")
    make.ordered(target="web-01", key="b")
    assert [task["resource"] for task in fetch(client(targets=("web-*",)))] == ["web-01"]


def test_a_person_fetches_nothing(admin_client: Client) -> None:
    make.ordered()
    assert admin_client.get("/remediator/tasks", {"remediator_id": "edge-1"}).status_code == 409


def test_looking_at_the_head_takes_nothing(edge: Client) -> None:
    make.ordered()
    assert edge.head("/remediator/tasks", {"remediator_id": "edge-1"}).status_code == 405
    assert len(fetch(edge)) == 1


@pytest.mark.parametrize("query", [{}, {"remediator_id": "a b"}, {"remediator_id": "e", "limit": 51}, {"limt": 1}])
def test_a_question_that_makes_no_sense_is_refused(edge: Client, query: dict[str, Any]) -> None:
    make.ordered()
    assert edge.get("/remediator/tasks", query).status_code == 422
    assert len(fetch(edge)) == 1


def test_so_many_as_were_asked_for_and_one_for_each_target(edge: Client) -> None:
    for target in ("a", "b", "c"):
        make.by_hand(target=target)
        make.by_hand(target=target, kind="restart")
    assert len(fetch(edge, limit=2)) == 2
    assert [task["resource"] for task in fetch(edge)] == ["c"]
    assert fetch(edge) == []


def test_nothing_is_handed_over_while_vigil_is_paused(edge: Client) -> None:
    make.ordered()
    control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
    assert fetch(edge) == []
    control.set_mode(mode="active", reason="", actor="user:ana", at=clock.now())
    assert len(fetch(edge)) == 1


def test_nothing_is_handed_over_that_is_no_longer_wanted(edge: Client, gate: fakes.Gate) -> None:
    gate.answer = GateAnswer(wanted=False, reason="healthy again")
    action = make.ordered()
    assert fetch(edge) == []
    assert make.state(action.id) == "cancelled"


def test_nothing_is_handed_over_right_before_its_deadline(edge: Client) -> None:
    action = make.ordered(kind="restart")
    Action.objects.filter(pk=action.id).update(deadline=clock.now() + timedelta(seconds=2))
    assert fetch(edge) == []
    assert attempt_of(action.id).first_byte_at is None
    assert make.state(action.id) in {"retry_wait", "failed"}  # whichever the spread of retries leaves time for


def test_nothing_is_handed_over_when_it_is_too_late_or_cancelled(edge: Client) -> None:
    late, cancelled = make.ordered(key="a"), make.by_hand(target="web-02")
    make.deadline_over(late.id)
    steering.cancel(action_id=cancelled.id, actor="user:ana", reason="", at=clock.now())
    assert fetch(edge) == []


def test_a_remediator_that_is_switched_off_fetches_nothing(edge: Client, pulled: Remediator) -> None:
    make.ordered()
    Remediator.objects.filter(pk=pulled.pk).update(enabled=False)
    assert edge.get("/remediator/tasks", {"remediator_id": "edge-1"}).status_code == 409


def test_what_may_run_once_and_is_never_reported_needs_a_person(edge: Client) -> None:
    action = make.ordered(kind="restart")
    fetch(edge)
    given_up(action.id)
    make.due_now(action.id)
    reaper.ask(at=clock.now())
    assert make.story(action.id)[-3:] == ["accepted", "unknown", "needs_human"]
    assert fetch(edge) == []


@pytest.mark.parametrize("safety", ["natural", "idempotent_key"])
def test_what_may_be_repeated_and_is_never_reported_is_handed_over_again(edge: Client, safety: str) -> None:
    ActionType.objects.filter(name="scale-up").update(retry_safety=safety)
    action = make.ordered(kind="scale-up")
    [first] = fetch(edge)
    given_up(action.id)
    make.due_now(action.id)
    reaper.ask(at=clock.now())
    assert make.story(action.id)[-3:] == ["accepted", "unknown", "retry_wait"]
    make.due_now(action.id)
    [second] = fetch(edge)
    assert (first["id"], queries.get(action.id).attempts) == (second["id"], 2)


def test_durable_keys_let_what_runs_once_be_handed_over_again(edge: Client, pulled: Remediator) -> None:
    Remediator.objects.filter(pk=pulled.pk).update(config={"keys": ["edge-key"], "durable_keys": True})
    action = make.ordered(kind="restart")
    [task] = fetch(edge)
    assert task["max_retries"] == 3
    given_up(action.id)
    make.due_now(action.id)
    reaper.ask(at=clock.now())
    assert make.state(action.id) == "retry_wait"
    sound()


@pytest.mark.parametrize("state", ["unknown", "needs_human"])
def test_a_report_that_comes_after_all_settles_the_doubt(edge: Client, state: str) -> None:
    action = make.ordered(kind="restart")
    [task] = fetch(edge)
    given_up(action.id)
    if state == "needs_human":
        make.due_now(action.id)
        reaper.ask(at=clock.now())
    assert make.state(action.id) == state
    assert report(edge, task)[0] == 200
    assert make.story(action.id)[-2:] == [state, "succeeded"]


def test_a_late_result_is_kept_and_moves_nothing(edge: Client) -> None:
    action = make.ordered(kind="scale-up")
    [task] = fetch(edge)
    given_up(action.id)
    make.due_now(action.id)
    reaper.ask(at=clock.now())
    assert report(edge, task)[0] == 200
    attempt = attempt_of(action.id)
    assert (attempt.late, attempt.outcome, make.state(action.id)) == (True, "succeeded", "retry_wait")
    assert report(edge, task)[0] == 200


def many(count: int, *, first: int = 0, **order: Any) -> None:
    """So many tasks, on a target each."""
    for number in range(first, first + count):
        make.ordered(key=f"policy:high-cpu:incident:{number}:step:0", target=f"web-{number:02}", **order)


def fetch_all(caller: Client) -> list[Fetch]:
    """Everything there is, however slow the machine: one answer is gathered for three seconds."""
    found: list[Fetch] = []
    while tasks := fetch(caller):
        found += tasks
    return found


def rested() -> None:
    """Let an open circuit have rested."""
    Circuit.objects.update(opened_at=F("opened_at") - timedelta(hours=1))


@pytest.fixture
def troubled(edge: Client, settings: Any) -> Client:
    """One that could not say of five tasks in a row how they ended."""
    settings.VIGIL_BREAKER_REST_SECONDS = 3_600  # a slow test must not take up its rest
    many(5)
    for task in fetch_all(edge):
        assert report(edge, task, "timeout")[0] == 200
    return edge


def test_five_results_that_nobody_knows_open_the_circuit(troubled: Client) -> None:
    circuit = Circuit.objects.get()
    assert (circuit.position, circuit.reason) == ("open", "5 failures in a row")
    many(2, first=5)
    assert fetch(troubled) == []
    rested()
    [probe] = fetch(troubled)
    assert Circuit.objects.get().position == "half_open"  # that it was fetched says nothing of how it ends
    assert report(troubled, probe, "failed")[0] == 200
    assert Circuit.objects.get().position == "closed"  # one that reports a failure works
    assert len(fetch(troubled)) == 1


def test_a_probe_of_which_nobody_knows_how_it_ended_keeps_the_circuit_open(troubled: Client) -> None:
    many(1, first=5)
    rested()
    [probe] = fetch(troubled)
    assert report(troubled, probe, "timeout")[0] == 200
    assert Circuit.objects.get().position == "open"


def test_the_same_doubt_counts_once(edge: Client) -> None:
    action = make.ordered()
    [task] = fetch(edge)
    given_up(action.id)
    assert make.state(action.id) == "unknown"
    assert Circuit.objects.get().failures == 1
    for _ in range(2):
        assert report(edge, task, "timeout")[0] == 200
    assert Circuit.objects.get().failures == 1


def test_five_tasks_that_are_never_reported_open_the_circuit_and_a_late_report_does_not_close_it(edge: Client) -> None:
    many(5)
    tasks = fetch_all(edge)
    for action_id in Action.objects.values_list("pk", flat=True):
        given_up(action_id)
    assert Circuit.objects.get().position == "open"
    assert report(edge, tasks[0])[0] == 200
    assert Circuit.objects.get().position == "open"


def test_a_remediator_that_always_reports_never_has_a_circuit(edge: Client) -> None:
    many(6)
    for task in fetch_all(edge):
        assert report(edge, task, "failed")[0] == 200
    assert not Circuit.objects.exists()


def test_results_count_for_the_circuit_of_the_policy(edge: Client) -> None:
    many(5)
    for task in fetch_all(edge):
        assert report(edge, task, "partial")[0] == 200
    held = make.answer(key="policy:high-cpu:incident:9:step:0", target="web-09")
    assert isinstance(held, dispatch.Held)
    assert (held.guard, held.numbers["failures"]) == ("circuit", 5)


def test_one_whose_handing_over_died_was_never_sent(edge: Client) -> None:
    """The web process was killed between INTENT and its answer: nothing left, so even a restart is safe to begin."""
    action = make.ordered(kind="restart")
    lease = claim(action_id=action.id, worker="pull/edge-1", fetched=True)
    assert isinstance(lease, Claimed)
    assert isinstance(intend(lease), Intent)
    make.lease_over(action.id)
    reaper.run(at=clock.now())
    make.due_now(action.id)
    reaper.ask(at=clock.now())
    assert make.story(action.id)[-2:] == ["unknown", "retry_wait"]
    make.due_now(action.id)
    assert len(fetch(edge)) == 1
    sound()


def test_what_a_worker_may_have_sent_is_not_begun_again_because_its_remediator_fetches_by_now(
    edge: Client, pulled: Remediator
) -> None:
    Remediator.objects.filter(pk=pulled.pk).update(kind="log", config={})
    action = make.ordered(kind="restart")
    assert isinstance(intend(make.leased(action.id)), Intent)
    make.lease_over(action.id)
    Remediator.objects.filter(pk=pulled.pk).update(kind="pull", config={"keys": ["edge-key"]})
    reaper.run(at=clock.now())
    make.due_now(action.id)
    reaper.ask(at=clock.now())
    assert make.state(action.id) == "needs_human"


def test_what_was_handed_over_leaves_even_when_the_database_goes_away(
    edge: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target in ("a", "b"):
        make.by_hand(target=target)
    run = execution.run

    def once(**how: Any) -> execution.Ran:
        if Attempt.objects.exists():
            raise OperationalError("the database is away")
        return run(**how)

    monkeypatch.setattr(execution, "run", once)
    assert [task["resource"] for task in fetch(edge)] == ["a"]


@pytest.mark.django_db(transaction=True)
def test_of_many_that_fetch_each_gets_tasks_of_its_own() -> None:
    caller = client()
    for number in range(8):
        make.by_hand(target=f"web-{number}", kind="restart")
    results = at_once(*(partial(fetch, caller, f"edge-{number}", limit=3) for number in range(4)))
    while any(isinstance(one, list) and one for one in results) and line.due_for(_pulls()).exists():
        results += at_once(partial(fetch, caller, "edge-9"))
    assert errors(results) == []
    handed = [task["id"] for one in results if isinstance(one, list) for task in one]
    assert sorted(handed) == sorted(str(action.uid) for action in Action.objects.all())
    sound()


@pytest.mark.django_db(transaction=True)
def test_of_many_reports_one_settles() -> None:
    caller = client()
    action = make.by_hand()
    [task] = fetch(caller)
    results = at_once(*[partial(report, caller, task)] * 4, *[partial(report, caller, task, "failed")] * 4)
    codes = [one[0] for one in results if not isinstance(one, Exception)]
    assert sorted(codes) == [200] * 4 + [409] * 4
    assert make.story(action.id)[-2] == "accepted"
    sound()


def _pulls() -> list[int]:
    return list(Remediator.objects.filter(kind="pull").values_list("id", flat=True))
