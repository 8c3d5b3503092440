"""Answers that no honest remediator gives; each is written to the raw connection, and the line is then hung up."""

import contextlib
import gzip
import socket
import time
from collections.abc import Callable, Iterator, Mapping

SAYS_SUCCESS = b'{"status": "succeeded"}'


def _response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n"
    while True:
        yield b"a" * 65_536


def _drip() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    while True:
        time.sleep(1.0)
        yield b" "


def _chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"400\r\n" + b" " * 1024 + b"\r\n"


def _continues() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" * 100


def _bomb() -> Iterator[bytes]:
    body = gzip.compress(b" " * 50_000_000 + SAYS_SUCCESS)
    yield _response(body, "Content-Encoding: gzip")


ANSWERS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "R01": _endless,
    "R02": _drip,
    "R03": lambda: iter([_response(SAYS_SUCCESS, *(f"X-{number}: {'x' * 100}" for number in range(10_000)))]),
    "R04": _bomb,
    "R05": lambda: iter([_response(b"<html>It works!</html>")]),
    "R06": lambda: iter([_response(b'{"status": "succ')]),
    "R07": lambda: iter([_response(b"[" * 60_000)]),
    "R08": lambda: iter([_response(b'{"status": "succeeded", "action_id": 999999999}')]),
    "R10": lambda: iter([_response(b"", "Location: http://169.254.169.254/latest", status="302 Found")]),
    "R11": _chunks,
    "R12": _continues,
    "R14": lambda: iter([_response(SAYS_SUCCESS + b" " * 1000)[:-900]]),
    "R15": lambda: iter([_response(b"{}", "Retry-After: 99999999999", status="503 Service Unavailable")]),
    "R18": lambda: iter([_response(b'{"status": "\\ud800\\u0000", "message": "' + b"\\u0000\xff" * 600_000 + b'"}')]),
}
"""By their number in docs/reliability.md: what is sent, piece by piece, until the other side hangs up."""


def answer(name: str, line: socket.socket) -> None:
    """Give the answer called `name`, for at most half a minute."""
    until = time.monotonic() + 30
    line.settimeout(5)  # who hung up in the middle of a flood may leave a full buffer behind, and no word
    with contextlib.suppress(OSError):
        for piece in ANSWERS[name]():
            line.sendall(piece)
            if time.monotonic() > until:
                break
        line.shutdown(socket.SHUT_RDWR)
