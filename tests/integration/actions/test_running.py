"""From an order to its result, as a worker goes through it."""

import time
from datetime import timedelta

import pytest
from django.db import connection

from actions import control, execution, queries, steering
from actions.claims import Dropped, Intent, NotClaimed, claim, drop, intend
from actions.guards import GateAnswer, Limits
from actions.models import Action, ActionType, Attempt, Remediator, TargetGuard
from actions.remediators import base
from actions.states import State
from tests.integration.actions import fakes, make
from vigil.kernel import clock, context


def test_an_action_is_run_and_tells_its_story(remote: fakes.Fake) -> None:
    action = make.ordered(params={"replicas": 2})
    assert isinstance(make.run(action.id), Intent)
    after = queries.get(action.id)
    assert (after.state, after.attempts, after.details) == (State.SUCCEEDED, 1, "done")
    assert after.started_at is not None
    assert after.finished_at is not None
    assert make.story(action.id) == ["ready", "leased", "executing", "succeeded"]


def test_the_remediator_is_told_everything(remote: fakes.Fake) -> None:
    with context.bind(request_id="a" * 32):
        action = make.ordered(params={"replicas": 2})
    make.run(action.id)
    (call,) = remote.calls
    assert (call.action_id, call.uid, call.kind, call.target) == (action.id, str(action.uid), "scale-up", "web-01")
    assert (call.params, call.policy, call.severity, call.incident_id) == ({"replicas": 2}, "high-cpu", "warning", 7)
    assert (call.attempt, call.fence, call.request_id) == (1, 1, "a" * 32)
    assert call.deadline == action.deadline


def test_the_intent_is_committed_before_the_call(committed_remote: fakes.Fake) -> None:
    seen = []
    committed_remote.meanwhile = lambda call: seen.append(
        (make.state(call.action_id), Attempt.objects.filter(action_id=call.action_id, outcome="").count())
    )
    make.run(make.ordered().id)
    assert seen == [("executing", 1)]


def test_a_second_hint_finds_nothing_to_do(remote: fakes.Fake) -> None:
    action = make.ordered()
    make.run(action.id)
    assert isinstance(make.run(action.id), NotClaimed)
    assert len(remote.calls) == 1


@pytest.mark.parametrize("action_id", [1, 2**62])
def test_a_hint_at_nothing_does_nothing(remote: fakes.Fake, action_id: int) -> None:
    assert isinstance(make.run(action_id), NotClaimed)
    assert remote.calls == []


def test_a_failure_the_remediator_reports_is_final(remote: fakes.Fake) -> None:
    remote.outcomes = [fakes.SAID_NO]
    action = make.ordered()
    make.run(action.id)
    assert queries.get(action.id).state == State.FAILED
    assert queries.attempts_of(action.id)[0].message == "no such host"


def test_a_refused_connection_is_tried_again_with_the_same_key(remote: fakes.Fake) -> None:
    remote.outcomes = [fakes.REFUSED, fakes.DONE]
    action = make.ordered(kind="restart")
    make.run(action.id)
    assert make.state(action.id) == "retry_wait"
    make.due_now(action.id)
    make.run(action.id)
    assert make.state(action.id) == "succeeded"
    first, second = remote.calls
    assert (first.uid, first.attempt, second.uid, second.attempt) == (second.uid, 1, str(action.uid), 2)
    assert second.fence > first.fence
    assert make.story(action.id) == [
        "ready", "leased", "executing", "retry_wait", "leased", "executing", "succeeded",
    ]  # fmt: skip


def test_it_gives_up_after_its_attempts(remote: fakes.Fake) -> None:
    remote.outcomes = [fakes.REFUSED]
    action = make.ordered(limits=Limits(cooldown=timedelta(0), max_attempts=2))
    make.run(action.id)
    make.due_now(action.id)
    make.run(action.id)
    assert make.state(action.id) == "failed"
    assert len(remote.calls) == 2


@pytest.mark.parametrize(
    ("kind", "state"),
    [("scale-up", "retry_wait"), ("restart", "unknown")],
    ids=["natural", "at most once"],
)
def test_a_timeout_is_repeated_only_where_that_is_harmless(remote: fakes.Fake, kind: str, state: str) -> None:
    remote.outcomes = [fakes.TIMEOUT]
    action = make.ordered(kind=kind)
    make.run(action.id)
    assert make.state(action.id) == state


def test_durable_keys_let_a_delicate_action_be_sent_again(remote: fakes.Fake) -> None:
    remote.durable_keys = True
    remote.outcomes = [fakes.TIMEOUT]
    action = make.ordered(kind="restart")
    make.run(action.id)
    assert make.state(action.id) == "retry_wait"


