"""Hints to workers: "look at this action". One may get lost, come twice or come late; nothing depends on it."""

import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from kombu import Connection

from actions import tasks
from vigil.kernel import context, failpoints
from vigil.telemetry import metrics

logger = structlog.get_logger(__name__)

QUEUE = "vigil.actions"
WAITING_MAX = 1_000
"""How many hints a web process keeps while Redis is slow; the dispatcher gives what does not fit."""

PASSED_ON_MOST = 8
"""Workers that do not know the kind of an action before its hint is dropped; idle ones take hints in turn."""
PASSED_ON_A_SECOND = 10
"""So many hints a process passes on at most: what nobody knows keeps nobody busy, and is hinted at again in 15 s."""

AGAIN_WITHIN_SECONDS = 1.0
"""A publish that failed faster than this is tried once more on a fresh connection."""

_DIRECT_ROLES = frozenset({"worker", "chores", "dispatcher"})


class _Background:
    """One small thread that publishes, so that no request ever waits for Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._waiting: queue.Queue[tuple[int, str]] = queue.Queue(maxsize=WAITING_MAX)

    def add(self, action_id: int) -> None:
        self._ensure_started()
        try:
            self._waiting.put_nowait((action_id, context.request_id()))
        except queue.Full:
            metrics.hints_total.labels(outcome="dropped").inc()

    def _ensure_started(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            # A fork copies the queue but not the thread: each process begins with its own.
            self._pid = os.getpid()
            self._waiting = queue.Queue(maxsize=WAITING_MAX)
            threading.Thread(target=self._run, args=(self._waiting,), name="vigil-hints", daemon=True).start()

    def _run(self, waiting: "queue.Queue[tuple[int, str]]") -> None:
        while True:
            action_id, request_id = waiting.get()
            with context.bind(request_id=request_id):
                publish([action_id])


_background = _Background()
_direct = threading.Event()
_outage = threading.Event()


def publish_directly() -> None:
    """From now on this process publishes where it stands: for workers and the dispatcher, which serve no requests."""
    _direct.set()


def give(action_ids: Sequence[int]) -> None:
    """Hint at these actions. Call it after the commit; it never raises, and in a web process never waits."""
    if _direct.is_set() or settings.VIGIL_ROLE in _DIRECT_ROLES:
        publish(action_ids)
        return
    for action_id in action_ids:
        _background.add(action_id)


def publish(action_ids: Sequence[int]) -> int:
    """Publish here and now; how many went out. Stops at the first failure, which may take 3 s; never raises."""
    for done, action_id in enumerate(action_ids):
        if not _published({"action_id": action_id}):
            return done
    return len(action_ids)


def pass_on(action_id: int, *, times: int) -> bool:
    """Give a hint that this worker can do nothing with back, for the `times`th time; whether it went out.

    A bounded number of times and so many a second: else it is dropped, as any hint may be. Never raises.
    """
    if not 0 < times <= PASSED_ON_MOST or not _allowance.take(at=time.monotonic()):
        metrics.hints_total.labels(outcome="left").inc()
        return False
    return _published({"action_id": action_id, "passed_on": times})


def _published(message: Mapping[str, int]) -> bool:
    failpoints.hit("publish.before")
    action_id = message["action_id"]
    try:
        _send(message)
    except Exception as error:  # whatever ails the broker, the dispatcher finds the row
        metrics.hints_total.labels(outcome="failed").inc()
        if not _outage.is_set():  # one line for an outage, not one for each hint
            logger.warning("actions.hint.failed", action_id=action_id, error=f"{type(error).__name__}: {error}")
        _outage.set()
        return False
    failpoints.hit("publish.after")
    metrics.hints_total.labels(outcome="passed_on" if "passed_on" in message else "published").inc()
    if _outage.is_set():
        logger.info("actions.hint.recovered", action_id=action_id)
    _outage.clear()
    return True


def _send(message: Mapping[str, int]) -> None:
    started = time.monotonic()
    try:
        _publish_on(_line.connection(), message)
    except Exception:
        _line.hang_up()
        if time.monotonic() - started > AGAIN_WITHIN_SECONDS:
            raise
        # A broker that was restarted closed our connection long ago; a fresh one tells whether it is back.
        _publish_on(_line.connection(), message)


def _publish_on(connection: Connection, message: Mapping[str, int]) -> None:
    # It never expires: Celery would hold that against the clock of the worker, and one that is ahead took up no hint.
    how: dict[str, Any] = {"queue": QUEUE, "retry": False, "connection": connection}
    tasks.run_action.apply_async(kwargs=dict(message), **how)


class _Allowance:
    """So many a second, and never more at once."""

    def __init__(self, a_second: int) -> None:
        self._a_second = a_second
        self._left = float(a_second)
        self._counted_at = 0.0

    def take(self, *, at: float) -> bool:
        """Whether one may go at this time, by time.monotonic()."""
        self._left = min(self._a_second, self._left + (at - self._counted_at) * self._a_second)
        self._counted_at = at
        if self._left < 1:
            return False
        self._left -= 1
        return True


_allowance = _Allowance(PASSED_ON_A_SECOND)


class _Line(threading.local):
    """Each publishing thread's own connection. Celery's shared ones try three times, 6 s in all, to get through."""

    def __init__(self) -> None:
        self._pid = 0
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        if self._connection is None or self._pid != os.getpid():
            self._connection = tasks.run_action.app.connection_for_write(transport_options={"max_retries": 0})
            self._pid = os.getpid()
        return self._connection

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.release()
        self._connection = None


_line = _Line()
