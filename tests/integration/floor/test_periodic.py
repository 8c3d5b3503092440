"""Each slot of a job runs once, whoever starts it."""

from datetime import UTC, datetime, timedelta

import pytest

from vigil.periodic import beats, runs
from vigil.periodic.models import PeriodicRun

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


def test_other_machines_are_seen() -> None:
    beats.beat(name="worker@b", role="worker", at=AT, hostname="b", pid=1)
    assert beats.other_hosts(hostname="a", at=AT, within=timedelta(minutes=1)) == ["b"]
