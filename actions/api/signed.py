"""A way in for one address alone: a remediator signs what it reports with the secret that its calls are signed with."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from actions import reporting
from vigil.access import scopes
from vigil.access.principal import Machine, Principal
from vigil.http.views import raw_body
from vigil.kernel import clock

REFUSED = (
    "Sign the report as Vigil signs its calls, with the secret of the action's remediator (webhook-id, "
    "webhook-timestamp, webhook-signature); an API key does not do here."
)
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class SignedByRemediator(BaseAuthentication):
    """Standard Webhooks over the body. The report names the call's key, so a signature is good for one action."""

    def authenticate(self, request: Request) -> tuple[Machine, Principal]:
        given = {name: request.headers.get(name, "") for name in _HEADERS}
        action_id = int(request.parser_context["kwargs"]["action_id"])
        name = reporting.signer(action_id=action_id, headers=given, body=raw_body(request._request), at=clock.now())
        if not name and "Authorization" in request.headers:
            raise PermissionDenied(REFUSED)
        if not name:
            raise AuthenticationFailed(REFUSED)
        return Machine(), Principal(actor=f"remediator:{name}", scopes=frozenset({scopes.REMEDIATOR}))

    def authenticate_header(self, request: Request) -> str:
        return "Signature"


class SignatureScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Remediators."""

    target_class = SignedByRemediator
    name = "signature"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        said = "Standard Webhooks, with the remediator's secret; webhook-id and webhook-timestamp go with it."
        return {"type": "apiKey", "in": "header", "name": "webhook-signature", "description": said}
