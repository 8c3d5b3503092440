"""What beat and the dispatcher ask of this app."""

from datetime import timedelta

from celery import shared_task

from metrics import retention
from vigil.kernel import clock
from vigil.periodic import runs

PRUNE_EVERY = timedelta(minutes=1)
"""Often and little: a call drops at most half a million samples, so some 8,000 a second may come in for ever."""


@shared_task(name="metrics.prune")
def prune(**_: object) -> None:
    """Drop what is older than the retention, once per slot whoever asks."""
    at = clock.now()
    runs.once(job="metrics.prune", interval=PRUNE_EVERY, at=at, run=lambda: retention.prune(at=at))
