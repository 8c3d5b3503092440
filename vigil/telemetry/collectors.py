"""State gauges, read from the database when Prometheus asks, so that every process tells the same."""

from collections.abc import Callable, Iterable

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

type Read = Callable[[], Iterable[Metric]]

_reads: dict[str, Read] = {}


def register(name: str, fn: Read) -> None:
    """Add a reader of state; call it from `AppConfig.ready`."""
    _reads[name] = fn


class StateCollector(Collector):
    """Asks every registered reader; one that fails says so in `vigil_collector_failed` and hides no other."""

    def collect(self) -> Iterable[Metric]:
        failed = GaugeMetricFamily("vigil_collector_failed", "1 when a state could not be read.", labels=["collector"])
        for name, read in sorted(_reads.items()):
            try:
                yield from list(read())
                failed.add_metric([name], 0)
            except Exception as error:  # one that fails must not hide the others, whatever went wrong in it
                log.warning("telemetry.collector.failed", collector=name, error=f"{type(error).__name__}: {error}")
                failed.add_metric([name], 1)
        yield failed
