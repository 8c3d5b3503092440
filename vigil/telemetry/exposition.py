"""One /metrics for the web and every worker process of this machine."""

import os
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    make_wsgi_app,
    multiprocess,
)

from vigil.kernel import networks
from vigil.telemetry.collectors import StateCollector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render() -> bytes:
    """The exposition text: instruments of all processes, and state read now."""
    registry = CollectorRegistry()
    registry.register(StateCollector())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY) + generate_latest(registry)


def serve_if_asked() -> None:
    """Serve this machine's instruments on VIGIL_METRICS_PORT, without the state that the web tells; 0 serves none."""
    if settings.VIGIL_METRICS_PORT:
        serve(port=settings.VIGIL_METRICS_PORT)


def serve(*, port: int) -> WSGIServer:
    """Answer, in a thread of its own, to the networks in VIGIL_METRICS_ALLOW alone."""
    server = make_server("", port, _guarded(_instruments()), server_class=_Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="vigil-metrics", daemon=True).start()
    return server


def _instruments() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _guarded(registry: CollectorRegistry) -> "WSGIApplication":
    told: WSGIApplication = make_wsgi_app(registry)

    def answer(request: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if networks.within(request.get("REMOTE_ADDR", ""), settings.VIGIL_METRICS_ALLOW):
            return told(request, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"Metrics are for the networks in VIGIL_METRICS_ALLOW.\n"]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10
    """Seconds that a client may take for its request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """A scrape is no news, and standard error is for lines of JSON."""
