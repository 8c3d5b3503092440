"""What each mode makes of the same reading, and what becomes of a proposal."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from actions import approvals, dispatch, editors, queries, reaper, steering
from actions.approvals import NotYourWord, UnableToApprove
from actions.consent import Voice
from actions.models import Action, ActionType
from policies import authoring, book, transfer
from policies.models import Decision, Policy
from policies.remedies import still_wanted
from tests.integration.actions import make
from tests.integration.policies import cast, remediator
from vigil.audit import entries
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

ANA = Voice(actor="user:ana", operates=True, approves=True)
"""She writes the policies here."""
BO = Voice(actor="user:bo", operates=True, approves=True)
CY = Voice(actor="user:cy", operates=True, approves=True)


def _proposed(mode: str = "suggest", **fields: object) -> queries.ActionView:
    cast.policy(auto_remediate=False, mode=mode, **fields)
    settled = cast.only(cast.post(95, at=clock.now()))
    assert settled.decided is not None
    assert settled.decided.action is not None
    return settled.decided.action


@pytest.mark.parametrize(
    ("mode", "state", "asks"),
    [("suggest", "awaiting_approval", "operator"), ("approve", "awaiting_approval", "approver"), ("auto", "ready", "")],
)
def test_each_mode_orders_in_its_own_way(mode: str, state: str, asks: str) -> None:
    cast.policy(auto_remediate=mode == "auto", mode=mode)
    action = cast.only(cast.post(95, at=clock.now())).decided.action  # type: ignore[union-attr]
    assert action is not None
    assert (action.state, action.asks) == (state, asks)


def test_a_proposal_says_until_when_it_waits_and_is_not_made_twice() -> None:
    action = _proposed(approval_expires="10m")
    assert action.approval_expires_at == action.created_at + timedelta(minutes=10)
    cast.post(96, at=clock.now())
    assert Action.objects.count() == 1
    assert Decision.objects.get(answer="order").reason == (
        f"Proposed scale-up on web-01, which waits for somebody's click until {action.approval_expires_at:%H:%M:%S}"
        " UTC: cpu_usage 95 > 90"
    )


def test_an_approved_proposal_is_carried_out() -> None:
    action = _proposed("approve")
    with cast.use_fake_remediator():
        assert approvals.approve(action_id=action.id, voice=BO, reason="", at=clock.now()).state == "ready"
        make.run(action.id)
    assert make.state(action.id) == "succeeded"
    assert len(remediator.calls) == 1


def test_what_healed_meanwhile_is_not_approved() -> None:
    action = _proposed(keep_open_for="1h")
    cast.post(20, at=clock.now())
    with pytest.raises(UnableToApprove, match="No longer so: cpu_usage 20") as refusal:
        approvals.approve(action_id=action.id, voice=BO, reason="", at=clock.now())
    assert refusal.value.code == "no_longer_wanted"
    assert make.state(action.id) == "cancelled"


def test_a_proposal_goes_with_its_incident() -> None:
    action = _proposed()
    cast.post(20, at=clock.now())
    after = queries.get(action.id)
    assert after.state == "cancelled"
    assert make.story(action.id) == ["awaiting_approval", "cancelled"]


def test_what_nobody_approved_is_proposed_again_and_does_not_count_as_tried() -> None:
    first = _proposed()
    make.word_overdue(first.id)
    assert reaper.put_right(at=clock.now())["unapproved"] == 1
    again = cast.only(cast.post(97, at=clock.now())).decided
    assert again is not None
    assert again.action is not None
    assert again.action.id != first.id
    assert again.action.state == "awaiting_approval"
    assert not cast.incident().exhausted


def test_a_no_counts_as_tried() -> None:
    action = _proposed()
    approvals.reject(action_id=action.id, voice=BO, reason="deploy", at=clock.now())
    decided = cast.only(cast.post(97, at=clock.now())).decided
    assert decided is not None
    assert decided.reason == "scale-up was turned down, and it was the only step"
    assert cast.incident().exhausted


def test_a_policy_that_only_observes_by_now_lets_nothing_be_approved() -> None:
    action = _proposed()
    Policy.objects.update(mode="observe")  # by somebody who was faster than the proposal
    with pytest.raises(UnableToApprove, match="only observes now"):
        approvals.approve(action_id=action.id, voice=BO, reason="", at=clock.now())


@pytest.mark.parametrize(
    ("before", "now", "said", "then"),
    [
        ("suggest", "observe", "only observes now", None),
        ("approve", "observe", "only observes now", None),
        ("suggest", "approve", "waits for an approver now", ("awaiting_approval", "approver")),
        ("approve", "suggest", "waits for somebody's click now", ("awaiting_approval", "operator")),
        ("suggest", "auto", "acts by itself now", ("ready", "")),
        ("approve", "auto", "acts by itself now", ("ready", "")),
    ],
)
def test_what_waits_for_another_word_than_the_policy_asks_for_is_withdrawn_and_decided_anew(
    before: str, now: str, said: str, then: tuple[str, str] | None
) -> None:
    action = _proposed(before)
    _edited(BO, mode=now)
    assert make.story(action.id) == ["awaiting_approval", "cancelled"]
    end = entries.of(f"action:{action.id}").last()
    assert end is not None
    assert (end.actor, said in end.reason) == ("vigil", True)
    assert Action.objects.count() == 1  # nothing starts by an edit: fresh data and the guards decide
    decided = cast.only(cast.post(96, at=clock.now())).decided
    assert decided is not None
    if then is None:
        assert decided.reason == "Would have ordered scale-up on web-01, but the policy only observes."
        return
    assert decided.action is not None
    assert (decided.action.state, decided.action.asks, decided.action.dedup_key) == (*then, action.dedup_key)


def test_who_has_not_heard_of_the_new_mode_proposes_nothing_in_the_old_one() -> None:
    action = _proposed("suggest")
    _edited(BO, mode="auto")
    Policy.objects.update(mode="suggest")
    book.bump()
    assert [rule.mode for rule in book.current(clock.now()).rules.values()] == ["suggest"]
    Policy.objects.update(mode="auto")  # told to nobody yet
    decided = cast.only(cast.post(96, at=clock.now())).decided
    assert decided is not None
    assert (decided.answer, decided.guard) == ("hold", "mode")
    assert [row.pk for row in Action.objects.all()] == [action.id]
    book.bump()
    decided = cast.only(cast.post(97, at=clock.now())).decided
    assert decided is not None
    assert decided.action is not None
    assert decided.action.state == "ready"


def test_what_heals_before_it_is_decided_anew_is_not_done() -> None:
    action = _proposed("approve", keep_open_for="1h")
    _edited(BO, mode="auto")
    cast.post(20, at=clock.now())
    assert [(row.pk, row.state) for row in Action.objects.all()] == [(action.id, "cancelled")]


def test_what_the_mode_has_no_part_in_goes_on_waiting() -> None:
    ActionType.objects.filter(name="scale-up").update(risk="critical")
    action = _proposed("approve")
    assert _yes(action.id, BO) == "awaiting_approval"
    for mode in ("suggest", "auto"):
        _edited(ANA, mode=mode)
        assert make.state(action.id) == "awaiting_approval"
    assert _yes(action.id, CY) == "ready"


def test_a_retry_by_a_person_goes_on_waiting_whatever_the_mode_is() -> None:
    action = _proposed("approve")
    approvals.reject(action_id=action.id, voice=CY, reason="", at=clock.now())
    again = steering.retry(action_id=action.id, actor="user:bo", reason="", at=clock.now())
    assert isinstance(again, dispatch.Ordered)
    _edited(ANA, mode="observe")
    assert make.state(again.action.id) == "awaiting_approval"


def test_an_edit_of_something_else_leaves_what_waits_alone() -> None:
    action = _proposed("approve")
    _edited(BO, severity="critical")
    assert make.state(action.id) == "awaiting_approval"


@pytest.mark.parametrize("verb", [authoring.disable, authoring.delete])
def test_a_policy_that_is_no_longer_in_force_takes_its_proposals_along(verb: Callable[..., object]) -> None:
    action = _proposed("approve")
    verb(name="high-cpu-alert", actor="user:bo", at=clock.now())
    assert make.story(action.id) == ["awaiting_approval", "cancelled"]


@pytest.mark.parametrize(
    ("before", "now", "wanted"),
    [("auto", "suggest", False), ("auto", "approve", False), ("suggest", "approve", False), ("approve", "auto", True)],
)
def test_a_policy_that_asks_more_than_it_did_drops_what_was_not_asked(before: str, now: str, wanted: bool) -> None:
    cast.policy(auto_remediate=before == "auto", mode=before)
    action = cast.only(cast.post(95, at=clock.now())).decided.action  # type: ignore[union-attr]
    assert action is not None
    authoring.update(name="high-cpu-alert", change={"mode": now}, actor="user:ana", at=clock.now())
    answer = still_wanted(
        action_id=action.id,
        incident_id=action.incident_id,
        policy_name=action.policy_name,
        target=action.target,
        kind=action.kind,
        at=clock.now(),
    )
    assert answer.wanted is wanted


def _edited(by: Voice, **change: object) -> None:
    authoring.update(name="high-cpu-alert", change=change, actor=by.actor, at=clock.now())


def _yes(action_id: int, voice: Voice) -> str:
    return approvals.approve(action_id=action_id, voice=voice, reason="", at=clock.now()).state.value


def test_who_wrote_the_policy_is_no_second_pair_of_eyes_for_it() -> None:
    action = _proposed("approve")
    with pytest.raises(NotYourWord, match=r"user:ana saved policy high-cpu-alert last \(version 1\).*actions:approve"):
        _yes(action.id, ANA)
    assert approvals.why_not_approve(action, ANA).startswith("user:ana saved")
    assert make.story(action.id) == ["awaiting_approval"]
    assert _yes(action.id, BO) == "ready"


def test_an_edit_of_somebody_else_does_not_make_it_another_persons() -> None:
    action = _proposed("approve")
    _edited(BO, severity="critical")
    for voice, said in ((ANA, "wrote version 1 of policy high-cpu-alert, which ordered it"), (BO, "saved .* last")):
        with pytest.raises(NotYourWord, match=said):
            _yes(action.id, voice)
    seen = approvals.picture(queries.get(action.id), at=clock.now())
    assert seen is not None
    assert set(seen.own_work) == {"user:ana", "user:bo"}
    assert _yes(action.id, CY) == "ready"


def test_a_save_that_changes_nothing_and_a_switch_are_no_edits() -> None:
    action = _proposed("approve")
    _edited(BO, severity="warning")
    authoring.disable(name="high-cpu-alert", actor="user:bo", at=clock.now())
    authoring.enable(name="high-cpu-alert", actor="user:bo", at=clock.now())
    assert queries.get(action.id).state == "cancelled"  # with the policy; the next one is Ana's as well
    again = cast.only(cast.post(96, at=clock.now())).decided.action  # type: ignore[union-attr]
    assert again is not None
    with pytest.raises(NotYourWord, match="user:ana saved"):
        _yes(again.id, ANA)
    assert _yes(again.id, BO) == "ready"


def test_a_yes_no_longer_counts_once_its_giver_edits_the_policy() -> None:
    ActionType.objects.filter(name="scale-up").update(risk="critical")
    action = _proposed("approve")
    assert _yes(action.id, BO) == "awaiting_approval"
    _edited(BO, severity="critical")
    assert _yes(action.id, CY) == "awaiting_approval"
    seen = approvals.picture(queries.get(action.id), at=clock.now())
    assert seen is not None
    assert seen.missing == 1
    assert _yes(action.id, Voice(actor="user:di", approves=True)) == "ready"


def test_a_suggestion_is_anybodys_click() -> None:
    assert _yes(_proposed("suggest").id, ANA) == "ready"


def test_a_setting_lets_the_only_person_there_is_approve_it(settings: Any) -> None:
    settings.VIGIL_SECOND_PAIR_OF_EYES = False
    assert _yes(_proposed("approve").id, ANA) == "ready"


def test_who_wrote_the_policy_may_turn_its_action_down() -> None:
    action = _proposed("approve")
    assert approvals.reject(action_id=action.id, voice=ANA, reason="", at=clock.now()).state == "rejected"


def test_a_retry_is_neither_for_who_retried_nor_for_who_wrote_the_policy() -> None:
    action = _proposed("approve")
    approvals.reject(action_id=action.id, voice=CY, reason="", at=clock.now())
    again = steering.retry(action_id=action.id, actor="user:bo", reason="", at=clock.now())
    assert isinstance(again, dispatch.Ordered)
    for voice in (ANA, BO):
        with pytest.raises(NotYourWord, match="second pair of eyes"):
            _yes(again.action.id, voice)
    assert _yes(again.action.id, CY) == "ready"


def test_when_nobody_can_tell_whose_policy_it_is_nobody_approves(settings: Any) -> None:
    action = _proposed("approve")
    settings.ACTION_EDITORS = "policies.nowhere.editors"
    with pytest.raises(editors.UnableToTell, match="who edited its policy"):
        _yes(action.id, BO)
    assert "who edited its policy" in approvals.why_not_approve(action, BO)
    assert approvals.picture(action, at=clock.now()) is not None
    assert make.state(action.id) == "awaiting_approval"


def test_the_evidence_names_incident_condition_and_numbers() -> None:
    action = _proposed()
    seen = approvals.picture(action, at=clock.now())
    assert seen is not None
    assert seen.now is not None
    assert (seen.now.wanted, seen.now.reason) == (True, "Still so: cpu_usage 95 > 90")
    assert seen.evidence["condition"] == "cpu_usage > 90"
    assert seen.evidence["incident"]["id"] == cast.incident().pk  # type: ignore[index]
    assert seen.evidence["incident"]["value"] == 95  # type: ignore[index]
    assert seen.evidence["decision"]["numbers"]  # type: ignore[index]


def test_a_file_says_suggest_and_reads_back() -> None:
    cast.policy(auto_remediate=False, mode="suggest", approval_expires="10m")
    exported = transfer.dump()
    assert "mode: suggest" in exported
    assert "auto_remediate" not in exported
