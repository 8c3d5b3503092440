#!/usr/bin/env python3
"""A remediator for Vigil that keeps the strict contract, with nothing but Python's standard library.

    REMEDIATOR_SECRET=whsec_... python3 reference_remediator.py --port 9000 --actions my_actions.py

`my_actions.py` holds a dictionary ACTIONS: action name -> function(target, params). What the function returns (None, a
sentence or a dictionary of details) becomes the answer; an exception means "failed", and one with a true attribute
`retryable` promises that nothing was done, so that Vigil may try again.
"""

import argparse
import base64
import hashlib
import hmac
import importlib.util
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

SKEW_SECONDS = 300
"""How far the two clocks may be apart; also how long a signed message could be replayed."""
KEEP_SECONDS = 2 * 24 * 3600
"""How long answers are remembered: the contract asks for a day."""
BODY_LIMIT_BYTES = 64 * 1024

Action = Callable[[str, dict[str, Any]], Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The call is not carried out. Nothing was done, and the reply says so."""

    def __init__(self, status: int, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        headers = {"Retry-After": "5"} if status == 429 else {}
        body = {"status": "failed", "code": code, "message": message, **more}
        self.reply = Reply(status=status, body=body, headers=headers)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One signed request, read and checked for shape."""

    key: str
    message_id: str
    fence: int
    target: str
    action: str
    action_id: int
    params: dict[str, Any]
    deadline: float
    digest: str

    def echo(self) -> dict[str, object]:
        """What every answer repeats, so that Vigil knows which call it belongs to."""
        return {"action_id": self.action_id, "key": self.key, "target": self.target}


# --- Reading a request ------------------------------------------------------------------------------------------------


def check_signature(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, any of the given signatures, any of our keys."""
    stamp = headers.get("webhook-timestamp") or ""
    message_id = headers.get("webhook-id") or ""
    if not (stamp.isascii() and stamp.isdigit()) or abs(now - int(stamp)) > SKEW_SECONDS:
        raise Refused(401, "unsigned", "The timestamp is missing or more than 5 minutes away; compare the clocks.")
    signed = f"{message_id}.{stamp}.".encode() + body
    wanted = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()) for key in _keys(secret)]
    given = [mark.removeprefix("v1,").encode() for mark in (headers.get("webhook-signature") or "").split()]
    if not any(hmac.compare_digest(ours, theirs) for ours in wanted for theirs in given):
        raise Refused(401, "unsigned", "The signature does not match; compare the secrets.")


def check_key(key: str, headers: Mapping[str, str]) -> None:
    """Vigil's message ids are `key-attempt` and `key-ask-random`: so the signature covers the key too."""
    if not (headers.get("webhook-id") or "").startswith(f"{key}-"):
        raise Refused(401, "unsigned", "The signature is about another key.")


def _keys(secret: str) -> list[bytes]:
    """`whsec_` announces base64, anything else is the key itself; two keys while one replaces the other."""
    parts = secret.split()
    return [base64.b64decode(p.removeprefix("whsec_")) if p.startswith("whsec_") else p.encode() for p in parts]


def read_call(headers: Mapping[str, str], body: bytes) -> Call:
    """The request's meaning, or Refused with the reason."""
    try:
        given = json.loads(body)
        target, _, fence = (headers.get("vigil-fence") or "").rpartition(";")
        call = Call(
            key=unquote(headers["idempotency-key"]),
            message_id=headers.get("webhook-id") or "",
            fence=int(fence),
            target=given["target"],
            action=given["action"],
            action_id=given["action_id"],
            params=dict(given["params"]),
            deadline=datetime.fromisoformat(given["deadline"]).timestamp(),
            digest=_digest(given),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(422, "malformed", f"The request lacks something or has it wrong: {error!r}.") from error
    if not (isinstance(call.target, str) and isinstance(call.action, str) and call.target):
        raise Refused(422, "malformed", "target and action are texts, and not empty.")
    if unquote(target) != call.target:
        raise Refused(422, "malformed", "Vigil-Fence is about another target than the body.")
    return call


def _digest(given: Mapping[str, object]) -> str:
    """Two attempts of one action differ in `attempt`; anything else that differs makes it another request."""
    same = {name: value for name, value in given.items() if name != "attempt"}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


# --- What must survive a restart --------------------------------------------------------------------------------------


class Memory:
    """Keys with their answers, fences and message ids, in SQLite. Every decision to act is committed before the act."""

    SCHEMA = """
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        CREATE TABLE IF NOT EXISTS runs (
            key TEXT PRIMARY KEY, digest TEXT NOT NULL, target TEXT NOT NULL, begun REAL NOT NULL,
            state TEXT NOT NULL, status INTEGER, answer TEXT);
        CREATE TABLE IF NOT EXISTS fences (target TEXT PRIMARY KEY, highest INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, seen REAL NOT NULL);
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript(self.SCHEMA)
        # Whatever was running when the process died: it may or may not have happened, and only a person can tell.
        self._db.execute("UPDATE runs SET state = 'unknown' WHERE state = 'running'")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time; what is refused leaves no trace but what was committed on purpose."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def note_message(self, message_id: str, now: float) -> None:
        """Refuse a signed message that was seen before. Vigil numbers its attempts, so its own are all different."""
        with self.transaction() as db:
            db.execute("DELETE FROM messages WHERE seen < ?", (now - 2 * SKEW_SECONDS,))
            if db.execute("INSERT OR IGNORE INTO messages VALUES (?, ?)", (message_id, now)).rowcount == 0:
                raise Refused(409, "replayed", "This very message was received before.")

    def note_fence(self, call: Call) -> None:
        """Refuse a fence lower than the highest seen for the target: its sender was overtaken."""
        with self.transaction() as db:
            self.refuse_overtaken(db, call)
            db.execute("INSERT OR REPLACE INTO fences VALUES (?, ?)", (call.target, call.fence))

    def refuse_overtaken(self, db: sqlite3.Connection, call: Call) -> None:
        """Refused for a fence that is not the highest."""
        row = db.execute("SELECT highest FROM fences WHERE target = ?", (call.target,)).fetchone()
        if row and call.fence < row[0]:
            raise Refused(409, "stale_fence", f"Fence {row[0]} was seen for {call.target}.", **call.echo())

    def begin(self, call: Call, now: float, cap: int) -> bool:
        """Remember that the effect is about to happen, unless it must not. False: its twin was faster by a moment."""
        with self.transaction() as db:
            if db.execute("SELECT 1 FROM runs WHERE key = ?", (call.key,)).fetchone():
                return False
            self.refuse_overtaken(db, call)  # again: a later call may have come and gone since it was noted
            db.execute("DELETE FROM runs WHERE begun < ? AND state != 'running'", (now - KEEP_SECONDS,))
            if db.execute("SELECT 1 FROM runs WHERE target = ? AND state = 'running'", (call.target,)).fetchone():
                raise Refused(409, "busy", f"{call.target} is being worked on.", retryable=True, **call.echo())
            (recent,) = db.execute("SELECT count(*) FROM runs WHERE begun > ?", (now - 60,)).fetchone()
            if recent >= cap:
                raise Refused(429, "rate", f"{recent} actions in the last minute; the cap is {cap}.", **call.echo())
            row = (call.key, call.digest, call.target, now)
            db.execute("INSERT INTO runs (key, digest, target, begun, state) VALUES (?, ?, ?, ?, 'running')", row)
        return True

    def end(self, key: str, state: str, reply: Reply) -> None:
        """Remember the answer."""
        with self.transaction() as db:
            row = (state, reply.status, json.dumps(reply.body), key)
            db.execute("UPDATE runs SET state = ?, status = ?, answer = ? WHERE key = ?", row)

    def forget(self, key: str) -> None:
        """The effect did not happen and may be tried again with the same key."""
        with self.transaction() as db:
            db.execute("DELETE FROM runs WHERE key = ?", (key,))

    def find(self, key: str) -> tuple[str, str, Reply] | None:
        """Digest, state and reply of an earlier call."""
        with self._lock:
            row = self._db.execute("SELECT digest, state, status, answer FROM runs WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        digest, state, status, answer = row
        if state == "running":
            return digest, state, Reply(status=202, body={"status": "running", "run_id": key, "key": key})
        if state == "unknown":
            message = "The remediator was restarted in the middle; look at the target."
            return digest, state, Reply(status=500, body={"status": "unknown", "message": message, "key": key})
        return digest, state, Reply(status=status, body=json.loads(answer))


# --- Doing it ---------------------------------------------------------------------------------------------------------


class Remediator:
    """The strict contract around a table of functions."""

    def __init__(
        self,
        *,
        actions: Mapping[str, Action],
        memory: Memory,
        secret: str = "",
        cap: int = 60,
        answer_within: float = 5.0,
        latency: float = 0.0,
        journal: str = "",
        workers: int = 16,
    ) -> None:
        self._actions, self._memory, self._secret = actions, memory, secret
        self._cap, self._answer_within, self._latency, self._journal = cap, answer_within, latency, journal
        self._workers = ThreadPoolExecutor(max_workers=workers)
        self._waiting: dict[str, Future[Reply]] = {}

    def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Carry a call out once, however often it comes. The order of these checks matters.

        1. is it from Vigil, and not a recording?  2. is the action known here?  3. was this key answered before?
        4. was its sender overtaken?  5. is it too late?  6. commit, then act.
        """
        now = time.time()
        if self._secret:
            check_signature(self._secret, headers, body, now)
            check_key(headers.get("idempotency-key") or "", headers)
            self._memory.note_message(headers.get("webhook-id") or "", now)
        call = read_call(headers, body)
        if call.action not in self._actions:
            known = ", ".join(sorted(self._actions))
            raise Refused(422, "unknown_action", f"{call.action!r} is not done here. Known: {known}.", **call.echo())
        earlier = self._memory.find(call.key)
        if earlier is None:
            self._memory.note_fence(call)
            if now > call.deadline:
                raise Refused(409, "deadline_passed", "The deadline has passed; nothing was done.", **call.echo())
            if self._memory.begin(call, now, self._cap):
                run = self._waiting[call.key] = self._workers.submit(self._act, call)
                run.add_done_callback(lambda _: self._waiting.pop(call.key, None))
                return self._answer(call, run)
            earlier = self._memory.find(call.key)
        if earlier is None:
            raise Refused(409, "busy", "The same call has just failed; try again.", retryable=True, **call.echo())
        return _again(call, *earlier)

    def get(self, headers: Mapping[str, str], key: str) -> Reply:
        """What became of a key. The request has no body, so its message id must begin with the key it asks about."""
        if self._secret:
            check_signature(self._secret, headers, b"", time.time())
            check_key(key, headers)
        earlier = self._memory.find(key)
        if earlier is None:
            return Reply(status=404, body={"status": "not_found", "key": key, "message": "This key was never begun."})
        _, state, reply = earlier
        status = 200 if state in {"done", "failed", "cancelled"} else reply.status
        return Reply(
            status=status, body={**reply.body, "status": reply.body["status"] if state == "unknown" else state}
        )

    def cancel(self, headers: Mapping[str, str], key: str) -> Reply:
        """Stop a run, if it has not begun: these functions cannot be interrupted. Otherwise, how it stands."""
        if self._secret:
            check_signature(self._secret, headers, b"", time.time())
            check_key(key, headers)
        run = self._waiting.get(key)
        if run is not None and run.cancel():
            said = {"status": "failed", "message": "It was stopped before it began; nothing was done.", "key": key}
            self._memory.end(key, "cancelled", Reply(status=200, body=said))
        return self.get(headers, key)

    def _answer(self, call: Call, run: "Future[Reply]") -> Reply:
        try:
            return run.result(timeout=self._answer_within)
        except CancelledError:
            return Reply(status=200, body={"status": "failed", "message": "It was cancelled.", **call.echo()})
        except NotYet:
            return Reply(status=202, body={"status": "running", "run_id": call.key, **call.echo()})

    def _act(self, call: Call) -> Reply:
        """Run the function, then remember its answer before anybody hears it."""
        if time.time() > call.deadline:
            return self._end(call, "failed", "The deadline passed while every worker was busy; nothing was done.")
        self._write("begun", call)
        try:
            time.sleep(self._latency)
            state, said = "done", self._actions[call.action](call.target, call.params)
        except Exception as error:  # the function belongs to somebody else: whatever it raises is its answer
            if getattr(error, "retryable", False):
                self._memory.forget(call.key)
                self._write("ended", call)
                return _reply(call, "failed", f"{error}", retryable=True)
            state, said = "failed", f"{type(error).__name__}: {error}"
        reply = self._end(call, state, said)
        self._write("ended", call)
        return reply

    def _end(self, call: Call, state: str, said: object) -> Reply:
        reply = _reply(call, "success" if state == "done" else "failed", said)
        self._memory.end(call.key, state, reply)
        return reply

    def _write(self, what: str, call: Call) -> None:
        """One line on disk for each beginning and end of an effect: the evidence of what really happened."""
        if not self._journal:
            return
        entry = {"what": what, "at": time.time(), "action": call.action, "fence": call.fence, **call.echo()}
        with open(self._journal, "a") as journal:
            journal.write(json.dumps(entry) + "\n")
            journal.flush()
            os.fsync(journal.fileno())


def _again(call: Call, digest: str, _state: str, reply: Reply) -> Reply:
    if digest != call.digest:
        raise Refused(422, "key_reused", "This key belongs to a request with another body.", **call.echo())
    return Reply(status=reply.status, body={**reply.body, **call.echo()})


def _reply(call: Call, status: str, said: object, **more: object) -> Reply:
    details = said if isinstance(said, dict) else {}
    message = said if isinstance(said, str) else f"{call.action} on {call.target}: {status}."
    return Reply(status=200, body={"status": status, "message": message, "details": details, **more, **call.echo()})


# --- The server -------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Turns HTTP into calls of the remediator."""

    protocol_version = "HTTP/1.1"
    timeout = 10  # a client that says nothing more is let go
    remediator: Remediator

    def do_POST(self) -> None:
        """A call, or the wish to stop one."""
        length = self.headers.get("Content-Length") or ""
        if not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
            self._send(Reply(status=413, body={"status": "failed", "message": "At most 64 KiB, with a length."}))
            return
        body = self.rfile.read(int(length))
        _, found, key = self.path.partition("/runs/")
        if found and key.endswith("/cancel"):
            self._reply(lambda: self.remediator.cancel(self._own_headers(), unquote(key.removesuffix("/cancel"))))
            return
        self._reply(lambda: self.remediator.post(self._own_headers(), body))

    def do_GET(self) -> None:
        """A question about a key; anything else is "is somebody there?"."""
        _, found, key = self.path.partition("/runs/")
        if found:
            self._reply(lambda: self.remediator.get(self._own_headers(), unquote(key)))
        else:
            self._send(Reply(status=200, body={"status": "ok"}))

    def _own_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _reply(self, make: Callable[[], Reply]) -> None:
        try:
            reply = make()
        except Refused as refused:
            reply = refused.reply
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        body = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", "Connection": "close", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silent: the journal tells what matters."""


def serve(remediator: Remediator, *, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is listening; call serve_forever."""
    handler = type("BoundHandler", (Handler,), {"remediator": remediator})
    return ThreadingHTTPServer((host, port), handler)


def rehearsal(target: str, params: dict[str, Any]) -> str:
    """Stands where your code goes: it changes nothing."""
    return f"Rehearsed on {target} with {json.dumps(params)}; pass --actions to really act."


NAMES = ("scale-up", "scale-down", "restart", "restart-service", "drain-pod", "rebalance", "snapshot", "custom")


def load_actions(path: str) -> dict[str, Action]:
    """The dictionary ACTIONS of a Python file; without a file, actions that only say they were called."""
    if not path:
        return dict.fromkeys(NAMES, rehearsal)
    spec = importlib.util.spec_from_file_location("remediator_actions", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        sys.exit(f"{path} is not a Python file with a dictionary ACTIONS.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.ACTIONS)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="A remediator for Vigil that keeps the strict contract.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one")
    parser.add_argument("--actions", default="", help="Python file with a dictionary ACTIONS")
    parser.add_argument("--database", default="remediator.sqlite3", help="keys, answers and fences")
    parser.add_argument("--journal", default="", help="file that gets one line for each beginning and end of an effect")
    parser.add_argument("--cap", type=int, default=60, help="actions a minute")
    parser.add_argument("--answer-within", type=float, default=5.0, help="seconds; longer runs answer 202")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds each action takes longer, for tests")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    options = arguments()
    remediator = Remediator(
        actions=load_actions(options.actions),
        memory=Memory(options.database),
        secret=os.environ.get("REMEDIATOR_SECRET", ""),
        cap=options.cap,
        answer_within=options.answer_within,
        latency=options.latency,
        journal=options.journal,
    )
    server = serve(remediator, host=options.host, port=options.port)
    if not os.environ.get("REMEDIATOR_SECRET"):
        print("REMEDIATOR_SECRET is not set: anybody who reaches this port can act.", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"Remediator is ready at http://{options.host}:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
