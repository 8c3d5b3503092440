"""POST /ingest/cloudevents: events of any system that speaks CloudEvents 1.0."""

from datetime import datetime

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import cloudevents
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.answers import ingest as answers
from policies.api.protocols import base
from policies.api.protocols.base import ProtocolView
from vigil.http import parameters, schema


@extend_schema_view(
    post=extend_schema(
        summary="CloudEvents 1.0: structured, binary, or a batch",
        description="Binary: the attributes are headers (ce-id, ce-source, ce-type, ce-specversion), the body is data.",
        request={
            cloudevents.STRUCTURED: schema.foreign("object", "An event."),
            cloudevents.BATCH: schema.foreign("array", "Events."),
            base.JSON: {"description": "The data of an event whose attributes are headers; any other type will do."},
        },
        parameters=[parameters.IDEMPOTENCY_KEY],
        responses=schema.answers({201: answers.Taken}, 409),
    )
)
class CloudEventsView(ProtocolView):
    """A source of events."""

    protocol = "cloudevents"

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        headers = {name.lower(): value for name, value in request.headers.items()}
        sent_as = cloudevents.mode(request.content_type or "", headers)
        if sent_as is None:
            raise base.unsupported(
                f"Send Content-Type: {cloudevents.STRUCTURED} or {cloudevents.BATCH}, or an event's attributes as "
                "headers that begin with ce-."
            )
        return cloudevents.decode(
            self.plain(request, body),
            sent_as=sent_as,
            headers=headers,
            span=taking.span(at),
            max_items=settings.VIGIL_BATCH_MAX,
        )
