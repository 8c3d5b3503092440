"""Each slot of a job runs once, whoever starts it."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.samples import Sample

from vigil import schedule
from vigil.health import builtin
from vigil.kernel import clock
from vigil.periodic import beats, gauges, runs
from vigil.periodic.models import PeriodicRun
from vigil.periodic.tasks import come_round

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
EVERY = timedelta(seconds=15)


def test_a_slot_runs_once() -> None:
    ran: list[int] = []
    answers = [
        runs.once(job="sweep", interval=EVERY, at=AT + timedelta(seconds=s), run=lambda: ran.append(1)) for s in (0, 3)
    ]
    assert answers == [True, False]
    assert ran == [1]


def test_the_next_slot_runs_again() -> None:
    assert runs.once(job="sweep", interval=EVERY, at=AT, run=lambda: None)
    assert runs.once(job="sweep", interval=EVERY, at=AT + EVERY, run=lambda: None)


def test_jobs_do_not_share_slots() -> None:
    assert runs.once(job="sweep", interval=EVERY, at=AT, run=lambda: None)
    assert runs.once(job="prune", interval=EVERY, at=AT, run=lambda: None)


def test_a_failure_is_kept_and_raised() -> None:
    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        runs.once(job="sweep", interval=EVERY, at=AT, run=fail)
    assert PeriodicRun.objects.get().error == "ValueError: broken"


def test_old_slots_are_dropped() -> None:
    runs.once(job="sweep", interval=EVERY, at=AT, run=lambda: None)
    assert runs.prune(before=AT + timedelta(days=1)) == 1


def test_only_recent_beats_count_as_alive() -> None:
    beats.beat(name="worker@a", role="worker", at=AT, hostname="a", pid=1)
    assert [b.name for b in beats.alive("worker", at=AT + timedelta(seconds=30), within=timedelta(minutes=1))]
    assert not beats.alive("worker", at=AT + timedelta(minutes=2), within=timedelta(minutes=1))


def test_a_worker_that_lives_may_take_up_no_work() -> None:
    minute = timedelta(minutes=1)
    beats.beat(name="worker@a", role="worker", at=AT, hostname="a", pid=1)
    assert not beats.consuming("worker", at=AT, within=minute)
    come_round(worker="worker@a")
    at = clock.now()
    assert [b.name for b in beats.consuming("worker", at=at, within=minute)] == ["worker@a"]
    assert not beats.consuming("worker", at=at + 2 * minute, within=minute)


def test_health_and_metrics_tell_who_lives_and_takes_up_no_work() -> None:
    now = clock.now()
    for name in ("worker@a", "worker@b"):
        beats.beat(name=name, role="worker", at=now, hostname="a", pid=1)
    come_round(worker="worker@a")

    told = builtin.workers()
    assert (told.state, told.detail) == ("degraded", "alive, but took up no work in the last minute: worker@b")
    counted = {sample.name: sample.value for metric in gauges.read() for sample in metric.samples if _of(sample)}
    assert counted == {"vigil_worker_up": 2, "vigil_worker_consuming": 1}

    come_round(worker="worker@b")
    assert builtin.workers().state == "ok"


def _of(sample: Sample) -> bool:
    return sample.labels["role"] == "worker"


def test_other_machines_are_seen() -> None:
    beats.beat(name="worker@b", role="worker", at=AT, hostname="b", pid=1)
    assert beats.other_hosts(hostname="a", at=AT, within=timedelta(minutes=1)) == ["b"]


@pytest.mark.parametrize(("holder", "stale"), [("web:8", 0), ("web:7", 1)])
def test_a_gauge_tells_that_beat_missed_its_turns(holder: str, stale: int) -> None:
    schedule.ensure()
    now = clock.now()
    beats.beat(name="dispatcher@web:7", role="dispatcher", at=now, hostname="web", pid=7)
    runs.once(job="policies.sweep", interval=timedelta(seconds=15), at=now, run=lambda: None, holder=holder)
    [told] = gauges.read_beat()
    assert [(sample.name, sample.value) for sample in told.samples] == [("vigil_beat_stale", stale)]
