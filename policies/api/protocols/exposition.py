"""POST /ingest/exposition: the text that Prometheus scrapes, pushed by whoever cannot be scraped."""

from datetime import datetime

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import exposition
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.answers import ingest as answers
from policies.api.protocols import base
from policies.api.protocols.base import ProtocolView
from vigil.http import parameters, query, schema

TAKEN = frozenset({exposition.TEXT, exposition.OPENMETRICS, "application/x-www-form-urlencoded"})
"""The last is what curl says of any body."""
TAGS = ("target", "service", "host", "instance", "job")


@extend_schema_view(
    post=extend_schema(
        summary="Prometheus text format and OpenMetrics",
        request={exposition.TEXT: {"type": "string"}, exposition.OPENMETRICS: {"type": "string"}},
        parameters=[
            *(parameters.text(tag, "A tag for samples that have none of that name.") for tag in TAGS),
            parameters.IDEMPOTENCY_KEY,
        ],
        responses=schema.answers({201: answers.Taken}, 409),
    )
)
class ExpositionView(ProtocolView):
    """A cron job and curl as a source of readings."""

    protocol = "exposition"
    parameters = frozenset(TAGS)

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        media = base.media_type(request, TAKEN)
        return exposition.decode(
            self.plain(request, body),
            openmetrics=media == exposition.OPENMETRICS,
            tags={tag: value for tag in TAGS if (value := query.text(request, tag))},
            span=taking.span(at),
            max_items=settings.VIGIL_BATCH_MAX,
        )
