"""A Celery worker sees to it that it takes up work, and ends when it does not: who started it starts it again.

A worker's process may live, and its connection stand, and yet no message reach it any more. So each worker sends itself
a small task every few seconds, by the same broker, the same consumer and the same pool as any work.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from billiard.process import active_children
from celery import Celery
from celery.signals import celeryd_after_setup, worker_ready, worker_shutting_down
from celery.worker import state
from django.conf import settings
from kombu import Connection, Exchange, Queue

from vigil.kernel import signs, watchdog
from vigil.kernel.watchdog import Look, Watch
from vigil.periodic import tasks

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
FORGOTTEN_AFTER_SECONDS = 120.0
"""The broker drops the queue of a worker that is gone."""
EXIT_CODE = 75
"""EX_TEMPFAIL: start it again."""

_stop = threading.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What its main process can be asked at any time, from any thread."""

    name: str
    app: Celery
    slots: int

    def taken_up(self) -> int:
        """How many tasks its pool has begun so far."""
        return int(state.all_total_count[0])

    def is_full(self) -> bool:
        """Whether every slot has a task."""
        return len(state.reserved_requests) >= self.slots

    def longest_task_seconds(self) -> float:
        """After how long the pool ends any task of its own accord."""
        usual = self.app.conf.task_time_limit or 0
        return float(max([usual, *(task.time_limit or usual for task in self.app.tasks.values())]))


def connect() -> None:
    """Give each worker a queue of its own before it begins to consume, and watch it from when it is ready."""
    celeryd_after_setup.connect(_listen_to_itself, weak=False)
    worker_ready.connect(_begin, weak=False)
    worker_shutting_down.connect(_end, weak=False)


def every_seconds() -> float:
    """How often a worker sends itself a task."""
    return min(EVERY_SECONDS, settings.VIGIL_WATCHDOG_SECONDS / 4) if settings.VIGIL_WATCHDOG_SECONDS else EVERY_SECONDS


def queue_of(worker: str) -> Queue:
    """The queue that one worker alone listens to."""
    name = f"vigil.watch.{worker}"
    return Queue(name, Exchange("vigil.watch"), routing_key=name, expires=FORGOTTEN_AFTER_SECONDS)


def _listen_to_itself(sender: str, instance: Any, **_: Any) -> None:
    instance.app.amqp.queues.select_add(queue_of(sender))


def _begin(sender: Any, **_: Any) -> None:
    slots = int(getattr(sender.pool, "num_processes", 0) or 1)
    worker = Worker(name=str(sender.hostname), app=sender.app, slots=slots)
    # Signs of life have a thread of their own: a frozen broker or database keeps its caller waiting for seconds.
    signs.keep_giving(stop=_stop, every_seconds=every_seconds())
    threading.Thread(target=_keep_watching, args=(worker,), daemon=True, name="vigil-watchdog").start()


def _end(**_: Any) -> None:
    _stop.set()


def _keep_watching(worker: Worker) -> None:
    line = Line(worker)
    watch = watchdog.begin(
        at=time.monotonic(),
        moved=worker.taken_up(),
        patience_seconds=float(settings.VIGIL_WATCHDOG_SECONDS),
        task_seconds=worker.longest_task_seconds(),
    )
    _stop.wait(every_seconds() / 5)  # its row is about to be there, for what comes round to be noted in
    while not _stop.is_set():
        watch = look(worker, watch, send=line.send)
        if settings.VIGIL_WATCHDOG_SECONDS and watch.is_over and not _stop.is_set():
            _give_up(worker, watch)
        _stop.wait(every_seconds())


def look(worker: Worker, watch: Watch, *, send: Callable[[], bool]) -> Watch:
    """Send the task, and see whether the worker has taken up anything since the last look."""
    reached = send()
    return watch.after(Look(at=time.monotonic(), moved=worker.taken_up(), excused=not reached, full=worker.is_full()))


class Line:
    """The watching thread's own connection to the broker: it must not share the one it has doubts about."""

    def __init__(self, worker: Worker) -> None:
        """Nothing is opened yet."""
        self._worker = worker
        self._queue = queue_of(worker.name)
        self._connection: Connection | None = None

    def send(self) -> bool:
        """Send the worker a task; False: the broker does not answer."""
        try:
            self._publish()
        except Exception as error:  # whatever ails the broker is an excuse
            log.debug("periodic.watch.unsent", worker=self._worker.name, error=f"{type(error).__name__}: {error}")
            self._hang_up()
            return False
        return True

    def _publish(self) -> None:
        if self._connection is None:
            self._connection = self._worker.app.connection_for_write(transport_options={"max_retries": 0})
        how: dict[str, Any] = {"queue": self._queue, "retry": False, "connection": self._connection}
        tasks.come_round.apply_async(kwargs={"worker": self._worker.name}, expires=4 * every_seconds(), **how)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.release()
        self._connection = None


def _give_up(worker: Worker, watch: Watch) -> None:
    """End this process. Calls in hand get the time they may take; after that their leases tell what became of them."""
    log.critical(
        "periodic.worker.stuck",
        worker=worker.name,
        silent_seconds=round(watch.silent_seconds, 1),
        reason="the broker answers and it takes up no work: it ends, to be started again",
    )
    until = time.monotonic() + float(settings.CELERY_TASK_TIME_LIMIT)
    while _has_work_in_hand() and time.monotonic() < until:
        time.sleep(0.1)
    for child in active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
    os._exit(EXIT_CODE)


def _has_work_in_hand() -> bool:
    try:
        return any(request.name != tasks.come_round.name for request in list(state.active_requests))
    except RuntimeError:  # the main thread changed it meanwhile
        return True
