"""A Celery worker's main process says every ten seconds that it is alive, and its children that beat is."""

import os
import socket
import threading
from typing import Any

import structlog
from celery.signals import task_prerun, worker_ready, worker_shutting_down
from django.conf import settings
from django.db import Error, connection

from vigil.kernel import clock
from vigil.periodic import beats

log = structlog.get_logger(__name__)

EVERY_SECONDS = 10.0

_stop = threading.Event()


def connect() -> None:
    """Begin when a worker is ready, end when it shuts down."""
    worker_ready.connect(_begin, weak=False)
    worker_shutting_down.connect(_end, weak=False)
    task_prerun.connect(_came_from_beat, weak=False)


def _begin(sender: Any = None, **_: Any) -> None:
    threading.Thread(target=_keep_saying, args=(_name(sender), _role(sender)), daemon=True, name="vigil-beat").start()


def _end(**_: Any) -> None:
    _stop.set()


def _came_from_beat(task: Any = None, **_: Any) -> None:
    """What beat sends says so in a header; it is a sign of life also when its slot was taken."""
    if not getattr(getattr(task, "request", None), "periodic_task_name", None):
        return
    try:
        beats.beat(name="beat", role="beat", at=clock.now(), hostname=socket.gethostname(), pid=os.getpid())
    except Error as error:
        log.warning("periodic.beat.failed", worker="beat", error=str(error))


def _name(sender: Any) -> str:
    return str(getattr(sender, "hostname", "") or f"worker@{socket.gethostname()}")


def _role(sender: Any) -> str:
    if settings.VIGIL_ROLE in {"worker", "chores"}:
        return str(settings.VIGIL_ROLE)
    queues = getattr(getattr(sender, "task_consumer", None), "queues", None) or ()
    return "worker" if any(getattr(queue, "name", queue) == "vigil.actions" for queue in queues) else "chores"


def _keep_saying(name: str, role: str) -> None:
    while not _stop.is_set():
        try:
            beats.beat(name=name, role=role, at=clock.now(), hostname=socket.gethostname(), pid=os.getpid())
        except Error as error:
            log.warning("periodic.beat.failed", worker=name, error=str(error))
        connection.close()  # a child forked later must not inherit an open one
        _stop.wait(EVERY_SECONDS)
