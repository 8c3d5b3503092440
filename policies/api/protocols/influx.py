"""POST /ingest/influx/write and /ingest/influx/api/v2/write: line protocol, from Telegraf and many others."""

from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import influx
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.answers import ingest as answers
from policies.api.protocols import base
from policies.api.protocols.base import Answer, ProtocolView
from policies.intake import Accepted
from vigil.http import exceptions, parameters, query, schema
from vigil.kernel.errors import VigilError, summary

TAKEN = frozenset({"text/plain", "application/octet-stream", "application/x-www-form-urlencoded", ""})
"""Line protocol has no content type of its own; the third is what curl says of any body."""
# A database, a bucket and so on: Vigil has one store.
_OF_ONE = ("db", "rp", "consistency")
_OF_TWO = ("org", "orgID", "bucket")


def _described(summary: str, *passed_over: str) -> Any:
    return extend_schema_view(
        post=extend_schema(
            summary=summary,
            description="A line that cannot be stored is told with 400 (partial write), and the others are stored.",
            request={"text/plain": {"type": "string"}},
            parameters=[
                parameters.choice("precision", influx.PRECISIONS, "Of timestamps.", default="ns"),
                *map(parameters.passed_over, passed_over),
                parameters.IDEMPOTENCY_KEY,
            ],
            responses={204: OpenApiResponse(description="Stored.")}
            | schema.answers({"default": answers.InfluxRefusal}, 409),
        )
    )


@_described("InfluxDB line protocol", *_OF_ONE)
class InfluxView(ProtocolView):
    """As InfluxDB 1 has it."""

    key_schemes = frozenset({"bearer", "token"})
    """Clients of InfluxDB 2 say `Authorization: Token <api key>`."""
    protocol = "influx"
    parameters = frozenset({"precision", *_OF_ONE})
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


@_described("InfluxDB line protocol, as clients of InfluxDB 2 write it", *_OF_TWO)
class InfluxTwoView(InfluxView):
    """As InfluxDB 2 has it."""

    parameters = frozenset({"precision", *_OF_TWO})


def _told(refusal: VigilError, said: str) -> Answer:
    """Vigil's own shape, and the sentence where clients of InfluxDB 1 (`error`) and 2 (`message`) look for it."""
    told = {**exceptions.body(refusal), "error": said, "message": said}
    return Answer(status=refusal.status, content=msgspec.json.encode(told))
