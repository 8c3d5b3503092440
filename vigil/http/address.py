"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest

FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
"""What proxies write when they hand on a request of somebody else."""


def forwarded(request: HttpRequest) -> bool:
    """Whether the request says that a proxy hands it on."""
    return any(name in request.META for name in FORWARDED)


def client(request: HttpRequest) -> str:
    """The caller's address. `X-Forwarded-For` counts only as far as `VIGIL_PROXIES` of our own proxies wrote it."""
    said = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if settings.VIGIL_PROXIES and said:
        return str(said[-min(settings.VIGIL_PROXIES, len(said))])
    return str(request.META.get("REMOTE_ADDR", ""))


def known_client(request: HttpRequest) -> str:
    """The caller's address; "" when a proxy that `VIGIL_PROXIES` does not count hands the request on.

    Such a proxy lends its own address to everybody, and that may well be this machine's.
    """
    return "" if forwarded(request) and not settings.VIGIL_PROXIES else client(request)
