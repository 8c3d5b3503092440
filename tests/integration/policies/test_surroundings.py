"""Previews, checks, health, gauges, tasks: what stands around deciding."""

from datetime import datetime, timedelta

import pytest

from policies import authoring, book, checks, documents, fitness, preview, runner, sweep, tasks, vitals
from policies.models import Decision, Freeze, Incident, PolicyHealth, PolicyVersion
from policies.muting import silences
from tests.integration.policies import cast
from vigil.kernel import clock
from vigil.kernel.database import database_now
from vigil.periodic.models import PeriodicRun

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


def _values(name: str) -> dict[str, float]:
    return {
        next(iter(sample.labels.values()), ""): sample.value
        for family in vitals.gauges()
        for sample in family.samples
        if family.name == name
    }


def test_a_preview_on_recent_data_covers_every_target_and_leaves_no_trace(at: datetime) -> None:
    for host, value in (("web-01", 92), ("web-02", 40), ("db-01", 99)):
        cast.post(value, at=at, host=host)
    document = documents.read(cast.HIGH_CPU).document
    outlooks = preview.on_recent(document=document, at=at)
    assert [(one.target, one.verdict.outcome.value) for one in outlooks] == [
        ("web-01", "violated"),
        ("web-02", "healthy"),
    ]
    assert not Incident.objects.exists()
    assert not Decision.objects.exists()


def test_a_preview_of_named_policies_leaves_the_others_out(at: datetime) -> None:
    cast.policy()
    cast.policy(name="other")
    outlooks = preview.on_sample(metrics={"cpu_usage": 95}, target="web-01", at=at, names=["other"])
    assert [one.rule.name for one in outlooks] == ["other"]


def test_check_names_a_policy_that_cannot_be_read(at: datetime) -> None:
    policy = cast.policy()
    assert checks.unreadable_policies(databases=["default"]) == []
    PolicyVersion.objects.filter(policy=policy).update(document={})
    [warning] = checks.unreadable_policies(databases=["default"])
    assert warning.id == "policies.W001"
    assert "high-cpu-alert" in warning.msg


def test_the_runner_tells_of_each_policy_how_late_it_is_and_what_failed(at: datetime) -> None:
    cast.policy(name="fine")
    broken = cast.policy(name="broken")
    sweep.run(at=at)
    PolicyVersion.objects.filter(policy=broken).update(document={"nonsense": True})
    authoring.reload(actor="user:ana", at=at)
    found = runner.status(at=at + 2 * MINUTE)
    assert (found.running, found.lag_seconds) == (False, 105)
    told = {one.policy: (one.stopped, bool(one.last_error), one.lag_seconds) for one in found.policies}
    assert told == {"broken": (True, True, 105), "fine": (False, False, 105)}


def test_the_runner_counts_the_errors_of_a_policy(at: datetime) -> None:
    cast.policy(name="shaky")
    sweep.run(at=at)
    rule = next(iter(book.current(at).rules.values()))
    fitness.failed({rule: "ZeroDivisionError: division by zero"}, at=at)
    (shaky,) = runner.status(at=at).policies
    assert (shaky.errors_in_a_row, shaky.last_error, shaky.stopped) == (1, "ZeroDivisionError: division by zero", False)


def test_health_says_when_the_sweep_is_late(at: datetime) -> None:
    assert vitals.sweep_report().state == "degraded"
    sweep.run(at=clock.now())
    assert vitals.sweep_report().state == "ok"
    sweep.run(at=clock.now() - timedelta(minutes=5))
    assert vitals.sweep_report().state == "degraded"


def test_health_names_policies_that_switched_themselves_off(at: datetime) -> None:
    policy = cast.policy()
    assert vitals.policies_report().state == "ok"
    PolicyHealth.objects.create(policy=policy, disabled_by_error=True)
    assert "high-cpu-alert" in vitals.policies_report().detail


def test_gauges_count_open_incidents_by_severity(at: datetime) -> None:
    cast.policy(severity="critical")
    cast.post(92, at=at)
    assert _values("vigil_incidents_open") == {"info": 0, "warning": 0, "critical": 1}
    assert _values("vigil_policies_enabled") == {"": 1}


def test_gauges_count_what_is_muted_by_what(at: datetime) -> None:
    cast.policy()
    silences.create(raw={"matchers": ["target = *"], "duration": "1h", "comment": "x"}, actor="user:ana", at=at)
    cast.post(92, at=at)
    muted = _values("vigil_incidents_muted")
    assert muted == {"silence": 1, "maintenance": 0, "inhibition": 0, "common_cause": 0}
    assert _values("vigil_incidents_open")["warning"] == 1
    assert _values("vigil_common_causes") == {"": 0}


def test_gauges_count_the_targets_that_are_frozen(at: datetime) -> None:
    assert _values("vigil_targets_frozen") == {"": 0}
    now = database_now()
    ends = [("web-01", now + HOUR), ("web-01", now + 2 * HOUR), ("web-02", now + HOUR), ("old", now - MINUTE)]
    for number, (target, until) in enumerate(ends):
        Freeze.objects.create(target=target, since=now - HOUR, until=until, newest_action_id=number)
    assert _values("vigil_targets_frozen") == {"": 2}
    Freeze.objects.filter(target="web-02").update(lifted_at=now)
    assert _values("vigil_targets_frozen") == {"": 1}


def test_gauges_tell_when_the_sweep_last_succeeded(at: datetime) -> None:
    assert _values("vigil_sweep_last_success_timestamp") == {"": 0}
    sweep.run(at=at)
    assert _values("vigil_sweep_last_success_timestamp") == {"": pytest.approx(at.timestamp())}


def test_the_task_runs_each_slot_once() -> None:
    assert tasks.sweep() is True or PeriodicRun.objects.exists()
    before = sweep.status().runs
    ran_again = tasks.sweep()
    assert sweep.status().runs == before + ran_again
    assert PeriodicRun.objects.filter(job="policies.sweep").count() == sweep.status().runs


def test_a_policy_whose_evaluation_keeps_failing_switches_itself_off(at: datetime) -> None:
    from policies import book, fitness

    cast.policy()
    cast.policy(name="fine")
    rule = next(rule for rule in book.current(at).rules.values() if rule.name == "high-cpu-alert")
    for _ in range(fitness.ERRORS_MAX):
        fitness.failed({rule: "ZeroDivisionError: division by zero"}, at=at)
    assert [rule.name for rule in book.current(at).rules.values()] == ["fine"]
    assert authoring.shown_extras(authoring.get("high-cpu-alert"))["health"] == {
        "last_error": "ZeroDivisionError: division by zero",
        "last_evaluated_at": None,
        "disabled_by_error": True,
    }
