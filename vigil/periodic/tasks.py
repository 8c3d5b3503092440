"""Keeps the periodic tables small."""

from datetime import datetime, timedelta

from celery import shared_task

from vigil.kernel import clock
from vigil.periodic import beats, runs

EVERY = timedelta(hours=1)
KEEP_FOR = timedelta(days=2)


@shared_task(name="periodic.prune")
def prune(**_: object) -> None:
    """Drop slots and beats that are two days old."""
    at = clock.now()
    runs.once(job="periodic.prune", interval=EVERY, at=at, run=lambda: _prune_before(at - KEEP_FOR))


def _prune_before(before: datetime) -> None:
    while runs.prune(before=before):
        pass
    beats.prune(before=before)
