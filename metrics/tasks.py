"""What beat and the dispatcher ask of this app."""

from datetime import datetime, timedelta

from celery import shared_task
from django.conf import settings

from metrics import partitions, resolutions, retention, rollups
from vigil.kernel import clock
from vigil.periodic import runs

PRUNE_EVERY = timedelta(minutes=1)
"""Often and little: a call drops at most half a million samples, so some 8,000 a second may come in for ever."""

ROLL_UP_EVERY = timedelta(seconds=15)


@shared_task(name="metrics.prune")
def prune(**_: object) -> None:
    """Make the parts of tables that will be needed, and drop what is older than the retention; once per slot."""
    at = clock.now()
    runs.once(job="metrics.prune", interval=PRUNE_EVERY, at=at, run=lambda: tend(at))


def tend(at: datetime) -> None:
    """What `prune` does, whatever the slot."""
    kept_from = at - timedelta(days=settings.VIGIL_RETENTION_DAYS)
    partitions.ensure(partitions.SAMPLES, kept_from=kept_from, at=at)
    for one in resolutions.FINEST_FIRST:
        partitions.ensure(one.table, kept_from=at - one.kept_for, at=at)
    retention.prune(at=at)


@shared_task(name="metrics.roll_up")
def roll_up(**_: object) -> None:
    """Go on with the rollups, once per slot whoever asks."""
    at = clock.now()
    runs.once(job="metrics.roll_up", interval=ROLL_UP_EVERY, at=at, run=lambda: rollups.advance(at=at))
