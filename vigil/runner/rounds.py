"""What the dispatcher does: a few steps, each on a line of its own, so that none can stop or delay another."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
import structlog
from django.conf import settings
from django.db import close_old_connections, connections
from django_celery_beat.models import PeriodicTask

from actions import execution, reaper
from policies import remedies
from vigil import schedule
from vigil.kernel import clock, context
from vigil.periodic import beats, runs
from vigil.periodic.worker_watch import EXIT_CODE
from vigil.schedule import Job
from vigil.telemetry import metrics

log = structlog.get_logger(__name__)

EVERY_SECONDS = 2.0
BEAT_EVERY_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
FALLBACK_LIMIT = 10
"""Actions that one round of the fallback takes on."""
HARD_SECONDS = 24.0
"""How long one of them may take: as in a worker, and less than the lease, so that a live process never loses one."""
WORKER_SILENT_AFTER = timedelta(seconds=15)
SLACK = timedelta(seconds=EVERY_SECONDS + 0.5)
"""A slot is taken over this long before its end at the latest, so that a round always falls in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do again and again."""

    name: str
    run: Callable[[datetime], object]
    every_seconds: float = EVERY_SECONDS


def steps(stop: threading.Event) -> tuple[Step, ...]:
    """Everything a dispatcher looks after, until `stop`."""
    return (
        Step(name="beat", run=_beat, every_seconds=BEAT_EVERY_SECONDS),
        Step(name="reap", run=lambda at: _tell(reaper.put_right(at=at))),
        Step(name="ask", run=lambda at: _tell(reaper.ask(at=at))),
        Step(name="verify", run=lambda at: remedies.verify_due(at=at)),
        Step(name="fallback", run=lambda at: _fallback(at, stop)),
        Step(name="schedule", run=_schedule),
    )


def run(stop: threading.Event, *, chosen: tuple[Step, ...] | None = None) -> None:
    """Do every step, each in a thread of its own, until `stop`; returns when all have finished what they were at."""
    threads = [
        threading.Thread(target=_keep_doing, args=(step, stop), name=f"dispatcher-{step.name}")
        for step in (chosen if chosen is not None else steps(stop))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def pause_after(*, failures: int, every_seconds: float) -> float:
    """How long to wait until the next try: doubled with each failure in a row, up to half a minute."""
    return min(every_seconds * 2.0 ** min(failures, 10), max(LONGEST_PAUSE_SECONDS, every_seconds))


def _keep_doing(step: Step, stop: threading.Event) -> None:
    failures = 0
    while not stop.is_set():
        failures = 0 if _done(step, failures=failures) else failures + 1
        stop.wait(pause_after(failures=failures, every_seconds=step.every_seconds))
    connections.close_all()


def _done(step: Step, *, failures: int) -> bool:
    """Do a step once; its error is logged and goes no further."""
    with context.bind(request_id=context.new_request_id()):
        close_old_connections()
        try:
            step.run(clock.now())
        except Exception as error:
            log.warning(
                "dispatcher.step.failed",
                step=step.name,
                in_a_row=failures + 1,
                error=f"{type(error).__name__}: {error}",
            )
            return False
        if failures:
            log.info("dispatcher.step.recovered", step=step.name, failures=failures)
        return True


def _beat(at: datetime) -> None:
    host, pid = socket.gethostname(), os.getpid()
    beats.beat(name=f"dispatcher@{host}:{pid}", role="dispatcher", at=at, hostname=host, pid=pid)


def _tell(done: Mapping[str, int]) -> None:
    for what, count in done.items():
        if count:
            metrics.dispatcher_reaped_total.labels(what=what).inc(count)
            log.info("dispatcher.reap.done", what=what, count=count)


def _fallback(at: datetime, stop: threading.Event) -> None:
    """Run due actions here, when hints reach nobody: Redis does not answer, or no worker takes up work."""
    why = _why_hints_do_not_work(at)
    if not why:
        return
    worker = f"dispatcher@{socket.gethostname()}:{os.getpid()}"
    count = execution.run_due(limit=FALLBACK_LIMIT, worker=worker, stopping=stop.is_set, watched=_watched)
    if count:
        log.warning("dispatcher.fallback.ran", count=count, reason=why)


@contextmanager
def _watched(action_id: int) -> Iterator[None]:
    """End the process, which is started again, when a remediator's code does not come back: nobody else can end it."""
    timer = threading.Timer(HARD_SECONDS, _give_up, (action_id,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(action_id: int) -> None:
    log.critical(
        "dispatcher.fallback.stuck",
        action_id=action_id,
        reason=f"the remediator's code did not come back within {HARD_SECONDS:g} s, so this process ends",
    )
    os._exit(EXIT_CODE)


def _why_hints_do_not_work(at: datetime) -> str:
    client = redis.Redis.from_url(settings.VIGIL_REDIS_URL, socket_connect_timeout=1, socket_timeout=1)
    try:
        client.ping()
    except (redis.RedisError, OSError) as error:
        return f"Redis does not answer ({type(error).__name__})"
    finally:
        client.close()
    if not beats.consuming("worker", at=at, within=WORKER_SILENT_AFTER):
        return f"no worker took up work in the last {WORKER_SILENT_AFTER.seconds} s"
    return ""


def _schedule(at: datetime) -> None:
    """Run the slots that beat has missed; what an administrator switched off stays off."""
    off = set(PeriodicTask.objects.filter(enabled=False).values_list("name", flat=True))
    for job in schedule.jobs():
        if job.name not in off and missed(job, at=at):
            log.info("dispatcher.schedule.took_over", job=job.name, reason="its slot is nearly over and nobody ran it")
            job.run()
            _mark(job, at=at)


def missed(job: Job, *, at: datetime) -> bool:
    """Whether the slot at `at` is nearly over and nobody has taken it."""
    slot = runs.slot_of(interval=job.interval, at=at)
    into = timedelta(seconds=at.timestamp() - slot * job.interval.total_seconds())
    return into >= min(job.interval * 0.8, job.interval - SLACK) and not runs.started(job=job.name, slot=slot)


def _mark(job: Job, *, at: datetime) -> None:
    """The job takes its slot itself; should it not have, it is taken now, or the next round would run it again."""
    runs.once(job=job.name, interval=job.interval, at=at, run=lambda: None)
