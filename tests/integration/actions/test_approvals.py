"""Actions that wait for somebody's word: who may say it, what is asked again, and what becomes of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from actions import approvals, control, dispatch, execution, queries, reaper, steering
from actions.approvals import NotYourWord, UnableToApprove
from actions.consent import Asks, Voice
from actions.guards import GateAnswer, Limits
from actions.models import Action, ActionType, Approval
from actions.queries import ActionView
from tests.integration.actions import fakes, make
from vigil.audit import entries
from vigil.kernel import clock, context, plugins

OPERATOR = Voice(actor="user:ola", operates=True)
BO = Voice(actor="user:bo", approves=True)
CY = Voice(actor="user:cy", approves=True)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, settings: Any) -> dict[str, GateAnswer]:
    """What the gate says; a test may change it."""
    says = {"answer": GateAnswer(wanted=True, reason="Still so: cpu_usage 97 > 90", limits=make.FREE)}
    real: Callable[[str], object] = plugins.load
    settings.ACTION_GATE = "the.gate"
    monkeypatch.setattr(
        plugins, "load", lambda dotted: (lambda **_: says["answer"]) if dotted == "the.gate" else real(dotted)
    )
    return says


def yes(action_id: int, voice: Voice = BO, reason: str = "") -> ActionView:
    return approvals.approve(action_id=action_id, voice=voice, reason=reason, at=clock.now())


def no(action_id: int, voice: Voice = BO, reason: str = "") -> ActionView:
    return approvals.reject(action_id=action_id, voice=voice, reason=reason, at=clock.now())


def critical(target: str = "web-01") -> ActionView:
    ActionType.objects.filter(name="scale-up").update(risk="critical")
    return make.ordered(target=target)


def test_a_suggestion_runs_after_a_click(remote: fakes.Fake, gate: object) -> None:
    action = make.ordered(asks=Asks.OPERATOR)
    assert (action.state, action.status, action.waits_for_a_word) == ("awaiting_approval", "pending", True)
    make.run(action.id)
    assert remote.calls == []
    assert yes(action.id, OPERATOR, "go ahead").state == "ready"
    make.run(action.id)
    assert make.story(action.id) == ["awaiting_approval", "ready", "leased", "executing", "succeeded"]
    [word] = Approval.objects.all()
    assert (word.by, word.verdict, word.reason) == ("user:ola", "approved", "go ahead")


def test_what_needs_an_approver_is_no_operators_to_judge(remote: fakes.Fake, gate: object) -> None:
    action = make.ordered(asks=Asks.APPROVER)
    for verb in (yes, no):
        with pytest.raises(NotYourWord, match="actions:approve"):
            verb(action.id, OPERATOR)
    assert yes(action.id).state == "ready"


def test_the_deadline_counts_from_the_approval(remote: fakes.Fake, gate: object) -> None:
    limits = Limits(cooldown=timedelta(0), deadline=timedelta(minutes=2), approval=timedelta(hours=3))
    action = make.ordered(asks=Asks.OPERATOR, limits=limits)
    assert action.approval_expires_at == action.created_at + timedelta(hours=3)
    approved = Action.objects.get(pk=yes(action.id).id)
    assert approved.approved_at is not None
    assert approved.deadline == approved.approved_at + timedelta(minutes=2)


def test_without_a_word_it_expires_with_the_reason(remote: fakes.Fake, gate: object, settings: Any) -> None:
    settings.VIGIL_APPROVAL_SECONDS = 60
    action = make.ordered(asks=Asks.OPERATOR)
    assert action.approval_expires_at == action.created_at + timedelta(seconds=60)
    assert reaper.put_right(at=clock.now())["unapproved"] == 0
    make.word_overdue(action.id)
    with pytest.raises(UnableToApprove, match="is over"):
        yes(action.id)
    assert reaper.put_right(at=clock.now())["unapproved"] == 1
    after = queries.get(action.id)
    assert (after.state, after.status) == ("expired", "failed")
    assert "nobody approved it in time" in after.details
    assert make.story(action.id) == ["awaiting_approval", "expired"]


def test_a_critical_action_needs_two_different_people(remote: fakes.Fake, gate: object) -> None:
    action = critical()
    assert yes(action.id).state == "awaiting_approval"
    assert yes(action.id).state == "awaiting_approval"  # the same person again changes nothing
    assert make.story(action.id) == ["awaiting_approval", "approved"]
    assert yes(action.id, CY).state == "ready"
    assert make.story(action.id) == ["awaiting_approval", "approved", "ready"]


def test_a_yes_can_be_taken_back_with_a_no(remote: fakes.Fake, gate: object) -> None:
    action = critical()
    yes(action.id)
    assert no(action.id, reason="I looked again").state == "rejected"
    assert [(word.by, word.verdict) for word in Approval.objects.all()] == [("user:bo", "rejected")]


def test_a_no_ends_it_and_says_why(remote: fakes.Fake, gate: object) -> None:
    action = make.ordered(asks=Asks.APPROVER)
    after = no(action.id, reason="deploy in progress")
    assert (after.state, after.status) == ("rejected", "cancelled")
    assert after.details == "rejected by user:bo: deploy in progress"
    assert no(action.id).state == "rejected"
    with pytest.raises(UnableToApprove, match="is rejected"):
        no(action.id, CY)
    with pytest.raises(UnableToApprove, match="is rejected"):
        yes(action.id)
    assert make.story(action.id) == ["awaiting_approval", "rejected"]


def test_approving_twice_is_approving_once(remote: fakes.Fake, gate: object) -> None:
    action = make.ordered(asks=Asks.OPERATOR)
    first = yes(action.id)
    make.run(action.id)
    assert yes(action.id).state == "succeeded"
    assert first.id == action.id
    assert make.story(action.id).count("ready") == 1


@pytest.mark.parametrize("state", ["ready", "succeeded"])
def test_what_waits_for_no_word_takes_none(remote: fakes.Fake, gate: object, state: str) -> None:
    action = make.ordered()
    if state == "succeeded":
        make.run(action.id)
    for verb in (yes, no):
        with pytest.raises(UnableToApprove, match="does not wait") as refusal:
            verb(action.id)
        assert refusal.value.code == "not_waiting"


def test_what_is_no_longer_wanted_is_cancelled_when_approved(remote: fakes.Fake, gate: dict[str, GateAnswer]) -> None:
    action = make.ordered(asks=Asks.OPERATOR)
    gate["answer"] = GateAnswer(wanted=False, reason="No longer so: cpu_usage 20 < 90")
    with pytest.raises(UnableToApprove, match=r"cancelled, not approved\. No longer so") as refusal:
        yes(action.id)
    assert refusal.value.code == "no_longer_wanted"
    assert queries.get(action.id).state == "cancelled"
    assert Approval.objects.count() == 0
    assert make.story(action.id) == ["awaiting_approval", "cancelled"]


def test_a_gate_that_fails_leaves_it_waiting(remote: fakes.Fake, settings: Any) -> None:
    settings.ACTION_GATE = "tests.integration.actions.nowhere.gate"
    action = make.ordered(asks=Asks.OPERATOR)
    with pytest.raises(UnableToApprove, match="nobody can tell"):
        yes(action.id)
    assert make.state(action.id) == "awaiting_approval"


def test_a_paused_vigil_holds_approvals(remote: fakes.Fake, gate: object) -> None:
    action = make.ordered(asks=Asks.OPERATOR)
    control.set_mode(mode="paused", reason="deploy", actor="user:ana", at=clock.now())
    with pytest.raises(UnableToApprove, match="goes on waiting: Vigil is paused") as refusal:
        yes(action.id)
    assert refusal.value.code == "held_kill_switch"
    assert Approval.objects.count() == 0
    assert make.story(action.id) == ["awaiting_approval", "approval_held"]
    control.set_mode(mode="active", reason="", actor="user:ana", at=clock.now())
    assert yes(action.id).state == "ready"


def test_the_guards_are_asked_again(remote: fakes.Fake, gate: dict[str, GateAnswer]) -> None:
    waiting = make.ordered(asks=Asks.OPERATOR)
    other = make.ordered(key="policy:other:incident:8:step:0", policy_name="other")  # a suggestion is in nobody's way
    assert other.state == "ready"
    with pytest.raises(UnableToApprove, match=r"action \d+ \(scale-up\) on web-01 is pending") as busy:
        yes(waiting.id)
    assert busy.value.code == "held_target_busy"
    make.run(other.id)
    gate["answer"] = GateAnswer(wanted=True, reason="Still so", limits=Limits(cooldown=timedelta(minutes=5)))
    with pytest.raises(UnableToApprove, match="cooldown of web-01") as resting:
        yes(waiting.id)
    assert resting.value.code == "held_cooldown"


def test_what_waits_takes_no_room_from_what_is_approved(remote: fakes.Fake, gate: dict[str, GateAnswer]) -> None:
    limits = Limits(cooldown=timedelta(0), rate_count=2, concurrency_group="web")
    gate["answer"] = GateAnswer(wanted=True, reason="Still so", limits=limits)
    first = make.ordered(key="a", target="web-01", asks=Asks.OPERATOR, limits=limits)
    second = make.ordered(key="b", target="web-02", asks=Asks.OPERATOR, limits=limits)
    assert isinstance(make.answer(key="c", target="web-03", asks=Asks.OPERATOR, limits=limits), dispatch.Held)
    yes(first.id)
    with pytest.raises(UnableToApprove, match="1 of 1 actions at once for group web"):
        yes(second.id)
    make.run(first.id)
    assert yes(second.id).state == "ready"


def test_what_is_switched_off_is_not_approved(remote: fakes.Fake, gate: object) -> None:
    action = make.ordered(asks=Asks.OPERATOR)
    ActionType.objects.update(enabled=False)
    with pytest.raises(UnableToApprove, match="switched off") as refusal:
        yes(action.id)
    assert refusal.value.code == "refused_action_type"


def test_a_protected_target_waits_whoever_ordered(remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_PROTECTED_TARGETS = ["db-*", "dns-?"]
    assert [make.by_hand(target=name).state for name in ("db-1", "dns-1", "web-01", "dns-10")] == [
        "awaiting_approval", "awaiting_approval", "ready", "ready",
    ]  # fmt: skip
    assert make.ordered(target="db-2").state == "awaiting_approval"


@pytest.mark.parametrize(("second_pair", "state"), [(True, "awaiting_approval"), (False, "ready")])
def test_whoever_ordered_cannot_approve_unless_a_setting_says_so(
    remote: fakes.Fake, settings: Any, second_pair: bool, state: str
) -> None:
    settings.VIGIL_PROTECTED_TARGETS, settings.VIGIL_SECOND_PAIR_OF_EYES = ["web-01"], second_pair
    action = make.by_hand()
    ana = Voice(actor="user:ana", approves=True)
    if second_pair:
        with pytest.raises(NotYourWord, match="second pair of eyes"):
            yes(action.id, ana)
    else:
        yes(action.id, ana)
    assert make.state(action.id) == state


def test_a_key_that_may_do_both_does_not_approve_what_it_ordered(remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_PROTECTED_TARGETS = ["web-01"]
    ordered = dispatch.order_by_hand(
        kind="scale-up", target="web-01", params={}, reason="nightly", actor="key:ci", at=clock.now()
    )
    assert isinstance(ordered, dispatch.Ordered)
    with pytest.raises(NotYourWord, match="second pair of eyes"):
        yes(ordered.action.id, Voice(actor="key:ci", operates=True, approves=True))
    assert yes(ordered.action.id, Voice(actor="key:other", approves=True)).state == "ready"


def test_a_retry_of_what_needed_an_approver_needs_one_again(remote: fakes.Fake, gate: object) -> None:
    for asks, state in ((Asks.APPROVER, "awaiting_approval"), (Asks.OPERATOR, "ready")):
        action = make.ordered(asks=asks, target=f"web-{asks}")
        no(action.id)
        again = steering.retry(action_id=action.id, actor="user:ana", reason="", at=clock.now())
        assert isinstance(again, dispatch.Ordered)
        assert again.action.state == state
        assert Action.objects.get(pk=again.action.id).run_span == timedelta(minutes=15)


def test_an_approval_carries_the_requests_id(remote: fakes.Fake, gate: object) -> None:
    action = critical()
    with context.bind(request_id="d" * 32):
        yes(action.id)
    assert [entry.request_id for entry in entries.of(f"action:{action.id}")][-1] == "d" * 32


def test_a_worker_never_runs_what_waits(remote: fakes.Fake, gate: object) -> None:
    make.ordered(asks=Asks.APPROVER)
    assert execution.run_due(limit=10, worker="w1") == 0


def test_the_picture_shows_all_there_is_to_judge(remote: fakes.Fake, gate: object) -> None:
    earlier = make.ordered()
    make.run(earlier.id)
    action = critical()
    yes(action.id, reason="looks right")
    seen = approvals.picture(queries.get(action.id), at=clock.now())
    assert seen is not None
    assert (seen.needed, seen.missing, seen.asks, seen.risk, seen.waits) == (2, 1, "approver", "critical", True)
    assert [(word.by, word.reason) for word in seen.given] == [("user:bo", "looks right")]
    assert seen.now is not None
    assert seen.now.reason == "Still so: cpu_usage 97 > 90"
    assert [(one.action_id, one.state) for one in seen.before] == [(earlier.id, "succeeded")]
    assert approvals.picture(queries.get(earlier.id), at=clock.now()) is None
