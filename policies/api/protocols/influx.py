"""POST /ingest/influx/write and /ingest/influx/api/v2/write: line protocol, from Telegraf and many others."""

from datetime import datetime

import msgspec
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import influx
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.protocols import base
from policies.api.protocols.base import Answer, ProtocolView
from policies.intake import Accepted
from vigil.http import exceptions, query
from vigil.kernel.errors import VigilError, summary

TAKEN = frozenset({"text/plain", "application/octet-stream", "application/x-www-form-urlencoded", ""})
"""Line protocol has no content type of its own; the third is what curl says of any body."""


@extend_schema_view(
    post=extend_schema(
        summary="InfluxDB line protocol",
        description="A line that cannot be stored is told with 400 (partial write), and the others are stored.",
        request={"text/plain": OpenApiTypes.STR},
        parameters=[OpenApiParameter("precision", OpenApiTypes.STR, description="Of timestamps; ns when left out.")],
        responses={204: OpenApiResponse(description="Stored.")},
    )
)
class InfluxView(ProtocolView):
    """As InfluxDB 1 has it."""

    key_schemes = frozenset({"bearer", "token"})
    """Clients of InfluxDB 2 say `Authorization: Token <api key>`."""
    protocol = "influx"
    # A database, a bucket and so on: Vigil has one store.
    parameters = frozenset({"precision", "db", "rp", "consistency"})
    nothing_stored_status = 400

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        base.media_type(request, TAKEN)
        precision = query.choice(request, "precision", influx.PRECISIONS.keys(), default="ns")
        return influx.decode(
            self.plain(request, body), precision=precision, span=taking.span(at), max_items=settings.VIGIL_BATCH_MAX
        )

    def answer(self, decoded: Decoded, accepted: Accepted) -> Answer:
        if not decoded.rejected:
            return Answer(status=204)
        errors = taking.errors(decoded.rejected, single=False)
        dropped = len(decoded.rejected)
        said = f"partial write: {summary(errors)} dropped={dropped}"
        return _told(VigilError(said, code="partial", errors=errors), said)

    def refusal(self, request: Request, refusal: VigilError) -> Answer | None:
        # Clients know by these words that sending the same again is of no use.
        return _told(refusal, f"unable to parse: {refusal.detail}" if refusal.status == 400 else refusal.detail)


class InfluxTwoView(InfluxView):
    """As InfluxDB 2 has it."""

    parameters = frozenset({"precision", "org", "orgID", "bucket"})


def _told(refusal: VigilError, said: str) -> Answer:
    """Vigil's own shape, and the sentence where clients of InfluxDB 1 (`error`) and 2 (`message`) look for it."""
    told = {**exceptions.body(refusal), "error": said, "message": said}
    return Answer(status=refusal.status, content=msgspec.json.encode(told))
