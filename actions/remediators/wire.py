"""One connection under one wall-clock deadline, which knows whether anything was sent.

A socket's own timeout counts from the last byte, so a peer that sends one byte a second is never late. A watchdog
thread therefore shuts the line down when the time is over, wherever the call is stuck: in the handshake, between two
header bytes or in the body.
"""

import socket
import threading
import time
from typing import Any

from urllib3 import connection, response

from actions.remediators import addresses
from vigil.kernel import failpoints


class TimeIsUp(OSError):
    """The connection was not ready in time; nothing was sent."""


class Wire:
    """The line of one call. Use as a context manager; afterwards its attributes tell what happened."""

    def __init__(self, *, connect_by: float, deadline_monotonic: float) -> None:
        self.first_byte_at: float | None = None
        self.trouble = ""
        """What went wrong before the first byte, as an error class."""
        self.expired = False
        """Whether the watchdog had to cut the line."""
        self._connect_by = min(connect_by, deadline_monotonic)
        self._deadline = deadline_monotonic
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._sending = threading.Event()
        self._finished = threading.Event()

    def __enter__(self) -> "Wire":
        threading.Thread(target=self._watch, name="vigil-deadline", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._finished.set()
            self._sending.set()
            self._cut()
            if self._line is not None:
                self._line.close()
                self._line = None

    def open(self, host: str, port: int) -> socket.socket:
        """A connected socket to a checked address of `host`."""
        self.trouble = "dns"
        try:
            found = addresses.resolve(host=host, port=port, deadline_monotonic=self._connect_by)
        except addresses.AddressRefused:
            self.trouble = "address_refused"
            raise
        except TimeoutError:
            self.trouble = "connect_timeout"
            raise
        sock = self._dial(found)
        self.trouble = "tls"  # on a plain connection the next thing is the first byte
        self._watch_over(sock)
        return sock

    def first_byte(self) -> None:
        """To be called right before anything is sent: from here on nobody can be sure that nothing happened."""
        with self._lock:
            if self.first_byte_at is not None:
                return
            if time.monotonic() > self._connect_by:
                self.expired = True  # after a suspension the watchdog may wake up second
            if self.expired:
                raise TimeIsUp("the connection was not ready in time")
            self.trouble = ""
            self.first_byte_at = time.monotonic()
            self._sending.set()

    def _dial(self, found: list[addresses.Found]) -> socket.socket:
        """Try the addresses in turn; each gets its share of what is left of the time."""
        error: OSError = TimeIsUp("no time was left to connect")
        self.trouble = "connect_timeout"
        for tried, (family, kind, protocol, _, address) in enumerate(found):
            left = self._connect_by - time.monotonic()
            if left <= 0:
                break
            try:
                return self._prepared(_connected(family, kind, protocol, address, left / (len(found) - tried)))
            except OSError as failed:
                error = failed
                self.trouble = "connect_timeout" if isinstance(failed, TimeoutError) else "refused"
        raise error

    def _prepared(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(max(0.001, self._deadline - time.monotonic()))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _watch_over(self, sock: socket.socket) -> None:
        """Keep a second handle on the line: TLS takes the first one over, and it may be busy when time is up."""
        with self._lock:
            self._line = sock.dup()
            if self.expired:
                self._cut()

    def _watch(self) -> None:
        if not self._sending.wait(max(0.0, self._connect_by - time.monotonic())):
            self._expire()
        if not self._finished.wait(max(0.0, self._deadline - time.monotonic())):
            self._expire()

    def _expire(self) -> None:
        with self._lock:
            began_just_now = self.first_byte_at is not None and time.monotonic() < self._deadline
            if not (self._finished.is_set() or began_just_now):
                self.expired = True
                self._cut()

    def _cut(self) -> None:
        if self._line is not None:
            try:
                self._line.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the peer was faster


def _connected(
    family: int, kind: int, protocol: int, address: tuple[str | int | bytes, ...], seconds: float
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(seconds)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


class PlainConnection(connection.HTTPConnection):
    """HTTP on a wire: it dials through the wire and tells it before anything is sent."""

    def __init__(self, *args: Any, wire: Wire, **options: Any) -> None:
        super().__init__(*args, **options)
        self._wire = wire

    def _new_conn(self) -> socket.socket:
        return self._wire.open(self._dns_host, self.port)

    def send(self, data: Any) -> None:
        """Connect if need be, then send; what fails before `first_byte` failed without a trace at the other end."""
        if self.sock is None:
            self.connect()
        if self._wire.first_byte_at is None:
            failpoints.hit("http.connected")
        self._wire.first_byte()
        super().send(data)

    def getresponse(self) -> response.HTTPResponse:  # type: ignore[override]  # urllib3 narrows it the same way
        """The status line and headers."""
        failpoints.hit("http.sent")
        answer = super().getresponse()
        failpoints.hit("http.got_headers")
        return answer


class TlsConnection(PlainConnection, connection.HTTPSConnection):
    """HTTPS on a wire: the handshake comes before the first byte."""
