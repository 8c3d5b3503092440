"""One /metrics for the web and every worker process of this machine."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    multiprocess,
    start_http_server,
)

from vigil.telemetry.collectors import StateCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render() -> bytes:
    """The exposition text: instruments of all processes, and state read now."""
    registry = CollectorRegistry()
    registry.register(StateCollector())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY) + generate_latest(registry)


def serve(*, port: int) -> None:
    """Serve this machine's instruments on a port of their own, without the state that the web tells."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        start_http_server(port)
        return
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    start_http_server(port, registry=registry)
