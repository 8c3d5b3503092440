"""Which long-running processes are alive, for /metrics."""

from collections.abc import Iterable
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily, Metric

from vigil.kernel import clock
from vigil.periodic import beats
from vigil.telemetry import collectors

ROLES = ("worker", "chores", "dispatcher")
ALIVE_WITHIN = timedelta(seconds=60)


def register() -> None:
    """Have /metrics tell it."""
    collectors.register("workers", read)


def read() -> Iterable[Metric]:
    """`vigil_worker_up{role}`: how many processes of each role beat within the last minute."""
    at = clock.now()
    up = GaugeMetricFamily("vigil_worker_up", "Processes that gave a sign of life in the last minute.", labels=["role"])
    for role in ROLES:
        up.add_metric([role], len(beats.alive(role, at=at, within=ALIVE_WITHIN)))
    yield up
