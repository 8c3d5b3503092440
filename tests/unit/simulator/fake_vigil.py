"""A tiny HTTP server that answers as Vigil does, and remembers what it was sent."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

KEY = "vgl_test"


@dataclass
class Memory:
    """What came in, and what to answer next."""

    readings: list[dict[str, object]] = field(default_factory=list)
    """Every reading stored, a replayed batch once."""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and answered status."""
    keys: dict[str, bytes] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    """Used up first; then it answers normally."""
    incidents: list[dict[str, object]] = field(default_factory=list)
    actions: list[dict[str, object]] = field(default_factory=list)
    policies: list[dict[str, object]] = field(default_factory=list)
    slow_seconds: float = 0.0
    any_key: bool = False

    def wait_for(self, true: Callable[["Memory"], bool], *, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not true(self):
            assert time.monotonic() < deadline, f"did not come true in {seconds} s: {self.requests[-5:]}"
            time.sleep(0.02)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.memory = Memory()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hung up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def memory(self) -> Memory:
        return cast("Server", self.server).memory

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        memory = self.memory
        lists: dict[str, dict[str, object]] = {
            "/api/v1/incidents": {"incidents": memory.incidents, "count": len(memory.incidents)},
            "/api/v1/actions": {"actions": memory.actions, "count": len(memory.actions)},
            "/ready": {},
            "/health": {"status": "healthy"},
        }
        lists |= {f"/api/v1/incidents/{row.get('id')}": row for row in memory.incidents}
        self.answer(200 if path in lists else 404, lists.get(path, {}))

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        time.sleep(self.memory.slow_seconds)
        if not self.memory.any_key and self.headers.get("Authorization") != f"Bearer {KEY}":
            self.answer(401, {"detail": "no key"})
        elif self.memory.answers:
            self.answer(*self.memory.answers.pop(0))
        elif self.path == "/api/v1/policies":
            self.memory.policies.append(json.loads(body))
            self.answer(201, {"ok": True})
        else:
            self.ingest(body)

    def ingest(self, body: bytes) -> None:
        key = self.headers["Idempotency-Key"]
        if self.memory.keys.get(key) == body:
            self.answer(201, {"ok": True, "stored": 0, "rejected": []})
            return
        readings = strict(body)
        if readings is None:
            self.answer(422, {"detail": "not readings"})
            return
        self.memory.keys[key] = body
        self.memory.readings += readings
        self.answer(201, {"ok": True, "stored": len(readings), "rejected": [], "violations": [], "actions": []})

    def answer(self, status: int, body: dict[str, object]) -> None:
        self.memory.requests.append((self.command, self.path, status))
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Quiet."""


def strict(body: bytes) -> list[dict[str, object]] | None:
    """The readings in a body, or None when Vigil would refuse it."""
    try:
        value = json.loads(body, parse_constant=_refuse)
    except ValueError:
        return None
    if not isinstance(value, list) or not all(_is_reading(one) for one in value):
        return None
    return value


def _is_reading(one: object) -> bool:
    return (
        isinstance(one, dict)
        and set(one) <= {"name", "value", "tags", "timestamp"}
        and isinstance(one["name"], str)
        and bool(one["name"])
        and type(one["value"]) in (int, float)
    )


def _refuse(constant: str) -> float:
    raise ValueError(constant)


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
