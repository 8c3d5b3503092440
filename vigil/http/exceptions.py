"""Every error as JSON: `{"detail", "code", "errors", "request_id"}`; the only place that knows how errors look."""

from collections.abc import Mapping, Sequence

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.http import Http404, JsonResponse, UnreadablePostError
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.response import Response

from vigil.http import bodies
from vigil.kernel import context
from vigil.kernel.errors import FieldError, VigilError

log = structlog.get_logger(__name__)

DATABASE_AWAY_RETRY_SECONDS = 3
LONGEST_SENTENCE = 1_000
LONGEST_PATH = 200
MOST_ERRORS = 200

_CODES = {400: "malformed", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
          413: "too_large", 415: "unsupported_media_type", 429: "throttled"}  # fmt: skip


def handle(error: Exception, _context: object) -> Response:
    """DRF's exception handler: never None, so nothing ends in an HTML page."""
    refusal = as_refusal(error)
    response = Response(body(refusal), status=refusal.status)
    for name, value in headers(refusal, error).items():
        response[name] = value
    return response


def plain(error: Exception) -> JsonResponse:
    """The same answer outside DRF."""
    refusal = as_refusal(error)
    return JsonResponse(body(refusal), status=refusal.status, headers=headers(refusal, error))


def as_refusal(error: Exception) -> VigilError:
    """Any exception as a refusal with a status; what nobody anticipated is logged whole and answered blandly."""
    match error:
        case VigilError():
            return error
        case NotAuthenticated():
            return VigilError(
                "Say who you are: Authorization: Bearer <api key> (make one with `manage.py create_key`), or sign in.",
                code="unauthenticated",
                status=401,
            )
        case APIException():
            return _of_rest_framework(error)
        case Http404():
            return VigilError("There is no such thing here.", code="not_found", status=404)
        case PermissionDenied():
            return VigilError("You may not do that.", code="forbidden", status=403)
        case RequestDataTooBig():
            return VigilError("The body is too large; send less at once.", code="too_large", status=413)
        case UnreadablePostError():
            return _unreadable(error)
        case RecursionError():
            return VigilError("The body is nested too deeply.", code="malformed", status=400)
        case SuspiciousOperation():
            return VigilError("The request is malformed.", code="malformed", status=400)
        case DataError():
            return VigilError("A value does not fit into the database.", code="invalid", status=422)
        case OperationalError() | InterfaceError():
            log.warning("http.database.away", error=str(error))
            return VigilError(
                "The database is away or too slow. What was sent may or may not be stored: send it again, with an "
                "Idempotency-Key if twice would hurt.",
                code="unavailable",
                status=503,
                retry_after=DATABASE_AWAY_RETRY_SECONDS,
            )
        case _:
            log.error("http.request.crashed", exc_info=error, database=isinstance(error, DatabaseError))
            return VigilError(
                "Something went wrong inside Vigil; its log has the details under this request id.",
                code="internal",
                status=500,
            )


def _unreadable(error: UnreadablePostError) -> VigilError:
    cause: BaseException | None = error
    while isinstance(cause, UnreadablePostError):  # Django wraps it once for each layer that reads
        cause = cause.__cause__
    if isinstance(cause, bodies.Crowded):
        return VigilError(
            "Too many clients began a body and did not send it; send yours again in a moment.",
            code="unavailable",
            status=503,
            retry_after=bodies.RETRY_AFTER_SECONDS,
        )
    return VigilError("The body ended before it was complete.", code="malformed", status=400)


def body(refusal: VigilError) -> dict[str, object]:
    """The error's JSON."""
    return {
        "detail": _safe(refusal.detail, LONGEST_SENTENCE),
        "code": refusal.code,
        "errors": [
            {"path": _safe(item.path, LONGEST_PATH), "message": _safe(item.message, LONGEST_SENTENCE)}
            for item in refusal.errors[:MOST_ERRORS]
        ],
        "request_id": context.request_id(),
    }


def _safe(text: str, longest: int) -> str:
    """A text that may quote its sender, so that nothing in it acts in the terminal of whoever reads it."""
    clipped = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return clipped if clipped.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in clipped)


def headers(refusal: VigilError, error: Exception) -> dict[str, str]:
    """Headers that belong to the answer."""
    found = {}
    if refusal.retry_after is not None:
        found["Retry-After"] = str(refusal.retry_after)
    if refusal.status == 401:
        found["WWW-Authenticate"] = getattr(error, "auth_header", 'Bearer realm="vigil"')
    return found


def _of_rest_framework(error: APIException) -> VigilError:
    detail = error.detail
    wait = getattr(error, "wait", None)
    return VigilError(
        str(detail) if isinstance(detail, str) else "The request is not valid.",
        code=_CODES.get(error.status_code, "error"),
        status=error.status_code,
        errors=() if isinstance(detail, str) else _flat(detail, ""),
        retry_after=int(wait) + 1 if wait is not None else None,
    )


def _flat(detail: object, path: str) -> list[FieldError]:
    if isinstance(detail, Mapping):
        return [found for key, value in detail.items() for found in _flat(value, f"{path}.{key}".lstrip("."))]
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        return [found for value in detail for found in _flat(value, path)]
    return [FieldError(path=path, message=str(detail))]
