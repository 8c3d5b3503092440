"""Peers that answer HTTP as badly as it gets: real sockets, one thread for each connection."""

import contextlib
import math
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from actions.remediators import base

type Script = Callable[[socket.socket], None]

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def call(
    *,
    uid: str = "uid-1",
    action_id: int = 456,
    kind: str = "restart",
    target: str = "web-01",
    params: dict[str, object] | None = None,
    attempt: int = 1,
    begin_by_monotonic: float = math.inf,
) -> base.Call:
    return base.Call(
        action_id=action_id,
        uid=uid,
        kind=kind,
        target=target,
        params={} if params is None else params,
        policy="high-cpu-alert",
        severity="warning",
        incident_id=7,
        reason="cpu_usage 92 > 90",
        attempt=attempt,
        fence=3,
        deadline=AT + timedelta(minutes=15),
        request_id="request-1",
        at=AT,
        begin_by_monotonic=begin_by_monotonic,
    )


def read_request(line: socket.socket) -> bytes:
    """The whole request: headers, and as much body as they announce."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += line.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += line.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes, *, status: str = "200 OK", headers: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status.encode() + b"\r\n" + length + headers + b"\r\n" + body


def reset(line: socket.socket) -> None:
    """Close so that the other side gets RST instead of an end."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    line.close()


class Peer:
    """Where it listens, and the requests it has seen."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[bytes] = []
        self.connections = 0


@contextlib.contextmanager
def listening(script: Script, *, reads_request: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A server that runs `script` on each connection after it has read the request."""
    server = socket.create_server(("127.0.0.1", 0))
    peer = Peer(server.getsockname()[1])
    over = threading.Event()

    def serve(line: socket.socket) -> None:
        # The client hangs up in the middle of most of these scripts; that is what is being tested.
        with contextlib.suppress(OSError):
            if tls is not None:
                line = tls.wrap_socket(line, server_side=True)
            if reads_request:
                peer.requests.append(read_request(line))
            script(line)
        line.close()

    def accept() -> None:
        while not over.is_set():
            try:
                line, _ = server.accept()
            except OSError:
                return
            peer.connections += 1
            line.settimeout(20)
            threading.Thread(target=serve, args=(line,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield peer
    finally:
        over.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def executable(directory: Path, script: str, *, name: str = "remedy") -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
