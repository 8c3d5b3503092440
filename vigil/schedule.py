"""The periodic work the code owns: in celery-beat's tables, and run by the dispatcher where beat missed a slot."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from vigil.kernel import plugins


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One periodic task. Each slot of `interval` runs once, whoever starts it (`vigil.periodic.runs`)."""

    name: str
    """The Celery task's name, and the job's name in `PeriodicRun`."""
    task: str
    """Dotted path of the task."""
    interval: timedelta

    def run(self) -> None:
        """Run the task here, in this process."""
        cast(Callable[[], object], plugins.load(self.task))()


def jobs() -> tuple[Job, ...]:
    """Everything that runs by the clock."""
    return (
        Job(
            name="policies.sweep",
            task="policies.tasks.sweep",
            interval=timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS),
        ),
        Job(name="metrics.roll_up", task="metrics.tasks.roll_up", interval=timedelta(seconds=15)),
        Job(name="metrics.prune", task="metrics.tasks.prune", interval=timedelta(minutes=1)),
        Job(name="actions.prune", task="actions.tasks.prune", interval=timedelta(hours=1)),
        Job(name="periodic.prune", task="vigil.periodic.tasks.prune", interval=timedelta(hours=1)),
    )


def ensure() -> None:
    """Upsert the jobs into celery-beat. What an administrator disabled stays disabled."""
    with transaction.atomic():
        for job in jobs():
            seconds = int(job.interval.total_seconds())
            every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
            PeriodicTask.objects.update_or_create(
                name=job.name,
                defaults={
                    "task": job.name,
                    "interval": every,
                    "crontab": None,
                    "kwargs": json.dumps({}),
                    "queue": "vigil.chores",
                    "expire_seconds": max(1, seconds - 1),
                },
            )
