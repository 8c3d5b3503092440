"""One reading's way: stored, judged, an incident opened, an action ordered."""

from datetime import datetime, timedelta

import pytest

from actions import execution, queries
from policies.models import Decision, Incident
from tests.integration.policies import cast, remediator
from vigil.audit import entries

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def test_a_violation_opens_an_incident_and_orders_the_action(at: datetime) -> None:
    cast.policy()
    settled = cast.only(cast.post(92, at=at))
    incident = Incident.objects.get()
    assert (incident.status, incident.target, incident.value) == ("open", "web-01", 92)
    assert settled.decided is not None
    assert settled.decided.answer == "order"
    [action] = queries.for_incident(incident.pk)
    assert (action.kind, action.target, action.status) == ("scale-up", "web-01", "pending")
    assert action.params == {"replicas": 2}
    assert (action.policy_name, action.policy_version, action.severity) == ("high-cpu-alert", 1, "warning")


def test_the_audit_trail_tells_of_the_opening(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    [entry] = entries.of(cast.incident().subject)
    assert (entry.kind, entry.seq, entry.to_state, entry.actor) == ("incident.opened", 1, "open", "vigil")
    assert "92" in entry.reason


def test_a_healthy_reading_writes_nothing(at: datetime) -> None:
    cast.policy()
    assert cast.post(40, at=at).evaluated
    assert not Incident.objects.exists()
    assert not Decision.objects.exists()


def test_a_reading_that_no_policy_reads_concerns_nobody(at: datetime) -> None:
    cast.policy()
    accepted = cast.post(1, at=at, name="other_metric")
    assert accepted.evaluated
    assert accepted.settled == ()


def test_a_target_outside_the_pattern_is_left_alone(at: datetime) -> None:
    cast.policy()
    assert cast.post(99, at=at, host="db-01").settled == ()


def test_falling_resolves_the_incident_as_healed(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    cast.post(40, at=at + 3 * SECOND)
    incident = cast.incident()
    assert (incident.status, incident.resolution) == ("resolved", "healed")
    assert [entry.seq for entry in entries.of(incident.subject)] == [1, 2]


def test_healing_before_the_action_began_keeps_it_from_being_sent(at: datetime) -> None:
    cast.policy()
    with cast.use_fake_remediator():
        cast.post(92, at=at)
        cast.post(40, at=at + SECOND)
        execution.run_due(limit=10, worker="test")
    [action] = queries.for_incident(cast.incident().pk)
    assert action.status == "cancelled"
    assert remediator.calls == []


def test_healing_while_the_action_works_lets_it_finish(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=at, state="accepted")
    cast.post(40, at=at + SECOND)
    assert cast.incident().status == "resolved"
    assert not queries.get(action.id).cancel_requested


def test_a_second_violation_orders_no_second_action(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    settled = cast.only(cast.post(95, at=at + SECOND))
    [action] = queries.for_incident(cast.incident().pk)
    assert settled.decided is not None
    assert (settled.decided.answer, settled.decided.guard) == ("nothing", "in_progress")
    assert settled.decided.action == action
    assert cast.incident().value == 95


def test_violated_again_after_resolved_is_a_new_incident(at: datetime) -> None:
    cast.policy()
    for second, value in enumerate((92, 40, 93)):
        cast.post(value, at=at + second * SECOND)
    assert [incident.status for incident in Incident.objects.order_by("id")] == ["resolved", "open"]


def test_a_late_sample_never_starts_anything(at: datetime) -> None:
    cast.policy()
    cast.post(40, at=at)
    accepted = cast.post_late(99, measured=at - timedelta(minutes=1), at=at + SECOND)
    assert accepted.stored.samples[0].late
    assert accepted.settled == ()
    assert not Incident.objects.exists()


def test_a_reading_that_clears_the_line_is_not_read_up_on_unless_an_incident_is_live(at: datetime) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def asked(value: float, second: int) -> int:
        with CaptureQueriesContext(connection) as queries:
            cast.post(value, at=at + second * SECOND)
        return sum("last_sample_id" in query["sql"] and "SELECT id, name" in query["sql"] for query in queries)

    cast.policy()
    assert asked(40, 0) == 0
    assert asked(92, 1) == 2, "once for the target, once for the fleet that it belongs to"
    assert asked(40, 2) == 1
    assert cast.incident().status == "resolved"


def test_another_series_of_the_target_still_keeps_the_incident_open(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at, core="1")
    cast.post(40, at=at + SECOND, core="2")
    assert cast.incident().status == "open"
    cast.post(50, at=at + 2 * SECOND, core="1")
    assert cast.incident().status == "resolved"
