"""What a broker does that is there and of no use: each as a context, after which it is well again."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import redis

from tests.servers.valkey import Valkey

LOADING = b"-LOADING Valkey is loading the dataset in memory\r\n"


@contextmanager
def away(broker: Valkey) -> Iterator[None]:
    """Nobody listens."""
    broker.kill()
    yield
    broker.start()


@contextmanager
def hung(broker: Valkey) -> Iterator[None]:
    """Connections stand, and nobody answers."""
    broker.freeze()
    yield
    broker.thaw()


@contextmanager
def full(broker: Valkey) -> Iterator[None]:
    """It may hold 1 MB, which it holds already: every write is refused."""
    with _told(
        broker, ("CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1mb"), "CONFIG SET maxmemory 0"
    ):
        yield


@contextmanager
def read_only(broker: Valkey) -> Iterator[None]:
    """It follows a primary that is gone: every write is refused."""
    with _told(broker, ("REPLICAOF 127.0.0.1 1",), "REPLICAOF NO ONE"):
        yield


@contextmanager
def locked(broker: Valkey) -> Iterator[None]:
    """It wants a password that nobody has, and whoever was in has to come anew."""
    setting = ("CONFIG SET requirepass somebody-else", "CLIENT KILL TYPE normal SKIPME yes")
    with _told(broker, setting, "CONFIG SET requirepass ''"):
        yield


@contextmanager
def loading(broker: Valkey) -> Iterator[None]:
    """It says to everything that it is still loading. The broker cannot be made to for long, so another answers."""
    broker.kill()
    broker.socket.unlink(missing_ok=True)
    server = _Loading(str(broker.socket), _AlwaysLoading)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.hang_up()
        broker.socket.unlink(missing_ok=True)
        broker.start()


TROUBLES: Mapping[str, Callable[[Valkey], AbstractContextManager[None]]] = {
    "away": away,
    "hung": hung,
    "full": full,
    "loading": loading,
    "read-only": read_only,
    "locked": locked,
}


@contextmanager
def _told(broker: Valkey, commands: tuple[str, ...], afterwards: str) -> Iterator[None]:
    """By one connection, which stays valid throughout."""
    client: Any = redis.Redis.from_url(broker.url, single_connection_client=True, socket_timeout=5)
    try:
        for command in commands:
            client.execute_command(*command.split())
        yield
        client.execute_command(*[part.strip("'") for part in afterwards.split()])
    finally:
        client.close()


class _AlwaysLoading(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while self.request.recv(65_536):
                self.request.sendall(LOADING)


class _Loading(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, *args: object) -> None:
        self._lines: list[socket.socket] = []
        super().__init__(*args)  # type: ignore[arg-type]

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._lines.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """Close the door, and every line."""
        self.server_close()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