def test_a_remediator_that_crashes_leaves_a_doubt(remote: fakes.Fake) -> None:
    def crash(call: base.Call) -> None:
        raise RuntimeError("a bug in the plug-in")

    remote.meanwhile = crash
    action = make.ordered(kind="restart")
    make.run(action.id)
    assert make.state(action.id) == "unknown"
    assert queries.attempts_of(action.id)[0].error_class == "crashed"


def test_a_configuration_that_cannot_work_fails_before_anything_is_sent(remote: fakes.Fake) -> None:
    Remediator.objects.filter(name="fake").update(config={"surprise": 1})
    action = make.ordered()
    make.run(action.id)
    (attempt,) = queries.attempts_of(action.id)
    assert (make.state(action.id), attempt.error_class, attempt.first_byte_at) == ("failed", "configuration", None)


def test_hostile_words_are_stored_harmlessly(remote: fakes.Fake) -> None:
    remote.outcomes = [
        base.Outcome(kind="failed", message="a\x00b\x1b[2J" + "x" * 9_000, excerpt="\ud800", details={"k": "\x00"})
    ]
    action = make.ordered()
    make.run(action.id)
    (attempt,) = queries.attempts_of(action.id)
    assert "\x00" not in attempt.message + attempt.excerpt
    assert len(queries.get(action.id).details) <= 4096
    assert attempt.details == {}


def test_long_work_is_accepted_and_holds_the_target(remote: fakes.Fake) -> None:
    remote.outcomes = [fakes.ACCEPTED]
    action = make.ordered()
    make.run(action.id)
    second = make.by_hand()
    assert make.state(action.id) == "accepted"
    assert isinstance(make.run(second.id), NotClaimed)
    assert len(remote.calls) == 1


def test_the_line_of_a_target_is_kept(remote: fakes.Fake) -> None:
    first, second, elsewhere = make.ordered(), make.by_hand(), make.by_hand(target="web-02")
    assert isinstance(make.run(second.id), NotClaimed)
    assert isinstance(make.run(elsewhere.id), Intent)
    assert isinstance(make.run(first.id), Intent)
    assert isinstance(make.run(second.id), Intent)


def test_a_waiting_retry_keeps_its_place_in_line(remote: fakes.Fake) -> None:
    remote.outcomes = [fakes.REFUSED, fakes.DONE]
    first, second = make.ordered(), make.by_hand()
    make.run(first.id)
    Action.objects.filter(pk=first.id).update(run_after=clock.now() + timedelta(seconds=60))
    assert isinstance(make.run(second.id), NotClaimed)


def test_every_claim_raises_the_fence(remote: fakes.Fake) -> None:
    for _ in range(3):
        make.run(make.by_hand().id)
    assert [call.fence for call in remote.calls] == [1, 2, 3]
    assert TargetGuard.objects.get(target="web-01").fence == 3


def test_a_claim_that_loses_leaves_no_trace(remote: fakes.Fake) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(run_after=clock.now() + timedelta(hours=1))
    assert isinstance(make.run(action.id), NotClaimed)
    assert TargetGuard.objects.get(target="web-01").fence == 0
    assert make.story(action.id) == ["ready"]


def test_what_is_no_longer_wanted_is_cancelled_before_it_is_sent(remote: fakes.Fake, gate: fakes.Gate) -> None:
    gate.answer = GateAnswer(wanted=False, reason="cpu_usage 12 <= 90")
    action = make.ordered()
    assert isinstance(make.run(action.id), Dropped)
    after = queries.get(action.id)
    assert (after.state, after.details) == (State.CANCELLED, "no longer wanted: cpu_usage 12 <= 90")
    assert remote.calls == []


def test_a_gate_that_fails_sends_nothing_and_loses_nothing(remote: fakes.Fake, gate: fakes.Gate) -> None:
    gate.error = RuntimeError("no samples table")
    action = make.ordered()
    make.run(action.id)
    assert make.state(action.id) == "ready"
    assert remote.calls == []
    gate.error = None
    make.due_now(action.id)
    make.run(action.id)
    assert make.state(action.id) == "succeeded"


def test_what_people_order_is_not_questioned_by_the_gate(remote: fakes.Fake, gate: fakes.Gate) -> None:
    gate.answer = GateAnswer(wanted=False, reason="nothing is wrong")
    action = make.by_hand()
    make.run(action.id)
    assert make.state(action.id) == "succeeded"
    assert gate.asked_about == []


def test_paused_between_claim_and_intent_sends_nothing(remote: fakes.Fake) -> None:
    action = make.ordered()
    lease = make.leased(action.id)
    control.set_mode(mode="paused", reason="deploy", actor="user:ana", at=clock.now())
    assert isinstance(intend(lease), Dropped)
    assert make.state(action.id) == "ready"
    assert make.story(action.id) == ["ready", "leased", "ready"]


