"""Which addresses a remediator may have: a name is resolved once, every address is checked, and that one is dialled."""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Iterator

type Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int | bytes, ...]]
type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this host": dialling it reaches loopback by accident
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "100.100.100.200/32",  # metadata, Alibaba
        "168.63.129.16/32",  # host agent, Azure
        "192.0.0.192/32",  # metadata, Oracle
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",  # metadata, AWS
        "fd20:ce::/32",  # metadata, Google
        "ff00::/8",
    )
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")
IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


class UnableToResolve(OSError):
    """The name has no address."""


class AddressRefused(OSError):
    """The name leads to an address that no remediator has."""


def refusal(text: str) -> str:
    """Why Vigil never calls this address, or ""."""
    for address in _meanings(ipaddress.ip_address(text.partition("%")[0])):
        for network in NEVER:
            if address.version == network.version and address in network:
                return f"{text} is in {network}, which is link-local, metadata, multicast or unspecified"
    return ""


def spelled_out(host: str) -> str:
    """The usual form of an address in an old one (2852039166, 0xA9FEA9FE); names stay as they are."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return host


def resolve(*, host: str, port: int, deadline_monotonic: float) -> list[Found]:
    """The addresses of `host`, all of them checked. Raises UnableToResolve, AddressRefused or TimeoutError."""
    found = _look_up(host, port, deadline_monotonic)
    for *_, address in found:
        reason = refusal(str(address[0]))
        if reason:
            raise AddressRefused(f"{host} is not called: {reason}")
    return found


def _meanings(address: Address) -> Iterator[Address]:
    """The address itself and every IPv4 address that it may be a wrapping of."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in NAT64 or (address in IPV4_COMPATIBLE and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _look_up(host: str, port: int, deadline_monotonic: float) -> list[Found]:
    """getaddrinfo knows no timeout, so a thread waits for it; one that hangs is left behind and ends by itself."""
    answers: queue.SimpleQueue[list[Found] | OSError] = queue.SimpleQueue()

    def look() -> None:
        try:
            answers.put([*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            answers.put(UnableToResolve(f"the name {host} was not found: {error}"))

    threading.Thread(target=look, name="vigil-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, deadline_monotonic - time.monotonic()))
    except queue.Empty:
        raise TimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
