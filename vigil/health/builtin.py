"""Checks of what every part stands on."""

from datetime import datetime, timedelta

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from vigil.health import checks
from vigil.health.checks import Report
from vigil.kernel import clock
from vigil.periodic import beats, punctuality

ALIVE_WITHIN = timedelta(seconds=60)


def database() -> Report:
    """Answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Report(state="failed", detail="does not answer", hint="Is it running, and is DATABASE_URL right?")
    return Report(state="ok", detail=connection.vendor)


def migrations() -> Report:
    """Has every migration."""
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        return Report(state="failed", detail=f"{len(pending)} to apply", hint="Run `manage.py migrate`.")
    return Report(state="ok", detail=f"all applied on {DEFAULT_DB_ALIAS}")


def queue() -> Report:
    """Redis answers. Without it actions still run, found by the dispatcher."""
    client = redis.Redis.from_url(settings.VIGIL_REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        client.ping()
        waiting = sum(int(client.llen(name)) for name in ("vigil.actions", "vigil.chores"))
    except (redis.RedisError, OSError):
        return Report(
            state="degraded",
            detail="Redis does not answer; the dispatcher runs actions meanwhile",
            hint="Is it running, and is REDIS_URL right?",
        )
    finally:
        client.close()
    return Report(state="ok", detail=f"{waiting} hints waiting")


def workers() -> Report:
    """A worker for actions beat within the last minute, and takes up work."""
    told = _alive(
        "worker", what="worker", hint="Start one: celery -A vigil worker -Q vigil.actions (docs/operating.md)."
    )
    return _of_those("worker", told)


def chores() -> Report:
    """The same of the workers for chores."""
    told = _alive("chores", what="worker", hint="Start one: celery -A vigil worker -Q vigil.chores -n chores@%h.")
    return _of_those("chores", told)


def dispatcher() -> Report:
    """A dispatcher beat within the last minute."""
    return _alive("dispatcher", what="dispatcher", hint="Start one: manage.py dispatcher.")


def beat(*, at: datetime | None = None) -> Report:
    """celery beat keeps the schedule."""
    told = punctuality.look(at=at or clock.now())
    jobs = " and ".join(told.jobs)
    if told.off:
        hint = "Enable them if that was not meant."
        return Report(state="degraded", detail=f"switched off in the console: {', '.join(told.off)}", hint=hint)
    if told.state == "unscheduled":
        return Report(
            state="failed", detail="the schedule is empty", hint="Run manage.py seed (manage.py up does it at start)."
        )
    if told.state == "nobody":
        return Report(
            state="degraded", detail=f"nobody ran {jobs} lately", hint="Start celery beat, a worker and a dispatcher."
        )
    if told.state == "overdue":
        return Report(
            state="degraded",
            detail=f"it missed its turns; the dispatcher runs {jobs} meanwhile",
            hint="Start it: celery -A vigil beat, and a worker for the queue vigil.chores.",
        )
    return Report(state="ok", detail=f"{jobs} ran on time")


def _alive(role: str, *, what: str, hint: str) -> Report:
    found = beats.alive(role, at=clock.now(), within=ALIVE_WITHIN)
    if not found:
        return Report(state="degraded", detail=f"no {what} was seen in the last minute", hint=hint)
    return Report(state="ok", detail=f"{len(found)} alive")


def _of_those(role: str, told: Report) -> Report:
    """Who lives and takes up no work is told apart: its process looks well, and nothing gets done."""
    if told.state != "ok":
        return told
    at = clock.now()
    alive, consuming = (
        {beat.name for beat in ask(role, at=at, within=ALIVE_WITHIN)} for ask in (beats.alive, beats.consuming)
    )
    deaf = sorted(alive - consuming)
    if not deaf:
        return told
    return Report(
        state="degraded",
        detail=f"alive, but took up no work in the last minute: {', '.join(deaf)}",
        hint="Is the broker away? Else it ends within VIGIL_WATCHDOG_SECONDS: whoever started it must start it again.",
    )


def register() -> None:
    """Put these checks behind /ready and `doctor`."""
    checks.register("database", database, readiness=True)
    checks.register("migrations", migrations, readiness=True)
    checks.register("queue", queue, readiness=False)
    checks.register("workers", workers, readiness=False)
    checks.register("chores", chores, readiness=False)
    checks.register("dispatcher", dispatcher, readiness=False)
    checks.register("beat", beat, readiness=False)
