"""What is ordered, held or left, and that it is written down only when it is news."""

from datetime import datetime, timedelta

import pytest

from actions import claims, control, queries, steering
from actions.states import State
from policies import authoring, remedies
from policies.models import Decision, Incident, PolicyHealth
from tests.integration.policies import cast

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def _decisions() -> list[tuple[str, str]]:
    return list(Decision.objects.order_by("id").values_list("answer", "guard"))


def test_an_order_is_a_decision_with_its_numbers(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    decision = Decision.objects.get()
    assert (decision.answer, decision.action_id) == ("order", queries.for_incident(cast.incident().pk)[0].id)
    assert "cpu_usage" in decision.reason
    assert decision.numbers != {}


def test_the_same_answer_is_written_once(at: datetime) -> None:
    cast.policy()
    for second in range(4):
        cast.post(92, at=at + second * SECOND)
    assert _decisions() == [("order", ""), ("nothing", "in_progress")]


def test_an_observing_policy_says_what_it_would_have_done(at: datetime) -> None:
    cast.policy(auto_remediate=False)
    settled = cast.only(cast.post(92, at=at))
    assert settled.decided is not None
    assert settled.decided.reason == "Would have ordered scale-up on web-01, but the policy only observes."
    assert queries.for_incident(cast.incident().pk) == []
    assert _decisions() == [("nothing", "mode")]


def test_an_observing_vigil_says_what_it_would_have_done(at: datetime) -> None:
    cast.policy()
    control.set_mode(mode="observe", reason="first day", actor="user:ana", at=at)
    cast.post(92, at=at)
    assert _decisions() == [("nothing", "control")]
    assert "first day" in Decision.objects.get().reason


def test_a_held_order_is_asked_again_at_the_next_evaluation(at: datetime) -> None:
    cast.policy()
    control.set_mode(mode="paused", reason="maintenance", actor="user:ana", at=at)
    cast.post(92, at=at)
    cast.post(93, at=at + SECOND)
    assert _decisions() == [("hold", "kill_switch")]
    control.set_mode(mode="active", reason="done", actor="user:ana", at=at)
    cast.post(94, at=at + 2 * SECOND)
    assert _decisions() == [("hold", "kill_switch"), ("order", "")]


def test_switching_a_policy_to_observe_reaches_its_open_incident(at: datetime) -> None:
    cast.policy()
    control.set_mode(mode="paused", reason="", actor="user:ana", at=at)
    cast.post(92, at=at)
    authoring.update(name="high-cpu-alert", change={"auto_remediate": False}, actor="user:ana", at=at)
    control.set_mode(mode="active", reason="", actor="user:ana", at=at)
    cast.post(93, at=at + SECOND)
    assert _decisions()[-1] == ("nothing", "mode")
    assert queries.for_incident(cast.incident().pk) == []


def test_after_the_last_step_failed_the_incident_is_exhausted_and_says_so(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=at + SECOND, state="failed")
    cast.post(92, at=at + 2 * SECOND)
    incident = cast.incident()
    assert incident.exhausted
    assert incident.status == "open"
    assert _decisions()[-1] == ("refuse", "exhausted")
    assert incident.state_seq == 2


def test_an_action_type_that_vanished_is_a_refusal_not_a_crash(at: datetime) -> None:
    from actions.models import ActionType

    cast.policy(action="custom", params={})
    ActionType.objects.filter(name="custom").delete()
    settled = cast.only(cast.post(92, at=at))
    assert settled.decided is not None
    assert (settled.decided.answer, settled.decided.guard) == ("refuse", "order")
    assert "custom" in settled.decided.reason


def test_a_cancellation_by_a_person_counts_although_the_worker_carried_it_out(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    lease = claims.claim(action_id=action.id, worker="w1")
    assert isinstance(lease, claims.Claimed)
    steering.cancel(action_id=action.id, actor="user:ana", reason="I am on it", at=at)
    assert isinstance(claims.intend(lease), claims.Dropped)
    cast.post(93, at=at + SECOND)
    assert [one.state for one in queries.for_incident(cast.incident().pk)] == ["cancelled"]
    assert cast.incident().exhausted


def test_a_note_does_not_turn_what_was_dropped_into_a_try(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    lease = claims.claim(action_id=action.id, worker="w1")
    assert isinstance(lease, claims.Claimed)
    claims.drop(lease, goal=State.CANCELLED, reason="no longer wanted")
    steering.annotate(action_id=action.id, notes="seen", actor="user:ana", at=at)
    cast.post(93, at=at + SECOND)
    assert len(queries.for_incident(cast.incident().pk)) == 2


class TestLadder:
    STEPS = {"action": "restart", "params": {}, "then": [{"action": "scale-up", "after": "1m"}]}

    def _second(self, at: datetime, *, verification: str) -> None:
        from actions.models import Action

        cast.policy(**self.STEPS, cooldown="1s")
        cast.post(92, at=at)
        [first] = queries.for_incident(cast.incident().pk)
        cast.end_action(first.id, at=at + SECOND)
        Action.objects.filter(pk=first.id).update(verification=verification)

    def test_waits_before_the_next_step(self, at: datetime) -> None:
        self._second(at, verification="ineffective")
        settled = cast.only(cast.post(92, at=at + 10 * SECOND))
        assert settled.decided is not None
        assert settled.decided.answer == "nothing"
        assert "next step comes at" in settled.decided.reason

    def test_takes_the_next_step_when_its_time_came(self, at: datetime) -> None:
        self._second(at, verification="ineffective")
        cast.post(92, at=at + 20 * SECOND)
        cast.post(92, at=at + 40 * SECOND)
        cast.post(92, at=at + 62 * SECOND)
        kinds = [action.kind for action in queries.for_incident(cast.incident().pk)]
        assert kinds == ["restart", "scale-up"]

    def test_stays_while_the_step_is_being_verified(self, at: datetime) -> None:
        self._second(at, verification="")
        cast.end_action(queries.for_incident(cast.incident().pk)[0].id, at=at + SECOND, settle=timedelta(hours=1))
        settled = cast.only(cast.post(92, at=at + 25 * SECOND))
        assert settled.decided is not None
        assert settled.decided.guard == "in_progress"


class TestGrace:
    """Lifecycle rule 8: after a gap in evaluation Vigil looks around before it acts."""

    def _last_swept(self, at: datetime, *, ago: timedelta) -> None:
        policy = cast.policy()
        PolicyHealth.objects.create(policy=policy, last_evaluated_at=at - ago)

    def test_a_policy_not_evaluated_for_long_orders_nothing(self, at: datetime) -> None:
        self._last_swept(at, ago=timedelta(minutes=10))
        cast.post(92, at=at)
        assert _decisions() == [("hold", "grace")]
        assert cast.incident().status == "open"

    def test_the_grace_outlasts_the_first_reading(self, at: datetime) -> None:
        self._last_swept(at, ago=timedelta(minutes=10))
        cast.post(92, at=at)
        cast.post(93, at=at + 5 * SECOND)
        assert _decisions() == [("hold", "grace")]

    def test_the_action_comes_when_the_grace_is_over(self, at: datetime) -> None:
        self._last_swept(at, ago=timedelta(minutes=10))
        for seconds in range(0, 141, 20):
            cast.post(92, at=at + seconds * SECOND)
        assert _decisions()[:2] == [("hold", "grace"), ("order", "")]

    @pytest.mark.parametrize("ago", [timedelta(seconds=0), timedelta(seconds=29)])
    def test_no_gap_no_grace(self, at: datetime, ago: timedelta) -> None:
        self._last_swept(at, ago=ago)
        cast.post(92, at=at)
        assert _decisions() == [("order", "")]

    def test_a_new_policy_has_no_gap(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        assert _decisions() == [("order", "")]

    def test_time_switched_off_is_no_gap(self, at: datetime) -> None:
        self._last_swept(at, ago=timedelta(minutes=10))
        authoring.disable(name="high-cpu-alert", actor="user:ana", at=at)
        authoring.enable(name="high-cpu-alert", actor="user:ana", at=at)
        cast.post(92, at=at)
        assert _decisions() == [("order", "")]


class TestGate:
    """Asked right before an action is sent."""

    def _ask(self, at: datetime) -> tuple[bool, str]:
        incident = cast.incident()
        [action] = queries.for_incident(incident.pk)
        answer = remedies.still_wanted(
            action_id=action.id,
            incident_id=incident.pk,
            policy_name="high-cpu-alert",
            target="web-01",
            kind=action.kind,
            at=at,
        )
        return answer.wanted, answer.reason

    def test_wanted_while_it_is_still_so(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        wanted, reason = self._ask(at + SECOND)
        assert wanted
        assert "92" in reason

    def test_not_wanted_when_it_fell_meanwhile(self, at: datetime) -> None:
        cast.policy(keep_open_for="5m")
        cast.post(92, at=at)
        cast.post(40, at=at + SECOND)
        assert cast.incident().status == "open"
        wanted, reason = self._ask(at + 2 * SECOND)
        assert not wanted
        assert reason.startswith("No longer so")

    def test_not_wanted_without_fresh_data(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        wanted, reason = self._ask(at + timedelta(minutes=6))
        assert not wanted
        assert reason.startswith("No fresh data")

    def test_not_wanted_once_resolved(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        cast.post(40, at=at + SECOND)
        assert not self._ask(at + SECOND)[0]

    def test_not_wanted_when_the_policy_observes_now(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        authoring.update(name="high-cpu-alert", change={"mode": "observe"}, actor="user:ana", at=at)
        assert self._ask(at + SECOND) == (False, "Policy high-cpu-alert only observes now.")

    def test_by_hand_is_always_wanted(self, at: datetime) -> None:
        answer = remedies.still_wanted(
            action_id=1, incident_id=None, policy_name="", target="web-01", kind="restart", at=at
        )
        assert answer.wanted


class TestNoDoubleWork:
    def test_an_action_that_expired_unbegun_does_not_spend_the_step(self, at: datetime) -> None:
        from actions.models import Action

        cast.policy()
        cast.post(92, at=at)
        [first] = queries.for_incident(cast.incident().pk)
        cast.end_action(first.id, at=at + SECOND, state="expired")
        Action.objects.filter(pk=first.id).update(attempt_no=0)
        cast.post(92, at=at + 2 * SECOND)
        statuses = [action.status for action in queries.for_incident(cast.incident().pk)]
        assert statuses == ["failed", "pending"]
        assert not Incident.objects.get().exhausted
