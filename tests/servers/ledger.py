"""A remediator that can misbehave, and writes every request down before it answers: the oracle of the fault tests."""

import contextlib
import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers import hostile


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One request that arrived whole, and when its effect began and ended (monotonic seconds)."""

    key: str
    target: str
    fence: int
    began: float
    ended: float


class Ledger:
    """An HTTP remediator on a free port of loopback. `mode_of(target)` says how to behave: see `MODES`."""

    MODES = ("good", "slow", "error", "busy", "garbage", "hang", "reset", "accept", "R16", *hostile.ANSWERS)

    def __init__(
        self,
        log: Path,
        *,
        latency: float | Callable[[], float] = 0.05,
        mode_of: Callable[[str, int], str] | None = None,
    ) -> None:
        """`mode_of(target, nth)` is asked for the nth request (from 1) of a target."""
        self.latency = latency
        self.mode_of = mode_of or (lambda target, nth: "good")
        self.effects: list[Effect] = []
        self.asked: Counter[str] = Counter()
        self._log = log.open("a")
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self.speaks = True
        """Whether questions by key are answered; False: as if it had no such address."""
        ledger = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                ledger.act(self)

            def do_GET(self) -> None:
                ledger.tell(self)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._handler = Handler
        self._endless: set[str] = set()
        self._server = self._listen(0)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def busy(self) -> int:
        """How many requests are being worked on now."""
        return self._under_way.total()

    def stop(self) -> None:
        """Answer no more."""
        self.shut()
        self._log.close()

    def shut(self) -> None:
        """Let nobody in, until `open`."""
        self._server.shutdown()
        self._server.server_close()

    def open(self) -> None:
        """Let callers in again, at the same address."""
        self._server = self._listen(self._server.server_port)

    def act(self, request: BaseHTTPRequestHandler) -> None:
        """Write the request down, have the effect, then answer as the mode says."""
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        key, target = request.headers["Idempotency-Key"], body["target"]
        fence = int(request.headers["Vigil-Fence"].rpartition(";")[2])
        began = time.monotonic()
        with self._lock:
            self._under_way[key] += 1
            self._requests[target] += 1
            nth = self._requests[target]
            self._write({"began": began, "key": key, "target": target, "fence": fence, "nth": nth})
        try:
            self._behave(request, body, self.mode_of(target, nth))
        finally:
            with self._lock:
                self._under_way[key] -= 1
                ended = time.monotonic()
                self.effects.append(Effect(key=key, target=target, fence=fence, began=began, ended=ended))
                self._write({"ended": ended, "key": key, "fence": fence})

    def tell(self, request: BaseHTTPRequestHandler) -> None:
        """`GET /runs/{key}`: what became of it."""
        key = request.path.rpartition("/")[2]
        with self._lock:
            self.asked[key] += 1
            known = any(effect.key == key for effect in self.effects)
            status = "running" if self._under_way[key] or key in self._endless else "done" if known else "not_found"
        if self.speaks:
            _answer(request, {"status": status, "key": key, "message": "from the ledger"})
        else:
            _answer(request, {"oops": True}, status=500)

    def _listen(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def _behave(self, request: BaseHTTPRequestHandler, body: dict[str, Any], mode: str) -> None:
        time.sleep(self.latency() if callable(self.latency) else self.latency)
        match mode:
            case "accept":
                _answer(request, {"run_id": request.headers["Idempotency-Key"]}, status=202)
                time.sleep(1.0)  # the effect goes on after the answer
            case "slow":
                time.sleep(3)
                _answer(request, {"status": "success", "action_id": body["action_id"]})
            case "R16":
                self._endless.add(request.headers["Idempotency-Key"])
                _answer(request, {"run_id": request.headers["Idempotency-Key"]}, status=202)
            case "busy":
                _answer(request, {"oops": True}, status=503, retry_after="3")
            case "error":
                _answer(request, {"oops": True}, status=500)
            case "garbage":
                request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"status": "succ')
            case "hang":
                _until_the_caller_hangs_up(request)
            case "reset":
                request.connection.shutdown(2)
            case _ if mode in hostile.ANSWERS:
                hostile.answer(mode, request.connection)
            case _:
                _answer(request, {"status": "success", "action_id": body["action_id"]})

    def _write(self, line: dict[str, Any]) -> None:
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()
        os.fsync(self._log.fileno())


def _until_the_caller_hangs_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.settimeout(30)
    with contextlib.suppress(OSError):
        request.connection.recv(1)


def _answer(request: BaseHTTPRequestHandler, body: dict[str, Any], *, status: int = 200, retry_after: str = "") -> None:
    content = json.dumps(body).encode()
    try:
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        if retry_after:
            request.send_header("Retry-After", retry_after)
        request.end_headers()
        request.wfile.write(content)
    except OSError:
        pass  # whoever asked is gone: that is what some of these tests are about


def doubled(effects: list[Effect]) -> list[str]:
    """Keys that were sent more than once."""
    return sorted(key for key, times in Counter(effect.key for effect in effects).items() if times > 1)


def overlapping(effects: list[Effect]) -> list[str]:
    """Targets on which two effects were under way at once."""
    found = []
    for target in {effect.target for effect in effects}:
        spans = sorted((e.began, e.ended) for e in effects if e.target == target)
        if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
            found.append(target)
    return sorted(found)


def regressions(effects: list[Effect]) -> list[str]:
    """Targets whose fence did not only grow."""
    found = []
    for target in {effect.target for effect in effects}:
        fences = [e.fence for e in sorted(effects, key=lambda e: e.began) if e.target == target]
        if any(later <= earlier for earlier, later in itertools.pairwise(fences)):
            found.append(target)
    return sorted(found)