def test_paused_nothing_is_claimed(remote: fakes.Fake) -> None:
    action = make.ordered()
    control.set_mode(mode="observe", reason="", actor="user:ana", at=clock.now())
    got = make.run(action.id)
    assert isinstance(got, NotClaimed)
    assert "only observes" in got.reason
    control.set_mode(mode="active", reason="", actor="user:ana", at=clock.now())
    assert isinstance(make.run(action.id), Intent)


def test_cancelled_between_claim_and_intent_sends_nothing(remote: fakes.Fake) -> None:
    action = make.ordered()
    lease = make.leased(action.id)
    steering.cancel(action_id=action.id, actor="user:ana", reason="wrong one", at=clock.now())
    assert isinstance(intend(lease), Dropped)
    assert make.state(action.id) == "cancelled"
    assert make.story(action.id) == ["ready", "leased", "cancel_requested", "cancelled"]


def test_past_its_deadline_after_the_claim_it_expires(remote: fakes.Fake) -> None:
    action = make.ordered()
    lease = make.leased(action.id)
    make.deadline_over(action.id)
    assert isinstance(intend(lease), Dropped)
    assert make.state(action.id) == "expired"


@pytest.mark.parametrize("forget", [make.lease_over, make.deadline_over], ids=["lease", "deadline"])
def test_an_old_lease_commits_no_intent(remote: fakes.Fake, forget: object) -> None:
    action = make.ordered()
    lease = make.leased(action.id)
    forget(action.id)  # type: ignore[operator]
    assert isinstance(intend(lease), Dropped)
    assert Attempt.objects.count() == 0


def test_a_lost_lease_cannot_be_dropped_by_its_former_holder(remote: fakes.Fake) -> None:
    action = make.ordered()
    old = make.leased(action.id)
    drop(old, goal=State.READY, reason="test")
    make.due_now(action.id)
    new = make.leased(action.id, worker="w2")
    assert drop(old, goal=State.CANCELLED, reason="late").reason == "the lease was lost"
    assert new.token > old.token
    assert make.state(action.id) == "leased"


def test_a_worker_that_is_too_slow_sends_nothing(remote: fakes.Fake) -> None:
    action = make.ordered(kind="restart")
    intent = intend(make.leased(action.id))
    assert isinstance(intent, Intent)
    outcome, _ = execution._send(intent, intent_started=-1_000.0, until=1e12)
    execution._result(intent, outcome, durable_keys=False)
    assert remote.calls == []
    assert make.state(action.id) == "retry_wait"


def test_a_cancellation_during_the_call_stops_further_attempts(remote: fakes.Fake) -> None:
    remote.outcomes = [fakes.REFUSED]
    remote.meanwhile = lambda call: steering.cancel(
        action_id=call.action_id, actor="user:ana", reason="stop", at=clock.now()
    )
    action = make.ordered()
    make.run(action.id)
    assert make.state(action.id) == "cancelled"
    assert make.story(action.id) == ["ready", "leased", "executing", "cancel_requested", "cancelled"]


def test_a_cancellation_during_the_call_does_not_hide_that_it_worked(remote: fakes.Fake) -> None:
    remote.meanwhile = lambda call: steering.cancel(
        action_id=call.action_id, actor="user:ana", reason="stop", at=clock.now()
    )
    action = make.ordered()
    make.run(action.id)
    assert make.state(action.id) == "succeeded"


def test_a_late_result_is_kept_on_the_attempt_only(remote: fakes.Fake) -> None:
    action = make.ordered(kind="restart")

    def lose_the_lease(call: base.Call) -> None:
        Action.objects.filter(pk=call.action_id).update(state="unknown", lease_owner=None, lease_expires_at=None)

    remote.meanwhile = lose_the_lease
    make.run(action.id)
    (attempt,) = queries.attempts_of(action.id)
    assert (attempt.outcome, attempt.late) == ("succeeded", True)
    assert make.state(action.id) == "unknown"


def test_a_result_with_an_old_token_changes_nothing(remote: fakes.Fake) -> None:
    action = make.ordered()
    remote.meanwhile = lambda call: Action.objects.filter(pk=call.action_id).update(lease_token=99)
    make.run(action.id)
    assert make.state(action.id) == "executing"
    assert queries.attempts_of(action.id)[0].late


def test_a_worker_leaves_alone_what_it_does_not_know(remote: fakes.Fake) -> None:
    Remediator.objects.filter(name="fake").update(kind="of-tomorrow")
    got = make.run(make.ordered().id)
    assert isinstance(got, NotClaimed)
    assert "of-tomorrow" in got.reason


