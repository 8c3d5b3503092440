"""What surrounds every request: an id and one log line, JSON errors under /api, a content security policy."""

import re
import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from vigil.access import principal
from vigil.http import exceptions
from vigil.kernel import context
from vigil.kernel.errors import VigilError

log = structlog.get_logger("vigil.http")

type Next = Callable[[HttpRequest], HttpResponseBase]

_LENGTH = re.compile(r"[0-9]{1,15}")

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""The console's theme needs inline scripts and eval (Alpine); nothing may come from another site."""


class RequestStory:
    """Binds the request id (the caller's, when it is a decent one), answers with it, and logs one line."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        with context.bind(request_id=given if context.acceptable(given) else context.new_request_id()) as bound:
            response = self.get_response(request)
            response["X-Request-ID"] = bound
            tell(
                method=request.method or "",
                path=request.path,
                status=response.status_code,
                seconds=time.monotonic() - started,
                actor=getattr(request, principal.ACTOR_ATTRIBUTE, ""),
                remote=request.META.get("REMOTE_ADDR", ""),
            )
        return response


def tell(*, method: str, path: str, status: int, seconds: float, actor: str, remote: str) -> None:
    """The log line of one answer."""
    log.info(
        "http.request.answered",
        method=method,
        path=path,
        status=status,
        milliseconds=round(seconds * 1000, 1),
        actor=actor,
        remote=remote,
    )


class PlainErrors:
    """JSON for errors that Django answers itself (404 without a route, bad host, too large) where machines call."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not _LENGTH.fullmatch(request.META.get("CONTENT_LENGTH") or "0"):
            # The middleware below takes it for a number.
            return exceptions.plain(VigilError("Content-Length is no number.", code="malformed", status=400))
        response = self.get_response(request)
        if response.status_code < 400 or _is_for_machines(response) or not _for_machines(request):
            return response
        return _as_json(response)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return exceptions.plain(error) if _for_machines(request) else None


def _for_machines(request: HttpRequest) -> bool:
    return not request.path.startswith(("/admin", "/static"))


def _is_for_machines(response: HttpResponseBase) -> bool:
    said = response.get("Content-Type", "")
    return "json" in said or "protobuf" in said or said.startswith("text/plain; v")


_SENTENCES = {
    400: ("malformed", "The request is malformed."),
    403: ("forbidden", "You may not do that."),
    404: ("not_found", "There is no such page; /api/docs lists what there is."),
    405: ("method_not_allowed", "This address does not take that verb."),
    413: ("too_large", "The body is too large; send less at once."),
}


def _as_json(response: HttpResponseBase) -> HttpResponse:
    code, sentence = _SENTENCES.get(response.status_code, ("error", "The request could not be answered."))
    answer = exceptions.plain(VigilError(sentence, code=code, status=response.status_code))
    for name, value in response.headers.items():
        if not name.lower().startswith("content-") or name == "Content-Security-Policy":
            answer.headers.setdefault(name, value)  # what guards the page guards what stands in its place
    return answer


class ContentSecurityPolicy:
    """The console works without any external request, and the browser holds it to that."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response
