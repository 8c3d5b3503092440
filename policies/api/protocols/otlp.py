"""POST /ingest/otlp/v1/metrics: OpenTelemetry's own protocol over HTTP."""

from datetime import datetime

import msgspec
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import otlp, protobuf
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.answers import ingest as answers
from policies.api.protocols import base
from policies.api.protocols.base import Answer, ProtocolView
from policies.intake import Accepted
from vigil.http import exceptions, parameters, schema
from vigil.kernel.errors import VigilError, summary

TAKEN = frozenset({otlp.JSON, otlp.PROTOBUF})
LONGEST_MESSAGE = 1_000
_INVALID_ARGUMENT = 3
"""Of gRPC's codes, which OTLP's refusals carry."""


@extend_schema_view(
    post=extend_schema(
        summary="OTLP/HTTP metrics, as JSON or protobuf",
        description="Decode, store, judge, answer: in the format of the request, refusals included.",
        request={
            otlp.PROTOBUF: OpenApiTypes.BINARY,
            otlp.JSON: schema.foreign("object", "An ExportMetricsServiceRequest."),
        },
        parameters=[parameters.IDEMPOTENCY_KEY],
        responses={
            (200, otlp.JSON): schema.of(answers.OtlpTaken),
            (200, otlp.PROTOBUF): OpenApiResponse(OpenApiTypes.BINARY, "An ExportMetricsServiceResponse."),
            ("default", otlp.JSON): schema.of(answers.OtlpRefusal),
            ("default", otlp.PROTOBUF): OpenApiResponse(OpenApiTypes.BINARY, "A Status of gRPC."),
            409: {},
        },
    )
)
class OtlpView(ProtocolView):
    """OpenTelemetry's SDKs and collectors as a source of readings."""

    protocol = "otlp"
    nothing_stored_status = 400

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        media = base.media_type(request, TAKEN)
        return otlp.decode(
            self.plain(request, body), content_type=media, span=taking.span(at), max_items=settings.VIGIL_BATCH_MAX
        )

    def answer(self, decoded: Decoded, accepted: Accepted) -> Answer:
        if not decoded.rejected:
            return Answer(status=200, content=b"" if self._speaks_protobuf(self.request) else b"{}")
        count = len({item.index for item in decoded.rejected})
        said = f"Not stored: {summary(taking.errors(decoded.rejected, single=False))}"[:LONGEST_MESSAGE]
        if self._speaks_protobuf(self.request):
            partial = protobuf.varint_field(1, count) + protobuf.field(2, said.encode())
            return Answer(status=200, content=protobuf.field(1, partial))
        told = {"partialSuccess": {"rejectedDataPoints": str(count), "errorMessage": said}}
        return Answer(status=200, content=msgspec.json.encode(told))

    def answer_type(self, request: Request) -> str:
        return otlp.PROTOBUF if self._speaks_protobuf(request) else otlp.JSON

    def refusal(self, request: Request, refusal: VigilError) -> Answer | None:
        if not self._speaks_protobuf(request):
            # Vigil's own shape, and the field where a client looks for the sentence.
            told = {**exceptions.body(refusal), "message": refusal.detail}
            return Answer(status=refusal.status, content=msgspec.json.encode(told))
        status = protobuf.varint_field(1, _INVALID_ARGUMENT) + protobuf.field(2, refusal.detail.encode())
        return Answer(status=refusal.status, content=status)

    def _speaks_protobuf(self, request: Request) -> bool:
        return (request.content_type or "").split(";")[0].strip().lower() == otlp.PROTOBUF