def test_a_type_that_was_switched_off_waits(remote: fakes.Fake) -> None:
    action = make.ordered()
    ActionType.objects.filter(name="scale-up").update(enabled=False)
    assert isinstance(make.run(action.id), NotClaimed)


def test_the_fallback_runs_what_is_due(remote: fakes.Fake) -> None:
    first = make.ordered()
    make.by_hand()
    make.by_hand(target="web-02")
    assert execution.run_due(limit=10, worker="dispatcher") == 2
    assert make.state(first.id) == "succeeded"
    assert execution.run_due(limit=10, worker="dispatcher") == 1
    assert execution.run_due(limit=10, worker="dispatcher") == 0


def test_only_incidents_are_verified(remote: fakes.Fake) -> None:
    healed, simple = make.ordered(settle=timedelta(seconds=0)), make.by_hand(target="web-02")
    make.run(healed.id)
    make.run(simple.id)
    due = queries.awaiting_verification(due_at=clock.now() + timedelta(seconds=5))
    assert [action.id for action in due] == [healed.id]
    assert queries.awaiting_verification(targets=["web-09"], due_at=clock.now()) == []


def test_a_cancelled_lease_never_goes_back_to_the_line(remote: fakes.Fake) -> None:
    action = make.ordered()
    lease = make.leased(action.id)
    steering.cancel(action_id=action.id, actor="user:ana", reason="stop", at=clock.now())
    control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
    assert isinstance(intend(lease), Dropped)
    assert make.story(action.id) == ["ready", "leased", "cancel_requested", "cancelled"]


def test_without_workers_what_cannot_start_keeps_nobody_else_waiting(remote: fakes.Fake) -> None:
    stuck = [make.ordered(kind="restart", key=f"k{number}", target=f"db-{number}") for number in range(3)]
    ActionType.objects.filter(name="restart").update(enabled=False)
    fine = make.ordered(key="fine")
    assert execution.run_due(limit=3, worker="dispatcher") == 1
    assert make.state(fine.id) == "succeeded"
    assert {make.state(action.id) for action in stuck} == {"ready"}


def test_a_rate_that_was_lowered_holds_for_what_waits(remote: fakes.Fake) -> None:
    first, second = (make.ordered(key=f"k{number}", target=f"web-{number}") for number in (1, 2))
    make.answer(key="k3", target="web-3", limits=Limits(cooldown=timedelta(0), rate_count=1))
    make.leased(first.id)
    assert isinstance(claim(action_id=second.id, worker="w2"), NotClaimed)


@pytest.mark.parametrize("limit", ["deadline", "switch"])
def test_the_remediator_is_told_until_when_it_may_begin(remote: fakes.Fake, limit: str) -> None:
    short = Limits(cooldown=timedelta(0), deadline=timedelta(seconds=2) if limit == "deadline" else timedelta(hours=1))
    action = make.ordered(limits=short)
    before = time.monotonic()
    make.run(action.id)
    (call,) = remote.calls
    assert before < call.begin_by_monotonic <= time.monotonic() + (2 if limit == "deadline" else 5)


def test_the_fallback_begins_nothing_more_when_it_shall_stop(remote: fakes.Fake) -> None:
    for number in range(3):
        make.ordered(key=f"k{number}", target=f"web-{number}")
    assert execution.run_due(limit=3, worker="dispatcher", stopping=lambda: len(remote.calls) == 1) == 1
    assert len(remote.calls) == 1


def test_a_secret_that_is_lost_fails_its_own_actions_and_stops_no_other(remote: fakes.Fake) -> None:
    ActionType.objects.filter(name="restart").update(remediator=Remediator.objects.create(name="other", kind="fake"))
    lost, fine = make.ordered(kind="restart"), make.ordered(target="web-02", key="b")
    make.secret_lost("other")
    assert execution.run_due(limit=5, worker="dispatcher") == 2
    assert (make.state(lost.id), make.state(fine.id)) == ("failed", "succeeded")
    assert "VIGIL_SECRETS_KEYS" in queries.get(lost.id).details


def test_a_database_that_is_away_before_the_call_costs_no_more_than_an_attempt(remote: fakes.Fake) -> None:
    action = make.ordered(kind="restart")
    intent = intend(make.leased(action.id))
    assert isinstance(intent, Intent)
    with connection.execute_wrapper(fakes.away):
        outcome, durable_keys = execution._send(intent, intent_started=time.monotonic(), until=1e12)
    execution._result(intent, outcome, durable_keys=durable_keys)
    assert remote.calls == []
    assert make.state(action.id) == "retry_wait"
