"""POST /ingest: hand the bytes to the decoder, make one call to `intake.accept`, answer."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request

from metrics import ingest
from metrics.formats import native
from metrics.formats.reading import Decoded, EventReading, Reading, Rejected
from metrics.ingest import Receipt
from policies import book, concerns, intake
from policies.api import shapes
from policies.intake import Accepted
from vigil.access import bounds, scopes
from vigil.access.principal import Principal
from vigil.http import query, views
from vigil.http.views import ApiView
from vigil.kernel.errors import FieldError, VigilError, summary
from vigil.telemetry import metrics as telemetry

NAMED_ERRORS_MAX = 200
"""How many errors one refusal lists."""


class UnableToIngest(VigilError):
    """Nothing of the request was stored."""

    code = "invalid"
    status = 422


class IngestView(ApiView):
    """Readings in; what Vigil saw in them and does about it, out."""

    required_scopes = {"POST": scopes.INGEST}

    @extend_schema(
        summary="Store metrics or events and evaluate policies at once",
        request={"application/json": OpenApiTypes.OBJECT, "application/x-ndjson": OpenApiTypes.STR},
        parameters=[
            OpenApiParameter("atomic", OpenApiTypes.BOOL, description="All or nothing."),
            OpenApiParameter("Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER),
        ],
        responses={201: OpenApiTypes.OBJECT, 422: OpenApiTypes.OBJECT},
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
        atomic = query.choice(request, "atomic", {"true", "false"}, default="false") == "true"
        views.refuse_encoding(request)
        body = self.raw_body(request)
        receipt = _receipt(request, body, caller)
        if receipt is not None:
            replay = ingest.replayed(key=receipt.key, digest=receipt.digest, actor=receipt.actor, at=at)
            if replay is not None:
                return _json(replay.content, status=replay.status)
        decoded = _decode(body, request.content_type or "", at)
        _refuse(decoded, atomic=atomic, caller=caller, at=at)
        accepted = intake.accept(
            readings=[item for _, item in decoded.items], at=at, actor=caller.actor, source="api", receipt=receipt
        )
        _count(decoded)
        content = msgspec.json.encode(_answer(decoded, accepted))
        if receipt is not None:
            ingest.remember(
                key=receipt.key, digest=receipt.digest, actor=receipt.actor, status=201, content=content, at=at
            )
        return _json(content, status=201)


def _decode(body: bytes, content_type: str, at: datetime) -> Decoded:
    return native.decode(
        body,
        content_type=content_type,
        received_at=at,
        max_items=settings.VIGIL_BATCH_MAX,
        retention=timedelta(days=settings.VIGIL_RETENTION_DAYS),
        future_tolerance=timedelta(seconds=settings.VIGIL_FUTURE_TOLERANCE_SECONDS),
    )


def _receipt(request: Request, body: bytes, caller: Principal) -> Receipt | None:
    key = request.headers.get("Idempotency-Key")
    return None if key is None else ingest.receipt(key=key, body=body, actor=caller.actor)


def _refuse(decoded: Decoded, *, atomic: bool, caller: Principal, at: datetime) -> None:
    """Refuse the whole request where nothing of it may be stored."""
    if decoded.rejected and (atomic or not decoded.items):
        _count_rejected(decoded.rejected)
        errors = _errors(decoded.rejected, single=decoded.single)
        raise UnableToIngest(f"Nothing was stored: {summary(errors)}", errors=errors)
    if caller.targets:
        _refuse_foreign(decoded.items, caller, at)


def _refuse_foreign(items: Sequence[tuple[int, Reading | EventReading]], caller: Principal, at: datetime) -> None:
    """A key that is bound to targets speaks for those alone, whichever tag names them."""
    in_force = book.current(at)
    for index, item in items:
        for target in sorted(concerns.spoken_for(in_force, item)):
            if bounds.covers(caller.targets, target):
                continue
            raise VigilError(
                f"{caller.actor} may not speak for the target {target!r}.",
                code="forbidden",
                status=403,
                errors=[FieldError(path=f"[{index}].tags", message=f"The target {target!r} is not among the key's.")],
            )


def _errors(rejected: Iterable[Rejected], *, single: bool) -> list[FieldError]:
    found = [
        error if single else FieldError(path=f"[{item.index}]{_below(error.path)}", message=error.message)
        for item in rejected
        for error in item.errors
    ]
    return found[:NAMED_ERRORS_MAX]


def _below(path: str) -> str:
    return f".{path}" if path and not path.startswith("[") else path


def _answer(decoded: Decoded, accepted: Accepted) -> shapes.Json:
    concluded: shapes.Json = {
        "policies_evaluated": accepted.evaluated,
        "violations": shapes.violations(accepted.settled),
        "actions": shapes.ordered(accepted.settled),
    }
    if decoded.single:
        return {"ok": True, **_identity(accepted), "status": "stored", **concluded}
    rejected = [
        {"index": item.index, "errors": [{"path": error.path, "message": error.message} for error in item.errors]}
        for item in decoded.rejected
    ]
    return {"ok": True, "stored": len(decoded.items), "rejected": rejected, **concluded}


def _identity(accepted: Accepted) -> shapes.Json:
    stored = accepted.stored
    return {"metric_id": stored.samples[0].id} if stored.samples else {"event_id": stored.events[0].id}


def _count(decoded: Decoded) -> None:
    metrics = sum(isinstance(item, Reading) for _, item in decoded.items)
    events = len(decoded.items) - metrics
    if metrics:
        telemetry.ingest_total.labels(kind="metric", outcome="stored").inc(metrics)
    if events:
        telemetry.ingest_total.labels(kind="event", outcome="stored").inc(events)
    _count_rejected(decoded.rejected)


def _count_rejected(rejected: Sequence[Rejected]) -> None:
    if rejected:
        telemetry.ingest_total.labels(kind="unknown", outcome="rejected").inc(len(rejected))


def _json(content: bytes, *, status: int) -> HttpResponse:
    return HttpResponse(content, content_type="application/json", status=status)
