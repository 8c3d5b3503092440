"""What an order is answered, and what it leaves behind."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from actions import catalogue, control, dispatch, queries, steering, verifications
from actions.claims import NotClaimed, claim
from actions.consent import Asks
from actions.dispatch import Held, Ordered, Refused, UnableToOrder
from actions.guards import Limits
from actions.models import Action, ActionType, Budget, Remediator, TargetGuard
from tests.integration.actions import fakes, make
from vigil.kernel import clock, context
from vigil.kernel.errors import Invalid


def held(answer: dispatch.OrderAnswer) -> Held:
    assert isinstance(answer, Held)
    return answer


def run_and_settle(action_id: int) -> None:
    make.run(action_id)
    assert make.state(action_id) == "succeeded"


def test_an_order_waits_in_line_with_its_reason_and_audit_entry(remote: fakes.Fake) -> None:
    with context.bind(request_id="f" * 32):
        action = make.ordered(params={"replicas": 2})
    assert (action.state, action.status, action.attempts) == ("ready", "pending", 0)
    assert (action.params, action.reason, action.request_id) == ({"replicas": 2}, "cpu_usage 92 > 90", "f" * 32)
    assert (action.policy_name, action.policy_version, action.incident_id) == ("high-cpu", 1, 7)
    assert not action.by_hand
    assert action.deadline == action.created_at + timedelta(minutes=15)
    assert make.story(action.id) == ["ready"]


def test_an_order_belongs_into_a_transaction(committed_remote: fakes.Fake) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        dispatch.order(kind="scale-up", target="web-01", params={}, key="k", reason="", actor="vigil", at=clock.now())


def test_a_rolled_back_decision_takes_its_action_with_it(committed_remote: fakes.Fake) -> None:
    with transaction.atomic():
        make.ordered()
        transaction.set_rollback(True)
    assert Action.objects.count() == 0


def test_the_same_key_again_answers_with_the_live_action(remote: fakes.Fake) -> None:
    first = make.ordered()
    again = make.answer()
    assert isinstance(again, Ordered)
    assert (again.action.id, again.created) == (first.id, False)
    assert Action.objects.count() == 1


def test_after_its_end_the_key_is_free_again(remote: fakes.Fake) -> None:
    first = make.ordered()
    run_and_settle(first.id)
    assert make.ordered().id != first.id


@pytest.mark.parametrize("target", ["", "  ", "*", "all", "a\x00b", "web\n01", "x" * 251])
def test_no_single_target_is_refused(remote: fakes.Fake, target: str) -> None:
    with pytest.raises(UnableToOrder, match="one target") as refusal:
        make.ordered(target=target)
    assert refusal.value.errors[0].path == "target"


def test_an_unknown_type_is_refused_with_the_known_ones(remote: fakes.Fake) -> None:
    with pytest.raises(UnableToOrder, match="known are: custom, drain-pod") as refusal:
        make.ordered(kind="reboot-world")
    assert (refusal.value.status, refusal.value.code) == (422, "unknown_action")


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"replicas": "two"}, "params.replicas"),
        ({"replicas": -1}, "params.replicas"),
        ({"replikas": 2}, "params"),
        ({"service": "-rf"}, "params.service"),
    ],
)
def test_parameters_must_fit_the_type(remote: fakes.Fake, params: dict[str, object], path: str) -> None:
    with pytest.raises(UnableToOrder) as refusal:
        dispatch.validate(kind="scale-up", params=params)
    assert refusal.value.errors[0].path == path


def test_parameters_have_a_size(remote: fakes.Fake) -> None:
    with pytest.raises(UnableToOrder, match="16 KiB"):
        dispatch.validate(kind="custom", params={"blob": "x" * 20_000})


def test_custom_takes_any_parameters(remote: fakes.Fake) -> None:
    dispatch.validate(kind="custom", params={"playbook": "heal.yml", "nested": {"a": [1, 2]}})


@pytest.mark.parametrize("mode", ["observe", "paused"])
def test_the_kill_switch_holds_policies_and_people(remote: fakes.Fake, mode: str) -> None:
    control.set_mode(mode=mode, reason="deploy", actor="user:ana", at=clock.now())
    assert held(make.answer()).guard == "kill_switch"
    by_hand = dispatch.order_by_hand(
        kind="restart", target="web-01", params={}, reason="", actor="user:bo", at=clock.now()
    )
    assert "user:ana: deploy" in held(by_hand).reason
    assert Action.objects.count() == 0


def test_a_busy_target_holds_a_second_policy(remote: fakes.Fake) -> None:
    first = make.ordered()
    answer = held(make.answer(key="policy:other:incident:8:step:0", policy_name="other"))
    assert (answer.guard, answer.numbers["action_id"]) == ("target_busy", first.id)


def test_a_target_rests_after_an_effect(remote: fakes.Fake) -> None:
    run_and_settle(make.ordered().id)
    answer = held(make.answer(key="b", limits=Limits(cooldown=timedelta(minutes=1))))
    assert answer.guard == "cooldown"
    assert answer.numbers["cooldown_seconds"] == 60
    assert isinstance(make.answer(key="b", target="web-02", limits=Limits(cooldown=timedelta(minutes=1))), Ordered)


def test_without_a_cooldown_of_its_own_the_default_counts(remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_DEFAULT_COOLDOWN_SECONDS = 120
    run_and_settle(make.ordered().id)
    assert held(make.answer(key="b", limits=Limits())).numbers["cooldown_seconds"] == 120


@pytest.mark.parametrize(("field", "guard"), [("cooldown_until", "cooldown"), ("quarantined_until", "quarantine")])
def test_what_is_said_about_a_target_holds(remote: fakes.Fake, field: str, guard: str) -> None:
    TargetGuard.objects.create(target="web-01", **{field: clock.now() + timedelta(hours=1)})
    assert held(make.answer()).guard == guard


def test_a_policy_has_only_so_many_actions(remote: fakes.Fake) -> None:
    limits = Limits(cooldown=timedelta(0), rate_count=2)
    run_and_settle(make.ordered(key="a", target="web-01", limits=limits).id)
    make.ordered(key="b", target="web-02", limits=limits)
    answer = held(make.answer(key="c", target="web-03", limits=limits))
    assert (answer.guard, answer.numbers["used"], answer.numbers["cap"]) == ("rate", 2, 2)
    assert isinstance(make.answer(key="d", target="web-03", policy_name="another", limits=limits), Ordered)


def test_a_group_has_room_for_one_unless_told_otherwise(remote: fakes.Fake) -> None:
    limits = Limits(cooldown=timedelta(0), concurrency_group="web")
    make.ordered(key="a", target="web-01", limits=limits)
    assert held(make.answer(key="b", target="web-02", limits=limits)).guard == "concurrency"


def test_vigil_as_a_whole_has_a_cap(remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_GLOBAL_CONCURRENCY = 1
    make.leased(make.ordered(key="a", target="web-01").id)
    answer = held(make.answer(key="b", target="web-02"))
    assert (answer.guard, answer.numbers["scope"]) == ("concurrency", "all of Vigil")


def test_what_waits_for_a_person_keeps_its_target_and_its_group_and_no_slot_of_vigil(
    remote: fakes.Fake, settings: Any
) -> None:
    settings.VIGIL_GLOBAL_CONCURRENCY = 1
    limits = Limits(cooldown=timedelta(0), concurrency_group="web")
    stuck = make.ordered(key="a", target="web-01", limits=limits)
    Action.objects.filter(pk=stuck.id).update(state="needs_human")
    assert held(make.answer(key="b", target="web-01")).guard == "target_busy"
    assert held(make.answer(key="b", target="web-02", limits=limits)).guard == "concurrency"
    make.leased(make.ordered(key="c", target="db-01").id)


def test_people_are_not_held_by_a_policys_guards(remote: fakes.Fake) -> None:
    run_and_settle(make.ordered(limits=Limits(cooldown=timedelta(hours=1))).id)
    make.by_hand()
    assert make.by_hand().state == "ready"


@pytest.mark.parametrize("switched_off", [ActionType, Remediator])
def test_what_is_switched_off_is_refused(remote: fakes.Fake, switched_off: Any) -> None:
    switched_off.objects.update(enabled=False)
    answer = make.answer()
    assert isinstance(answer, Refused)
    assert "switched off" in answer.reason
    assert Action.objects.count() == 0


@pytest.mark.parametrize(
    ("risk", "by_policy", "by_person"),
    [("low", "ready", "ready"), ("high", "awaiting_approval", "ready"), ("critical",) + ("awaiting_approval",) * 2],
)
def test_risky_types_wait_for_an_approval(remote: fakes.Fake, risk: str, by_policy: str, by_person: str) -> None:
    ActionType.objects.filter(name="scale-up").update(risk=risk)
    assert make.ordered().state == by_policy
    assert make.by_hand(target="web-02").state == by_person


def test_caps_of_a_policy_are_kept_for_the_claim(remote: fakes.Fake) -> None:
    make.ordered(limits=Limits(rate_count=3, rate_per=timedelta(minutes=1), concurrency_group="web"))
    policy, group = Budget.objects.get(scope="policy:high-cpu"), Budget.objects.get(scope="group:web")
    assert (policy.rate_count, policy.rate_seconds, group.concurrency_max) == (3, 60, 1)


def test_an_idempotency_key_orders_once_for_ever(remote: fakes.Fake) -> None:
    first = make.by_hand(key="deploy-42")
    run_and_settle(first.id)
    assert make.by_hand(key="deploy-42").id == first.id
    assert Action.objects.count() == 1


def test_an_idempotency_key_belongs_to_one_order(remote: fakes.Fake) -> None:
    make.by_hand(key="deploy-42")
    with pytest.raises(Invalid, match="fresh key"):
        make.by_hand(key="deploy-42", target="web-02")


def test_orders_by_hand_without_a_key_are_two(remote: fakes.Fake) -> None:
    assert make.by_hand().id != make.by_hand().id


@pytest.mark.parametrize("prepare", ["ready", "retry_wait", "awaiting_approval"])
def test_what_waits_is_cancelled_at_once(remote: fakes.Fake, prepare: str) -> None:
    action = make.ordered(asks=Asks.OPERATOR)
    Action.objects.filter(pk=action.id).update(state=prepare)
    after = steering.cancel(action_id=action.id, actor="user:ana", reason="not now", at=clock.now())
    assert after.state == "cancelled"
    assert after.finished_at is not None


@pytest.mark.parametrize("state", ["leased", "executing", "accepted", "unknown"])
def test_of_what_may_run_the_cancellation_is_requested_once(remote: fakes.Fake, state: str) -> None:
    action = make.ordered()
    make.leased(action.id)
    owner = "w1" if state in ("leased", "executing") else None
    Action.objects.filter(pk=action.id).update(state=state, lease_owner=owner)
    for _ in range(2):
        after = steering.cancel(action_id=action.id, actor="user:ana", reason="stop", at=clock.now())
        assert (after.state, after.cancel_requested) == (state, True)
    assert queries.get(action.id).is_live
    assert Action.objects.get(pk=action.id).state_seq == 3


def test_a_person_settles_what_needs_a_person(remote: fakes.Fake) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(state="needs_human")
    assert queries.get(action.id).needs_human
    after = steering.cancel(action_id=action.id, actor="user:ana", reason="I looked", at=clock.now())
    assert after.state == "cancelled"


@pytest.mark.parametrize("state", ["succeeded", "failed", "expired", "cancelled", "rejected"])
def test_what_is_over_cannot_be_cancelled(remote: fakes.Fake, state: str) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(state=state, finished_at=clock.now())
    with pytest.raises(steering.UnableToCancel) as refusal:
        steering.cancel(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    assert refusal.value.status == 409


@pytest.mark.parametrize("state", ["failed", "expired", "cancelled", "rejected"])
def test_a_retry_is_a_new_action(remote: fakes.Fake, state: str) -> None:
    action = make.ordered(params={"replicas": 4})
    Action.objects.filter(pk=action.id).update(state=state, finished_at=clock.now())
    got = steering.retry(action_id=action.id, actor="user:ana", reason="once more", at=clock.now())
    assert isinstance(got, Ordered)
    assert (got.action.retry_of, got.action.params, got.action.incident_id) == (action.id, {"replicas": 4}, 7)
    assert got.action.by_hand
    again = steering.retry(action_id=action.id, actor="user:ana", reason="click, click", at=clock.now())
    assert isinstance(again, Ordered)
    assert (again.action.id, again.created) == (got.action.id, False)


def test_a_retry_of_what_is_stuck_frees_the_target(remote: fakes.Fake) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(state="needs_human")
    got = steering.retry(action_id=action.id, actor="user:ana", reason="I looked", at=clock.now())
    assert isinstance(got, Ordered)
    assert make.state(action.id) == "failed"
    make.run(got.action.id)
    assert make.state(got.action.id) == "succeeded"


def test_a_retry_that_is_held_leaves_the_old_action_alone(remote: fakes.Fake) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(state="needs_human")
    control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
    assert held(steering.retry(action_id=action.id, actor="user:ana", reason="", at=clock.now()))
    assert make.state(action.id) == "needs_human"


@pytest.mark.parametrize("state", ["ready", "retry_wait", "unknown", "succeeded"])
def test_what_is_under_way_or_done_is_not_retried(remote: fakes.Fake, state: str) -> None:
    action = make.ordered()
    finished = clock.now() if state == "succeeded" else None
    Action.objects.filter(pk=action.id).update(state=state, finished_at=finished)
    with pytest.raises(steering.UnableToRetry):
        steering.retry(action_id=action.id, actor="user:ana", reason="", at=clock.now())


def test_a_retry_keeps_to_the_caps_of_what_it_repeats(remote: fakes.Fake) -> None:
    limits = Limits(
        cooldown=timedelta(0), concurrency_group="web", concurrency_max=1, max_attempts=1, deadline=timedelta(minutes=1)
    )
    action = make.ordered(limits=limits)
    steering.cancel(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    other = make.ordered(key="other", target="web-02", limits=limits)
    got = steering.retry(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    assert isinstance(got, dispatch.Ordered)
    again = Action.objects.get(pk=got.action.id)
    assert (again.max_attempts, again.deadline - again.created_at) == (1, timedelta(minutes=1))
    make.leased(other.id)
    assert isinstance(claim(action_id=again.pk, worker="w2"), NotClaimed)


def test_what_was_ordered_again_and_done_is_not_done_once_more(remote: fakes.Fake) -> None:
    action = make.ordered()
    steering.cancel(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    got = steering.retry(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    assert isinstance(got, dispatch.Ordered)
    make.run(got.action.id)
    with pytest.raises(steering.UnableToRetry, match=f"action {got.action.id}"):
        steering.retry(action_id=action.id, actor="user:ana", reason="a late click", at=clock.now())


def test_notes_are_kept_with_who_wrote_them(remote: fakes.Fake) -> None:
    action = make.ordered()
    after = steering.annotate(action_id=action.id, notes="see ticket 9", actor="user:ana", at=clock.now())
    assert after.notes == "see ticket 9"
    assert make.story(action.id) == ["ready", "noted"]


def test_pending_actions_of_a_policy_are_cancelled_with_it(remote: fakes.Fake) -> None:
    waiting, running = make.ordered(key="a"), make.ordered(key="b", target="web-02")
    other = make.ordered(key="c", target="web-03", policy_name="other")
    make.leased(running.id)
    with transaction.atomic():
        count = steering.cancel_pending(policy_name="high-cpu", actor="user:ana", reason="deleted", at=clock.now())
    assert count == 1
    assert [make.state(action.id) for action in (waiting, running, other)] == ["cancelled", "leased", "ready"]
    assert queries.get(running.id).cancel_requested


@pytest.mark.parametrize("nothing", [{}, {"policy_name": ""}])
def test_cancelling_for_nothing_never_means_everything(remote: fakes.Fake, nothing: dict[str, Any]) -> None:
    make.ordered()
    with pytest.raises(ValueError, match="never means everything"):
        steering.cancel_pending(**nothing, actor="user:ana", reason="", at=clock.now())


@pytest.mark.parametrize(
    ("before", "verdict", "stored"),
    [
        ("", "effective", True),
        ("", "ineffective", True),
        ("", "unverifiable", True),
        ("", "relapsed", False),
        ("effective", "relapsed", True),
        ("effective", "ineffective", False),
        ("ineffective", "effective", False),
        ("relapsed", "effective", False),
    ],
)
def test_a_verdict_is_stored_once(remote: fakes.Fake, before: str, verdict: str, stored: bool) -> None:
    action = make.ordered()
    run_and_settle(action.id)
    Action.objects.filter(pk=action.id).update(verification=before)
    got = verifications.record(
        action_id=action.id, verification=verdict, reason="cpu_usage 40", numbers={"value": 40}, at=clock.now()
    )
    assert got is stored
    assert queries.get(action.id).verification == (verdict if stored else before)
    assert make.story(action.id)[-1] == (verdict if stored else "succeeded")


def test_only_what_ended_well_is_verified(remote: fakes.Fake) -> None:
    action = make.ordered()
    assert not verifications.record(
        action_id=action.id, verification="effective", reason="", numbers={}, at=clock.now()
    )


@pytest.mark.parametrize("ref", ["#/$defs/nowhere", "#", "http://127.0.0.1:9/schema.json"])
def test_a_schema_that_leads_nowhere_is_said_so_and_never_fetched(remote: fakes.Fake, ref: str) -> None:
    ActionType.objects.filter(name="restart").update(schema={"$ref": ref})
    with pytest.raises(UnableToOrder, match="schema of restart leads nowhere or in a circle"):
        make.by_hand(kind="restart")


def test_a_schema_may_refer_to_itself(remote: fakes.Fake) -> None:
    schema = {"$defs": {"few": {"type": "integer", "maximum": 5}}, "properties": {"replicas": {"$ref": "#/$defs/few"}}}
    assert catalogue.schema_fault(schema) == ""
    ActionType.objects.filter(name="scale-up").update(schema=schema)
    assert make.ordered(params={"replicas": 5}).state == "ready"
    with pytest.raises(UnableToOrder, match="6 is greater"):
        make.answer(key="b", params={"replicas": 6})
