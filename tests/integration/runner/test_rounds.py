import os
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django_celery_beat.models import PeriodicTask

from actions import execution
from actions.claims import LEASE
from tests.servers.processes import wait_until
from vigil import schedule
from vigil.periodic import beats, runs
from vigil.periodic.models import PeriodicRun
from vigil.runner import rounds
from vigil.runner.rounds import Step
from vigil.schedule import Job

SLOT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
JOB = Job(name="policies.sweep", task="policies.tasks.sweep", interval=timedelta(seconds=15))


@pytest.mark.parametrize(
    ("interval", "into", "is_missed"),
    [
        (15, 0, False),
        (15, 11, False),
        (15, 12.1, True),
        (15, 14.9, True),
        (5, 2, False),
        (5, 2.6, True),
        (1, 0.0, True),
    ],
)
@pytest.mark.django_db
def test_a_slot_is_missed_when_it_is_nearly_over_and_nobody_took_it(
    interval: int, into: float, is_missed: bool
) -> None:
    job = Job(name="a", task="b", interval=timedelta(seconds=interval))
    assert rounds.missed(job, at=SLOT + timedelta(seconds=into)) is is_missed


@pytest.mark.django_db
def test_a_slot_that_somebody_took_is_not_missed() -> None:
    assert runs.once(job=JOB.name, interval=JOB.interval, at=SLOT, run=lambda: None)
    assert not rounds.missed(JOB, at=SLOT + timedelta(seconds=14))


@pytest.mark.django_db
def test_a_missed_sweep_runs_once_however_often_the_round_comes() -> None:
    late = SLOT + timedelta(seconds=13)
    with time_machine.travel(late, tick=False):
        for _ in range(3):
            rounds._schedule(late)
    assert PeriodicRun.objects.filter(job="policies.sweep").count() == 1


@pytest.mark.django_db
def test_what_an_administrator_switched_off_stays_off() -> None:
    schedule.ensure()
    PeriodicTask.objects.filter(name="policies.sweep").update(enabled=False)
    rounds._schedule(SLOT + timedelta(seconds=13))
    assert not PeriodicRun.objects.filter(job="policies.sweep").exists()


@pytest.mark.django_db
def test_the_dispatcher_says_that_it_is_alive() -> None:
    rounds._beat(SLOT)
    assert [beat.role for beat in beats.alive("dispatcher", at=SLOT, within=timedelta(seconds=1))] == ["dispatcher"]


@pytest.mark.django_db
def test_hints_reach_nobody_when_redis_is_away(settings: Any) -> None:
    settings.VIGIL_REDIS_URL = "unix:///nowhere/valkey.sock"  # the shared broker may be up, for another test
    assert "Redis does not answer" in rounds._why_hints_do_not_work(SLOT)


@pytest.mark.django_db
@pytest.mark.parametrize(("answers", "seconds"), [("never", 1.8), ("refuses", 0.5)])
def test_a_broker_is_asked_once_a_round(settings: Any, answers: str, seconds: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.VIGIL_REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        if answers == "refuses":
            silent.close()
        began = time.monotonic()
        assert "Redis does not answer" in rounds._why_hints_do_not_work(SLOT)
        assert time.monotonic() - began < seconds


@pytest.mark.django_db
def test_hints_reach_nobody_when_no_worker_lives(broker: object) -> None:
    assert "no worker" in rounds._why_hints_do_not_work(SLOT)


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "works"), [(0, True), (14, True), (16, False)])
def test_hints_work_with_a_broker_and_a_worker_that_takes_up_work(broker: object, seconds: int, works: bool) -> None:
    beats.beat(name="worker@web", role="worker", at=SLOT, hostname="web", pid=7)
    assert "no worker" in rounds._why_hints_do_not_work(SLOT), "it lives, and has yet to show that messages reach it"
    beats.took_up(name="worker@web", at=SLOT - timedelta(seconds=seconds))
    assert (rounds._why_hints_do_not_work(SLOT) == "") is works


@pytest.mark.parametrize(("failures", "pause"), [(0, 2.0), (1, 4.0), (2, 8.0), (3, 16.0), (4, 30.0), (1000, 30.0)])
def test_a_step_that_fails_comes_less_and_less_often(failures: int, pause: float) -> None:
    assert rounds.pause_after(failures=failures, every_seconds=2.0) == pause


@pytest.mark.django_db(transaction=True)
def test_a_step_that_fails_or_hangs_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    stop, hang = threading.Event(), threading.Event()
    done: list[datetime] = []

    def fail(at: datetime) -> None:
        raise RuntimeError("out of order")

    chosen = (
        Step(name="fails", run=fail, every_seconds=0.01),
        Step(name="hangs", run=lambda at: hang.wait(30), every_seconds=0.01),
        Step(name="works", run=done.append, every_seconds=0.01),
    )

    def lines() -> list[dict[str, object]]:
        told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        return [line for line in told if line["event"] == "dispatcher.step.failed"]

    running = threading.Thread(target=rounds.run, args=(stop,), kwargs={"chosen": chosen})
    running.start()
    wait_until(lambda: len(done) >= 3, seconds=10, what="three rounds of the step that works")
    wait_until(lambda: len(lines()) >= 2, seconds=10, what="the failing step to be tried again")
    stop.set()
    hang.set()
    running.join(10)
    assert not running.is_alive()
    assert {line["step"] for line in lines()} == {"fails"}
    assert [line["in_a_row"] for line in lines()][:2] == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_a_stop_does_not_wait_for_the_next_round() -> None:
    stop = threading.Event()
    chosen = (Step(name="rare", run=lambda at: None, every_seconds=60),)
    running = threading.Thread(target=rounds.run, args=(stop,), kwargs={"chosen": chosen})
    running.start()
    time.sleep(0.2)
    stop.set()
    running.join(5)
    assert not running.is_alive()


def test_an_action_that_never_ends_ends_the_dispatcher_before_its_lease_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the hard time limit does in a worker; one that ends in time is left alone."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(rounds, "HARD_SECONDS", 0.05)
    with rounds._watched(1):
        pass
    time.sleep(0.1)
    assert ended == []
    with rounds._watched(2):
        wait_until(lambda: ended == [75], seconds=5, what="the process ends")


def test_the_fallback_watches_what_it_runs(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    told: dict[str, object] = {}
    monkeypatch.setattr(rounds, "_why_hints_do_not_work", lambda at: "nobody works")
    monkeypatch.setattr(execution, "run_due", lambda **how: told.update(how) or 0)
    rounds._fallback(SLOT, threading.Event())
    assert told["watched"] is rounds._watched
    assert settings.CELERY_TASK_TIME_LIMIT == rounds.HARD_SECONDS
    assert timedelta(seconds=rounds.HARD_SECONDS) < LEASE
