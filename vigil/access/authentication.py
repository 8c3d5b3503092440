"""Three ways in: an API key, the console's session, and, in the demo alone, the loopback address."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from vigil.access import keys, principal
from vigil.access.principal import Machine, Principal
from vigil.http import address
from vigil.kernel import clock

REFUSED = "This key opens nothing here: it is unknown, revoked or expired. Make one with `manage.py create_key`."

BEARER = frozenset({"bearer"})


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <api key>`, and nowhere else; a view may name more `key_schemes` than Bearer."""

    def authenticate(self, request: Request) -> tuple[Machine, Principal] | None:
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, plain = header.partition(" ")
        at = clock.now()
        taken = getattr(request.parser_context["view"], "key_schemes", BEARER)
        known = keys.find(plain.strip(), at=at) if scheme.lower() in taken else None
        if known is None:
            raise AuthenticationFailed(REFUSED)
        keys.note_use(known, at=at)
        return Machine(), principal.of_key(known)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="vigil"'


class ConsoleSession(SessionAuthentication):
    """The console's session cookie, with CSRF."""


class DemoLoopback(BaseAuthentication):
    """The demo lets this machine's own callers in without a key: the documentation's curl lines work as printed.

    A page of another site in this machine's browser is "loopback" too: whatever says it comes from elsewhere stays out.
    """

    def authenticate(self, request: Request) -> tuple[Machine, Principal] | None:
        asked = request._request
        if not settings.VIGIL_DEMO or not _loopback(asked.META.get("REMOTE_ADDR", "")) or _from_elsewhere(asked):
            return None
        return Machine(), principal.DEMO


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _from_elsewhere(request: HttpRequest) -> bool:
    site = request.META.get("HTTP_SEC_FETCH_SITE", "none")
    origin = request.META.get("HTTP_ORIGIN")
    own = f"{request.scheme}://{request.get_host()}"
    return address.forwarded(request) or site not in {"none", "same-origin"} or (origin is not None and origin != own)
