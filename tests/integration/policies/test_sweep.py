"""The sweep: everything judged, batched, once at a time."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from policies import authoring, incidents, sweep
from policies.models import Incident, PolicyHealth, SweepStatus
from policies.sweep import SweepReport
from tests.integration.policies import cast
from vigil.telemetry import metrics as telemetry

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def _run(at: datetime) -> SweepReport:
    report = sweep.run(at=at)
    assert report.ran
    return report


def _quietly(value: float, *, at: datetime, host: str = "web-01", name: str = "cpu_usage") -> None:
    """Store a reading without judging it: as if the judging had failed."""
    from metrics import ingest
    from metrics.formats.reading import Reading

    ingest.store(readings=[Reading(name, value, {"host": host}, at)], at=at)


def test_it_finds_what_ingest_could_not_judge(at: datetime) -> None:
    cast.policy()
    _quietly(92, at=at)
    assert _run(at + SECOND).changed == 1
    assert cast.incident().status == "open"


def test_it_opens_when_the_hold_is_over_without_a_reading(at: datetime) -> None:
    cast.policy(condition="cpu_usage > 90 for 1m")
    cast.post(92, at=at)
    assert cast.incident().status == "pending"
    for seconds in (15, 30, 45):
        _run(at + seconds * SECOND)
        assert cast.incident().status == "pending"
    _run(at + 60 * SECOND)
    assert cast.incident().status == "open"


def test_a_brief_spike_is_forgotten_and_not_announced(at: datetime) -> None:
    cast.policy(condition="cpu_usage > 90 for 1m")
    cast.post(92, at=at)
    cast.post(40, at=at + SECOND)
    incident = cast.incident()
    assert (incident.status, incident.resolution, incident.opened_at) == ("resolved", "brief", None)


def test_silence_opens_and_a_beat_resolves(at: datetime) -> None:
    cast.policy(condition="no heartbeat for 2m", action="restart", params={})
    _quietly(1, at=at, name="heartbeat")
    _run(at + SECOND)
    assert not Incident.objects.exists()
    _run(at + timedelta(minutes=2, seconds=5))
    assert cast.incident().status == "open"
    cast.post(1, at=at + timedelta(minutes=3), name="heartbeat")
    assert cast.incident().resolution == "healed"


def test_no_data_keeps_the_incident_by_default(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    for minute in range(1, 8):
        _run(at + timedelta(minutes=minute))
    assert cast.incident().status == "open"


def test_no_data_resolves_unverified_where_the_policy_says_so(at: datetime) -> None:
    cast.policy(on_no_data="resolve")
    cast.post(92, at=at)
    _run(at + timedelta(minutes=6))
    incident = cast.incident()
    assert (incident.status, incident.resolution) == ("resolved", "unverified")


def test_kept_open_while_healthy_until_the_time_is_over(at: datetime) -> None:
    cast.policy(keep_open_for="30s")
    cast.post(92, at=at)
    cast.post(40, at=at + 5 * SECOND)
    _run(at + 20 * SECOND)
    assert cast.incident().status == "open"
    _run(at + 35 * SECOND)
    assert cast.incident().status == "resolved"


def test_hysteresis_holds_until_the_recovery_value(at: datetime) -> None:
    cast.policy(condition="cpu_usage > 90 recover at 80")
    cast.post(92, at=at)
    cast.post(85, at=at + SECOND)
    assert cast.incident().status == "open"
    cast.post(79, at=at + 2 * SECOND)
    assert cast.incident().status == "resolved"


def test_time_without_evaluation_does_not_count_toward_for(at: datetime) -> None:
    cast.policy(condition="cpu_usage > 90 for 5m")
    cast.post(92, at=at)
    cast.post(92, at=at + timedelta(minutes=20))
    assert cast.incident().status == "pending"


def test_the_number_of_queries_does_not_grow_with_targets_or_policies(at: datetime) -> None:
    def spent(moment: datetime) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            _run(moment)
        return len(seen)

    cast.policy()
    _quietly(40, at=at)
    _run(at)
    few = spent(at + 15 * SECOND)
    for number in range(20):
        cast.policy(name=f"other-{number}", condition=f"cpu_usage > {91 + number / 10}")
        _quietly(40, at=at + 16 * SECOND, host=f"web-{number}")
    _run(at + 20 * SECOND)
    assert spent(at + 30 * SECOND) <= few + 2


def test_a_tick_is_skipped_and_counted_while_one_is_running(at: datetime) -> None:
    SweepStatus.objects.update(running_since=at - SECOND, run_id="another")
    assert sweep.run(at=at) == SweepReport(ran=False)
    row = sweep.status()
    assert (row.overruns, row.run_id) == (1, "another")


def test_a_sweep_whose_process_died_does_not_block_for_ever(at: datetime) -> None:
    SweepStatus.objects.update(running_since=at - timedelta(minutes=3), run_id="dead")
    assert sweep.run(at=at).ran


def test_its_row_says_how_it_fares(at: datetime) -> None:
    cast.policy()
    _quietly(40, at=at)
    _run(at)
    _run(at + 20 * SECOND)
    row = sweep.status()
    assert (row.last_run_at, row.policies_evaluated, row.runs, row.running_since) == (at + 20 * SECOND, 1, 2, None)
    assert row.lag_seconds == 5
    assert row.last_error == ""


def test_a_gap_between_sweeps_begins_a_grace_period(at: datetime) -> None:
    policy = cast.policy()
    _run(at)
    _run(at + timedelta(minutes=10))
    grace_until = PolicyHealth.objects.get(policy=policy).grace_until
    assert grace_until == at + timedelta(minutes=12)


def test_one_broken_policy_disables_itself_only(at: datetime) -> None:
    from policies.models import PolicyVersion

    broken = cast.policy(name="broken")
    cast.policy()
    PolicyVersion.objects.filter(policy=broken).update(document={"nonsense": True})
    authoring.reload(actor="user:ana", at=at)
    _quietly(92, at=at)
    report = _run(at)
    assert (report.policies, report.broken) == (1, 1)
    assert cast.incident().policy.name == "high-cpu-alert"


def test_it_counts_only_changes_as_violations(at: datetime) -> None:
    def count() -> float:
        return float(telemetry.policy_violations_total.labels(policy_name="counted")._value.get())

    cast.policy(name="counted")
    before = count()
    _quietly(92, at=at)
    _run(at)
    _run(at + 15 * SECOND)
    assert count() - before == 1


def test_an_incident_keeps_the_version_it_was_opened_under(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    authoring.update(name="high-cpu-alert", change={"condition": "cpu_usage > 95"}, actor="user:ana", at=at)
    _run(at + SECOND)
    assert cast.incident().status == "open"
    cast.post(89, at=at + 2 * SECOND)
    assert cast.incident().status == "resolved"
    cast.post(94, at=at + 3 * SECOND)
    assert Incident.objects.count() == 1


def test_a_policy_with_its_own_target_tag_groups_by_it(at: datetime) -> None:
    cast.policy(target="*", target_tag="zone")
    cast.post(92, at=at, host="web-01", zone="eu")
    assert cast.incident().target == "eu"
    _run(at + SECOND)
    assert list(incidents.live()) == [(cast.incident().policy_id, "eu")]


def test_events_are_judged(at: datetime) -> None:
    condition = {"type": "event_matches", "event": "deploy_failed", "count": 2, "window": "5m"}
    cast.policy(condition=condition, action="restart", params={})
    cast.happen("deploy_failed", at=at)
    assert not Incident.objects.exists()
    cast.happen("deploy_failed", at=at + SECOND)
    assert cast.incident().status == "open"
    _run(at + timedelta(minutes=6))
    assert cast.incident().status == "resolved"


@pytest.mark.postgres_only
def test_it_is_given_more_time_by_the_database_than_a_request(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    def timeout() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            return str(cursor.fetchone()[0])

    during: list[str] = []

    def read(**_: object) -> list[object]:
        during.append(timeout())
        return []

    monkeypatch.setattr("metrics.queries.latest", read)
    cast.policy()
    _run(at)
    assert (during, timeout()) == (["1min"], "5s")
