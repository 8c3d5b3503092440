"""Why Vigil acts, or does not: of now, of a time that has passed, and of an action."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from actions import control, queries
from actions.models import Attempt
from metrics.models import Sample
from policies import authoring, explaining
from policies.explaining import Explanation
from tests.integration.policies import cast
from vigil.kernel import clock
from vigil.kernel.errors import Invalid, NotFound

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def _of(target: str = "web-01", *, now: datetime, at: datetime | None = None) -> Explanation:
    return explaining.of_pair(policy_name="high-cpu-alert", target=target, now=now, at=at)


def _objections(found: Explanation) -> list[str]:
    return [gate.name for gate in found.gates if not gate.passed]


def test_a_comparison_names_the_sample_it_saw(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    [looked] = _of(now=at).trace.looked
    assert [(sample.id, sample.value) for sample in looked.samples] == [(Sample.objects.get().pk, 92)]


def test_a_healthy_target_gives_nothing_to_do(at: datetime) -> None:
    cast.policy()
    cast.post(40, at=at)
    found = _of(now=at)
    assert "web-01 is healthy for high-cpu-alert: cpu_usage 40 <= 90." in found.text
    assert found.text.endswith("There is no incident. So there is nothing to do.")


def test_a_target_nobody_heard_of_is_unknown_and_not_healthy(at: datetime) -> None:
    cast.policy()
    found = _of("web-77", now=at)
    assert found.trace.verdict.outcome == "unknown"
    assert "It had nothing to look at." in found.text


def test_every_gate_is_asked_by_itself(at: datetime) -> None:
    cast.policy(auto_remediate=False)
    control.set_mode(mode="paused", reason="maintenance", actor="user:ana", at=at)
    cast.post(92, at=at)
    found = _of(now=at)
    assert _objections(found) == ["mode", "kill_switch"]
    assert "because of mode: the policy only observes. Also in the way: kill_switch." in found.text


def test_what_is_under_way_is_why_nothing_more_is_ordered(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    found = _of(now=at)
    assert _objections(found) == ["ladder"]
    assert [action.id for action in found.actions] == [queries.for_incident(cast.incident().pk)[0].id]


def test_flapping_holds_with_its_numbers(at: datetime) -> None:
    cast.policy(flapping={"high": 5, "low": 4})
    cast.post(92, at=at)
    found = _of(now=at)
    [gate] = [gate for gate in found.gates if not gate.passed]
    assert (gate.name, gate.numbers["change_percent"], gate.numbers["results"]) == ("flapping", 6.2, "01")
    assert "Vigil does not act now, because of flapping: It flaps since" in found.text


def test_a_target_that_is_well_just_now_flaps_all_the_same(at: datetime) -> None:
    cast.policy(flapping={"high": 5, "low": 4})
    cast.post(92, at=at)
    cast.post(40, at=at + SECOND)
    assert "flapping" in _objections(_of(now=at + 2 * SECOND))


def test_a_cooldown_holds_with_its_numbers(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    first = queries.for_incident(cast.incident().pk)[0].id
    Attempt.objects.create(action_id=first, number=1, token=1, worker="test", intent_at=clock.now())
    cast.end_action(first, at=at)
    cast.post(40, at=at + SECOND)
    cast.post(95, at=at + 2 * SECOND)
    [cooldown] = [gate for gate in _of(now=at + 3 * SECOND).gates if not gate.passed]
    assert (cooldown.name, cooldown.numbers["cooldown_seconds"]) == ("cooldown", 300.0)


def test_asking_changes_nothing(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    with CaptureQueriesContext(connection) as asked:
        _of(now=at + SECOND)
        _of(now=at + SECOND, at=at)
        explaining.of_incident(cast.incident().pk, now=at + SECOND)
    assert [one["sql"] for one in asked if not one["sql"].lstrip().startswith(("SELECT", "WITH"))] == []


def test_the_past_is_judged_on_what_was_stored_by_then(at: datetime) -> None:
    cast.policy()
    for second, value in enumerate([40, 92, 30]):
        cast.post(value, at=at + (second + 1) * SECOND)
    now = at + 60 * SECOND
    reasons = [_of(now=now, at=at + (second + 1) * SECOND).trace.verdict.reason for second in range(3)]
    assert reasons == ["cpu_usage 40 <= 90", "cpu_usage 92 > 90", "cpu_usage 30 <= 90"]


def test_of_the_past_the_decision_is_told_and_no_gate(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    found = _of(now=at + 60 * SECOND, at=at)
    assert found.gates == ()
    assert found.decision is not None
    assert found.decision.answer == "order"
    assert "Vigil concluded (order): Ordered scale-up on web-01" in found.text


def test_the_past_has_the_version_of_its_time(at: datetime) -> None:
    cast.policy()
    made = authoring.get("high-cpu-alert").created_at
    authoring.update(name="high-cpu-alert", change={"condition": "cpu_usage > 95"}, actor="user:ana", at=made + SECOND)
    later = made + 2 * SECOND
    assert (_of(now=later, at=made).version, _of(now=later).version) == (1, 2)
    with pytest.raises(NotFound, match="it was made later"):
        _of(now=later, at=made - SECOND)


def test_an_incident_that_is_over_is_explained_as_it_stood(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    cast.post(40, at=at + SECOND)
    found = explaining.of_incident(cast.incident().pk, now=at + 60 * SECOND)
    assert "was live; it has ended since: Healed." in found.text


def test_an_action_tells_what_was_seen_when_it_was_ordered(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    action = queries.for_incident(cast.incident().pk)[0]
    cast.post(99, at=at + SECOND)
    found = explaining.of_action(action.id, now=at + 2 * SECOND)
    assert found.ordered is not None
    assert found.ordered.trace.verdict.reason == "cpu_usage 92 > 90"
    assert (
        f"Action {action.id} (scale-up on web-01) was ordered by policy:high-cpu-alert: cpu_usage 92 > 90."
        in found.text
    )


def test_a_target_the_policy_does_not_cover_is_said(at: datetime) -> None:
    cast.policy()
    with pytest.raises(Invalid, match=r"covers web-\*, which does not match db-01"):
        _of("db-01", now=at)


def test_the_future_is_not_explained(at: datetime) -> None:
    cast.policy()
    with pytest.raises(Invalid, match="lies in the future"):
        _of(now=at, at=at + SECOND)
