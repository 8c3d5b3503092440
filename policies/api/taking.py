"""What every ingest address does with what its decoder found: check, count, and say what became of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from metrics import ingest
from metrics.formats import moments
from metrics.formats.moments import Span
from metrics.formats.reading import Decoded, EventReading, Reading, Rejected
from metrics.ingest import Receipt
from policies import book, concerns
from policies.api import shapes
from policies.intake import Accepted
from vigil.access import bounds
from vigil.access.principal import Principal
from vigil.kernel.errors import FieldError, VigilError
from vigil.telemetry import metrics as telemetry

NAMED_ERRORS_MAX = 200
"""How many errors one refusal lists."""


class UnableToIngest(VigilError):
    """Nothing of the request was stored."""

    code = "invalid"
    status = 422


def span(at: datetime) -> Span:
    """The times that readings received at `at` may have."""
    return moments.span(
        received_at=at,
        retention=timedelta(days=settings.VIGIL_RETENTION_DAYS),
        future_tolerance=timedelta(seconds=settings.VIGIL_FUTURE_TOLERANCE_SECONDS),
    )


def receipt(request: Request, body: bytes, caller: Principal) -> Receipt | None:
    """The receipt for a request that carries an Idempotency-Key."""
    key = request.headers.get("Idempotency-Key")
    return None if key is None else ingest.receipt(key=key, body=body, actor=caller.actor)


def refuse_foreign(items: Sequence[tuple[int, Reading | EventReading]], caller: Principal, at: datetime) -> None:
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


def errors(rejected: Iterable[Rejected], *, single: bool) -> list[FieldError]:
    """What is wrong with the refused items, by their place in the body."""
    found = [
        error if single else FieldError(path=f"[{item.index}]{_below(error.path)}", message=error.message)
        for item in rejected
        for error in item.errors
    ]
    return found[:NAMED_ERRORS_MAX]


def _below(path: str) -> str:
    return f".{path}" if path and not path.startswith("[") else path


def told(rejected: Iterable[Rejected]) -> list[shapes.Json]:
    """The refused items as an answer lists them."""
    return [
        {"index": item.index, "errors": [{"path": error.path, "message": error.message} for error in item.errors]}
        for item in rejected
    ]


def concluded(accepted: Accepted) -> shapes.Json:
    """What the policies say, and what Vigil does about it."""
    return {
        "policies_evaluated": accepted.evaluated,
        "violations": shapes.violations(accepted.settled),
        "actions": shapes.ordered(accepted.settled),
    }


def count(decoded: Decoded) -> None:
    """Let the metrics know what arrived."""
    metrics = sum(isinstance(item, Reading) for _, item in decoded.items)
    events = len(decoded.items) - metrics
    if metrics:
        telemetry.ingest_total.labels(kind="metric", outcome="stored").inc(metrics)
    if events:
        telemetry.ingest_total.labels(kind="event", outcome="stored").inc(events)
    if decoded.skipped:
        telemetry.ingest_total.labels(kind="metric", outcome="skipped").inc(decoded.skipped)
    count_rejected(decoded.rejected)


def count_rejected(rejected: Sequence[Rejected]) -> None:
    """Let the metrics know what was refused."""
    if rejected:
        telemetry.ingest_total.labels(kind="unknown", outcome="rejected").inc(len(rejected))


def as_json(content: bytes, *, status: int) -> HttpResponse:
    """JSON that is already encoded."""
    return HttpResponse(content, content_type="application/json", status=status)
