"""What a scrape tells about the stored metrics."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from metrics import queries
from vigil.telemetry import collectors


def register() -> None:
    """Let every scrape read it."""
    collectors.register("metrics", _state)


def _state() -> Iterable[Metric]:
    yield GaugeMetricFamily("vigil_series", "Series there are, of all targets.", value=queries.series_total())
