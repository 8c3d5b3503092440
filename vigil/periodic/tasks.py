"""Keeps the periodic tables small."""

from datetime import datetime, timedelta

import structlog
from celery import shared_task
from django.db import Error

from vigil.kernel import clock
from vigil.periodic import beats, runs

log = structlog.get_logger(__name__)

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


@shared_task(name="periodic.come_round", ignore_result=True)
def come_round(*, worker: str, **_: object) -> None:
    """A worker's message to itself has come round through broker and pool: note it for those who look."""
    try:
        beats.took_up(name=worker, at=clock.now())
    except Error as error:  # the next one is due in a few seconds
        log.warning("periodic.beat.failed", worker=worker, error=str(error))
