"""POST /ingest/checks: results of Nagios and Icinga checks."""

from datetime import datetime

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import checks
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.answers import ingest as answers
from policies.api.protocols import base
from policies.api.protocols.base import ProtocolView
from vigil.http import parameters, schema

TAKEN = frozenset({checks.JSON, checks.LINES})


@extend_schema_view(
    post=extend_schema(
        summary="Check results of Nagios and Icinga",
        request={
            checks.JSON: schema.foreign(["object", "array"], "A result, a list of them, or `checkresults`."),
            checks.LINES: {"type": "string", "description": "A result on each line, as `send_nsca` takes them."},
        },
        parameters=[parameters.IDEMPOTENCY_KEY],
        responses=schema.answers({201: answers.Taken}, 409),
        examples=[
            OpenApiExample(
                "one result",
                value={"host": "web-01", "service": "disk", "state": 2, "output": "DISK CRITICAL | /=95%;80;90"},
                request_only=True,
            )
        ],
    )
)
class ChecksView(ProtocolView):
    """A monitoring system that runs checks, as a source of readings."""

    protocol = "checks"

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        media = base.media_type(request, TAKEN)
        return checks.decode(
            self.plain(request, body),
            content_type=media,
            span=taking.span(at),
            max_items=settings.VIGIL_BATCH_MAX,
        )
