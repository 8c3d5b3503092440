"""The WSGI entry that granian serves."""

import gc
import os
from io import BytesIO
from typing import Any

from django.core.wsgi import get_wsgi_application

from vigil.http import bodies
from vigil.kernel import patience

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vigil.settings")

_django = get_wsgi_application()

from policies import sharing  # noqa: E402  models are there now
from policies.api import express  # noqa: E402

sharing.begin()
_vigil = express.lane(_django, express.Board())

INGEST = "/api/v1/ingest"
INGEST_PATIENCE = 2.5
"""Seconds that an ingest request waits for the database in all: a 503 within 3 s lets its sender keep what it has."""
PATIENCE = 8.0
"""The same for any other: a little longer than the database itself lets a statement run."""


# What is there by now stays: a collector that goes through all of it again and again took a tenth of the time of a
# batch, whose thousands of short-lived objects made it begin anew each time.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)


def application(request: dict[str, Any], start_response: Any) -> Any:
    """Django reads as much as Content-Length says, so a body in chunks, which has none, would be empty to it."""
    stream = bodies.Input(request["wsgi.input"])
    request["wsgi.input"] = stream
    if request.get("wsgi.input_terminated") and "chunked" in request.get("HTTP_TRANSFER_ENCODING", "").lower():
        try:
            body = bodies.whole(stream)
        except bodies.Crowded:
            start_response("503 Service Unavailable", [("Retry-After", str(bodies.RETRY_AFTER_SECONDS))])
            return []
        request |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    with patience.within(INGEST_PATIENCE if request["PATH_INFO"].startswith(INGEST) else PATIENCE):
        return _vigil(request, start_response)
