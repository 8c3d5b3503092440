"""POST /ingest: hand the bytes to the decoder, make one call to `intake.accept`, answer."""

from datetime import datetime, timedelta

import msgspec
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from metrics import ingest
from metrics.formats import native, wire
from metrics.formats.reading import Decoded
from policies import intake
from policies.api import shapes, taking
from policies.api.answers import ingest as answers
from policies.intake import Accepted
from vigil.access import scopes
from vigil.access.principal import Principal
from vigil.http import parameters, query, schema, views
from vigil.http.views import ApiView
from vigil.kernel.errors import summary

_YES_OR_NO = ("true", "false")


class IngestView(ApiView):
    """Readings in; what Vigil saw in them and does about it, out."""

    required_scopes = {"POST": scopes.INGEST}
    requests_per_minute = "VIGIL_INGEST_REQUESTS_PER_MINUTE"

    @extend_schema(
        summary="Store metrics or events and evaluate policies at once",
        request=schema.body(wire.Line, list[wire.Line], wire.Wrapper)
        | {"application/x-ndjson": {"type": "string", "description": "A `Line` of JSON for each reading."}},
        parameters=[
            parameters.choice("atomic", _YES_OR_NO, "All or nothing.", default="false"),
            parameters.IDEMPOTENCY_KEY,
        ],
        responses=schema.answers({201: (answers.Stored, answers.BatchStored)}, 409),
        examples=[
            OpenApiExample(
                "one metric",
                value={"name": "cpu_usage", "value": 87.5, "tags": {"host": "web-01"}},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        at, caller = self.at(request), self.caller(request)
        query.only(request, {"atomic"})
        atomic = query.choice(request, "atomic", _YES_OR_NO, default="false") == "true"
        views.refuse_encoding(request)
        body = self.raw_body(request)
        receipt = taking.receipt(request, body, caller)
        if receipt is not None:
            replay = ingest.replayed(key=receipt.key, digest=receipt.digest, actor=receipt.actor, at=at)
            if replay is not None:
                return taking.as_json(replay.content, status=replay.status)
        decoded = decode(body, request.content_type or "", at)
        _refuse(decoded, atomic=atomic, caller=caller, at=at)
        accepted = intake.accept(
            readings=[item for _, item in decoded.items], at=at, actor=caller.actor, source="api", receipt=receipt
        )
        taking.count(decoded)
        content = msgspec.json.encode(answer(decoded, accepted))
        if receipt is not None:
            ingest.remember(
                key=receipt.key, digest=receipt.digest, actor=receipt.actor, status=201, content=content, at=at
            )
        return taking.as_json(content, status=201)


def decode(body: bytes, content_type: str, at: datetime) -> Decoded:
    """The readings of a body received at `at`; Unreadable when it is unusable as a whole."""
    return native.decode(
        body,
        content_type=content_type,
        received_at=at,
        max_items=settings.VIGIL_BATCH_MAX,
        retention=timedelta(days=settings.VIGIL_RETENTION_DAYS),
        future_tolerance=timedelta(seconds=settings.VIGIL_FUTURE_TOLERANCE_SECONDS),
    )


def _refuse(decoded: Decoded, *, atomic: bool, caller: Principal, at: datetime) -> None:
    """Refuse the whole request where nothing of it may be stored."""
    if decoded.rejected and (atomic or not decoded.items):
        taking.count_rejected(decoded.rejected)
        errors = taking.errors(decoded.rejected, single=decoded.single)
        raise taking.UnableToIngest(f"Nothing was stored: {summary(errors)}", errors=errors)
    if caller.targets:
        taking.refuse_foreign(decoded.items, caller, at)


def answer(decoded: Decoded, accepted: Accepted) -> shapes.Json:
    """What the sender is told."""
    concluded = taking.concluded(accepted)
    if decoded.single:
        return {"ok": True, **_identity(accepted), "status": "stored", **concluded}
    return {"ok": True, "stored": len(decoded.items), "rejected": taking.told(decoded.rejected), **concluded}


def _identity(accepted: Accepted) -> shapes.Json:
    stored = accepted.stored
    return {"metric_id": stored.samples[0].id} if stored.samples else {"event_id": stored.events[0].id}
