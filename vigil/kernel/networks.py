"""Addresses and the networks they lie in."""

import ipaddress
from collections.abc import Iterable


def within(address: str, networks: Iterable[str]) -> bool:
    """Whether the address lies in one of the networks (CIDR); an unreadable address lies in none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)
