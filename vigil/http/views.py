"""The base of every API view."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.request import Request
from rest_framework.views import APIView

from vigil.access import principal
from vigil.access.principal import Principal
from vigil.http import strict_json
from vigil.http.parsers import check_charset
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class ApiView(APIView):
    """Strict JSON in, JSON out; scopes per verb in `required_scopes`."""

    required_scopes: dict[str, str] = {}
    concerns_all_targets = False
    """Nothing here is for keys that are bound to some targets."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            super().initial(request, *args, **kwargs)
        except (NotAuthenticated, AuthenticationFailed, PermissionDenied):
            self.check_throttles(request)  # the framework asks the limit last: those it turned away would have none
            raise

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        # Now rather than when all is checked: the log also says who was refused.
        setattr(request._request, principal.ACTOR_ATTRIBUTE, self.caller(request).actor)

    def caller(self, request: Request) -> Principal:
        """Who is calling."""
        return principal.of(request)

    def at(self, request: Request) -> datetime:
        """The time of this request: asked once, then the same."""
        if not hasattr(self, "_at"):
            self._at = clock.now()
        return self._at

    def raw_body(self, request: Request) -> bytes:
        """The body's bytes, bounded; 413 when larger."""
        return raw_body(request._request)

    def body[T](self, request: Request, shape: type[T]) -> T:
        """The JSON body as a msgspec Struct (declare it with `forbid_unknown_fields=True`)."""
        if request.content_type.split(";")[0].strip().lower() != "application/json":
            raise VigilError(
                "Send the body as Content-Type: application/json.", code="unsupported_media_type", status=415
            )
        check_charset(request.content_type)
        refuse_encoding(request)
        document = strict_json.decode(self.raw_body(request))
        strict_json.refuse_controls(document)
        return strict_json.fit(document, shape)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        response["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]


def refuse_encoding(request: Request) -> None:
    """VigilError 415 for a compressed body."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise VigilError(
            "Compressed bodies are not accepted here; send plain JSON.", code="unsupported_media_type", status=415
        )


def raw_body(request: HttpRequest) -> bytes:
    """The body's bytes; VigilError 413 when there are more than `VIGIL_BODY_MAX_BYTES`."""
    limit: int = settings.VIGIL_BODY_MAX_BYTES
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and int(length) > limit:
        raise too_large(limit)
    body: bytes = request.body
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> VigilError:
    """The 413 for a body over `limit` bytes."""
    return VigilError(f"The body is larger than {limit:,} bytes; send less at once.", code="too_large", status=413)
