"""Whether celery beat keeps time: told by what comes of it, and by who ran the last slots of the quickest jobs.

The dispatcher runs what beat misses, so nothing stops when beat is gone, and nobody would notice. Who ran a slot is not
enough: beat's turn may lie so late in its slots that the dispatcher is always first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import F
from django_celery_beat.models import PeriodicTask

from vigil.periodic import beats
from vigil.periodic.models import PeriodicRun, WorkerBeat

SLOTS_MISSED = 3
"""So many turns in a row: of a busy worker for chores the dispatcher may take one or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Punctuality:
    """How beat stands."""

    state: Literal["on_time", "overdue", "nobody", "unscheduled"]
    """overdue: nothing came from beat, and dispatchers ran the last slots; nobody: no one did; unscheduled: no jobs."""
    jobs: tuple[str, ...] = ()
    """The quickest ones, by which it is told."""
    off: tuple[str, ...] = ()
    """Jobs that somebody switched off."""
    looked_back: timedelta = timedelta(0)

    @property
    def stale(self) -> bool:
        """Whether beat owes a slot."""
        return self.state in ("overdue", "nobody")


def look(*, at: datetime) -> Punctuality:
    """How beat stands at `at`: four small reads."""
    ours = PeriodicTask.objects.filter(name=F("task"), interval__isnull=False).select_related("interval")
    tasks = list(ours.order_by("name"))
    off = tuple(task.name for task in tasks if not task.enabled)
    kept = {task.name: _interval(task) for task in tasks if task.enabled}
    if not kept:
        return Punctuality(state="unscheduled", off=off)
    quickest = min(kept.values())
    jobs = tuple(name for name, interval in kept.items() if interval == quickest)
    back = SLOTS_MISSED * quickest
    lately = PeriodicRun.objects.filter(job__in=jobs, started_at__gt=at - back, started_at__lte=at)
    holders = set(lately.values_list("holder", flat=True))
    dispatchers = WorkerBeat.objects.filter(role="dispatcher").values_list("hostname", "pid")
    keeps_time = beats.alive("beat", at=at, within=back) or holders - {f"{host}:{pid}" for host, pid in dispatchers}
    state: Literal["on_time", "overdue", "nobody"] = "on_time" if keeps_time else "overdue" if holders else "nobody"
    return Punctuality(state=state, jobs=jobs, off=off, looked_back=back)


def _interval(task: PeriodicTask) -> timedelta:
    return timedelta(**{task.interval.period: task.interval.every})
