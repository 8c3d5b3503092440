"""Where a request comes from."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client(request: HttpRequest) -> str:
    """The caller's address. `X-Forwarded-For` counts only as far as `VIGIL_PROXIES` of our own proxies wrote it."""
    forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if settings.VIGIL_PROXIES and forwarded:
        return str(forwarded[-min(settings.VIGIL_PROXIES, len(forwarded))])
    return str(request.META.get("REMOTE_ADDR", ""))


def within(address: str, networks: list[str]) -> bool:
    """Whether the address lies in one of the networks (CIDR); an unreadable address lies in none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)
