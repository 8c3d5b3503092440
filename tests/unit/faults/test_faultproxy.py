"""The proxy does to a connection what its mode says."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.servers.faultproxy import PASS, FaultProxy, Mode


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """In front of a server that answers each piece with the same piece in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        with FaultProxy(host="127.0.0.1", port=server.getsockname()[1]) as running:
            yield running
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            line, _ = server.accept()
            threading.Thread(target=_shout, args=(line,), daemon=True).start()


def _shout(line: socket.socket) -> None:
    with contextlib.suppress(OSError), line:
        while piece := line.recv(65_536):
            line.sendall(piece.upper())


@contextlib.contextmanager
def _call(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=3) as line:
        yield line


def test_what_comes_in_passes(proxy: FaultProxy) -> None:
    with _call(proxy) as line:
        line.sendall(b"hello")
        assert line.recv(100) == b"HELLO"


def test_refused_nobody_gets_in_and_who_was_in_is_thrown_out(proxy: FaultProxy) -> None:
    with _call(proxy) as line:
        proxy.behave(Mode(name="refuse"))
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(1) == b""
    with pytest.raises(ConnectionRefusedError), _call(proxy):
        pass
    proxy.behave(PASS)
    test_what_comes_in_passes(proxy)


@pytest.mark.parametrize("mode", [Mode(name="rst"), Mode(name="rst_after_request")])
def test_an_answer_becomes_a_reset(proxy: FaultProxy, mode: Mode) -> None:
    proxy.behave(mode)
    with _call(proxy) as line:
        line.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            line.recv(1)


def test_nothing_passes_a_black_hole_until_the_mode_changes(proxy: FaultProxy) -> None:
    with _call(proxy) as line:
        proxy.behave(Mode(name="blackhole"))
        line.sendall(b"hello")
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):
            line.recv(1)
        proxy.behave(PASS)
        line.settimeout(3)
        assert line.recv(100) == b"HELLO"


def test_latency_is_paid_both_ways(proxy: FaultProxy) -> None:
    proxy.behave(Mode(name="latency", ms=100, jitter=10))
    with _call(proxy) as line:
        began = time.monotonic()
        line.sendall(b"hello")
        assert line.recv(100) == b"HELLO"
        assert time.monotonic() - began >= 0.18


def test_slow_is_slow(proxy: FaultProxy) -> None:
    proxy.behave(Mode(name="slow", bytes_per_second=1_000))
    with _call(proxy) as line:
        began = time.monotonic()
        line.sendall(b"x" * 300)
        found = b""
        while len(found) < 300:
            found += line.recv(300)
        assert time.monotonic() - began >= 0.3


def test_an_answer_is_cut_short(proxy: FaultProxy) -> None:
    proxy.behave(Mode(name="cut_after", count=3))
    with _call(proxy) as line:
        line.sendall(b"hello")
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := line.recv(100):
                found += piece
        assert b"HEL".startswith(found)


def test_an_answer_becomes_noise(proxy: FaultProxy) -> None:
    proxy.behave(Mode(name="garbage"))
    with _call(proxy) as line:
        line.sendall(b"hello")
        assert line.recv(100) not in (b"hello", b"HELLO")
