"""The simulated remediator's HTTP side: POST a call, GET runs/{key}; and other simulations that share its address.

Vigil knows one address. When a second simulation runs on the same machine it registers here with its targets, and
calls for those are handed on, signature and all.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from simulator import desk
from simulator.desk import Desk, Refused, Reply

BODY_MAX_BYTES = 1_048_576
HAND_ON_SECONDS = 11.0
"""Less than Vigil waits, so that it hears from us and not from its own clock."""
FORWARDED = (
    "idempotency-key",
    "vigil-attempt",
    "vigil-fence",
    "vigil-deadline",
    "x-request-id",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "content-type",
)


@dataclass(slots=True, kw_only=True)
class Peers:
    """Other simulations and the targets they own."""

    _urls: dict[str, frozenset[str]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def register(self, url: str, targets: frozenset[str]) -> None:
        """No targets takes the peer off the list."""
        with self._lock:
            self._urls.pop(url, None)
            if targets:
                self._urls[url] = targets

    def owner(self, target: str) -> str | None:
        with self._lock:
            return next((url for url, targets in self._urls.items() if target in targets), None)

    def urls(self) -> list[str]:
        with self._lock:
            return list(self._urls)


class Server(ThreadingHTTPServer):
    """Serves one desk; `port` 0 takes a free port. Raises OSError when the port is taken."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *, desk: Desk, port: int, now: Callable[[], datetime], host: str = "127.0.0.1") -> None:
        super().__init__((host, port), Handler)
        self.desk = desk
        self.now = now
        self.peers = Peers()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"

    def start(self) -> None:
        """Serve from a thread of its own."""
        threading.Thread(target=self.serve_forever, args=(0.1,), name="simulator-remediator", daemon=True).start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self.closing.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    @property
    def _server(self) -> Server:
        return cast("Server", self.server)

    def do_GET(self) -> None:
        """GET {url}/runs/{key}; for the story also GET /happenings?after=N, what truly happened; and GET /health."""
        path = self.path.partition("?")[0].rstrip("/")
        key = unquote(path.rpartition("/runs/")[2]) if "/runs/" in path else ""
        if key:
            self._answer(self._run(key, {name.lower(): value for name, value in self.headers.items()}))
        elif path.endswith("/happenings"):
            self._answer(self._happenings())
        elif path.endswith("/health"):
            self._answer(Reply(status=200, body={"status": "healthy", "service": "vigil-simulator"}))
        else:
            self._answer(Reply(status=404, body={"message": "Known here: POST /, GET /runs/{key}, GET /health."}))

    def do_POST(self) -> None:
        """POST {url} with a call, and POST /peers."""
        body = self._body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path.rstrip("/").endswith("/peers"):
            self._answer(self._register(headers, body))
        else:
            self._answer(self._take(headers, body))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Quiet: what the remediator did is told by the world."""

    def _take(self, headers: Mapping[str, str], body: bytes) -> Reply:
        peer = self._peer_for(headers, body)
        if peer is not None:
            return _hand_on(peer, {name: headers[name] for name in FORWARDED if name in headers}, body)
        return self._server.desk.take(headers=headers, body=body, at=self._server.now())

    def _peer_for(self, headers: Mapping[str, str], body: bytes) -> str | None:
        try:
            return self._server.peers.owner(desk.read_task(headers=headers, body=body).target)
        except Refused:
            return None  # our own desk says what is wrong with it

    def _run(self, key: str, headers: Mapping[str, str]) -> Reply:
        try:
            self._server.desk.verify(headers={**headers, "idempotency-key": key}, body=b"")
        except Refused as refused:
            return refused.reply()
        reply = self._server.desk.run(key=key, at=self._server.now())
        for url in self._server.peers.urls() if reply.status == 404 else ():
            reply = _ask(url, key, headers)
            if reply.status == 200:
                break
        return reply

    def _happenings(self) -> Reply:
        after = parse_qs(urlsplit(self.path).query).get("after", ["0"])[0]
        happened = self._server.desk.world.happenings(after=int(after) if after.isdigit() else 0)
        return Reply(status=200, body={"happenings": [asdict(one) | {"at": one.at.isoformat()} for one in happened]})

    def _register(self, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            self._server.desk.verify(headers=headers, body=body)
            wanted = json.loads(body)
            self._server.peers.register(str(wanted["url"]), frozenset(str(name) for name in wanted["targets"]))
        except Refused as refused:
            return refused.reply()
        except (ValueError, KeyError, TypeError):
            return Reply(status=422, body={"message": 'A peer registers with {"url": "...", "targets": ["..."]}.'})
        return Reply(status=200, body={"status": "registered"})

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if length.isdigit() and int(length) <= BODY_MAX_BYTES:
            return self.rfile.read(int(length))
        self.close_connection = True
        self._answer(Reply(status=413, body={"message": "A body of at most 1 MiB with its Content-Length is needed."}))
        return None

    def _answer(self, reply: Reply) -> None:
        if reply.silence:
            self._server.closing.wait(desk.SILENCE_SECONDS)
            self.close_connection = True
            return
        payload = json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)
        except OSError:
            self.close_connection = True  # the caller has gone; it will ask by key


def _hand_on(url: str, headers: Mapping[str, str], body: bytes) -> Reply:
    try:
        answer = requests.post(url, data=body, headers=headers, timeout=HAND_ON_SECONDS)
        return Reply(status=answer.status_code, body=answer.json())
    except (requests.ConnectTimeout, requests.ConnectionError):
        return Reply(status=503, body={"status": "failed", "message": "The simulation that owns this target is gone."})
    except requests.RequestException:
        return Reply(status=504, body={"message": "The simulation that owns this target did not answer."}, silence=True)


def _ask(url: str, key: str, headers: Mapping[str, str]) -> Reply:
    """Pass the question on as it was signed: those who take turns at one port have one secret."""
    signed = {name: value for name, value in headers.items() if name.startswith("webhook-")}
    try:
        answer = requests.get(f"{url}runs/{key}", headers=signed, timeout=3)
        return Reply(status=answer.status_code, body=answer.json())
    except requests.RequestException:
        return Reply(
            status=404, body={"status": "not_found", "key": key, "message": "No simulation here knows this key."}
        )
