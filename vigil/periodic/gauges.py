"""Which long-running processes are alive, and whether beat keeps time, for /metrics."""

from collections.abc import Iterable
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily, Metric

from vigil.kernel import clock
from vigil.periodic import beats, punctuality
from vigil.telemetry import collectors

WORKERS = ("worker", "chores")
ROLES = (*WORKERS, "dispatcher")
ALIVE_WITHIN = timedelta(seconds=60)


def register() -> None:
    """Have /metrics tell it."""
    collectors.register("workers", read)
    collectors.register("beat", read_beat)


def read() -> Iterable[Metric]:
    """`vigil_worker_up{role}` and `vigil_worker_consuming{role}`: who lives, and who of the workers takes up work."""
    at = clock.now()
    up = GaugeMetricFamily("vigil_worker_up", "Processes that gave a sign of life in the last minute.", labels=["role"])
    for role in ROLES:
        up.add_metric([role], len(beats.alive(role, at=at, within=ALIVE_WITHIN)))
    yield up
    consuming = GaugeMetricFamily(
        "vigil_worker_consuming", "Workers that took up work in the last minute.", labels=["role"]
    )
    for role in WORKERS:
        consuming.add_metric([role], len(beats.consuming(role, at=at, within=ALIVE_WITHIN)))
    yield consuming


def read_beat() -> Iterable[Metric]:
    """`vigil_beat_stale`: whether beat owes a slot. Nothing is owed where nothing is scheduled."""
    stale = punctuality.look(at=clock.now()).stale
    yield GaugeMetricFamily("vigil_beat_stale", "1 when celery beat missed its last turns.", value=float(stale))
