"""Keeps tests on this machine: a connection or a name look-up beyond loopback fails the test that tried it."""

import ipaddress
import socket
from collections.abc import Callable

breaches: list[str] = []
"""Where a test tried to go; emptied by the fixture that fails the test. The code under test may swallow the error."""

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_getaddrinfo = socket.getaddrinfo

type Address = tuple[str, int] | tuple[str, int, int, int] | str | bytes


class NetworkNotAllowed(OSError):
    """A test tried to leave this machine."""


def stays_here(host: object) -> bool:
    """Whether an address or name means this machine."""
    if host is None or host in ("", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return text.endswith(".localhost")


def confine() -> None:
    """Put the guard in place for the whole process."""

    def connect(self: socket.socket, address: Address) -> None:
        _guard(self, address)
        _connect(self, address)

    def connect_ex(self: socket.socket, address: Address) -> int:
        _guard(self, address)
        return _connect_ex(self, address)

    def getaddrinfo(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        if not stays_here(host) and not _is_address(host):
            _refuse(f"look-up of {host!r}")
        resolve: Callable[..., object] = _getaddrinfo
        return resolve(host, *args, **kwargs)

    setattr(socket.socket, "connect", connect)  # noqa: B010  a plain assignment is refused by the type checker
    setattr(socket.socket, "connect_ex", connect_ex)  # noqa: B010
    setattr(socket, "getaddrinfo", getaddrinfo)  # noqa: B010


def _guard(self: socket.socket, address: Address) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not stays_here(address[0]):
        _refuse(f"connection to {address!r}")


def _is_address(host: object) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True


def _refuse(what: str) -> None:
    breaches.append(what)
    raise NetworkNotAllowed(f"Tests stay on this machine: {what}")
