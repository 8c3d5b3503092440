"""POST /ingest/prometheus: remote write 1.0 and 2.0."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import remote_write
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.protocols.base import Answer, ProtocolView
from policies.intake import Accepted
from vigil.http import exceptions, parameters, schema
from vigil.kernel.errors import VigilError, summary

WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


@extend_schema_view(
    post=extend_schema(
        summary="Prometheus remote write 1.0 and 2.0",
        description="A snappy block. What cannot be stored is told with 400, and the rest of the request is stored.",
        request={remote_write.CONTENT_TYPE: OpenApiTypes.BINARY},
        parameters=[parameters.IDEMPOTENCY_KEY],
        responses={204: OpenApiResponse(description="Stored. The head says how many samples were written.")}
        | schema.answers({}, 409),
    )
)
class PrometheusView(ProtocolView):
    """A Prometheus, or whatever else speaks its remote write, as a source of readings."""

    protocol = "prometheus"
    nothing_stored_status = 400

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        form = remote_write.version(
            content_type=request.content_type or "", encoding=request.headers.get("Content-Encoding", "")
        )
        return remote_write.decode(
            body,
            form=form,
            span=taking.span(at),
            max_items=settings.VIGIL_BATCH_MAX,
            max_bytes=settings.VIGIL_UNPACKED_MAX_BYTES,
        )

    def answer(self, decoded: Decoded, accepted: Accepted) -> Answer:
        if not decoded.rejected:
            return Answer(status=204)
        errors = taking.errors(decoded.rejected, single=False)
        refusal = VigilError(
            f"{len(decoded.rejected)} samples were not stored: {summary(errors)}", code="partial", errors=errors
        )
        return Answer(status=400, content=msgspec.json.encode(exceptions.body(refusal)))

    def answer_headers(self, decoded: Decoded) -> Mapping[str, str]:
        # Skipped samples count as written: they were understood, and there is nothing to send again.
        written = len(decoded.items) + decoded.skipped
        return {
            WRITTEN.format("Samples"): str(written),
            WRITTEN.format("Histograms"): "0",
            WRITTEN.format("Exemplars"): "0",
        }
