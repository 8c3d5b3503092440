"""One log line and one count for every Celery task, under one request id."""

import os
import time
from contextlib import AbstractContextManager
from typing import Any

import structlog
from celery.signals import (
    before_task_publish,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_shutdown,
)
from prometheus_client import multiprocess

from vigil.kernel import context
from vigil.telemetry import exposition, metrics

log = structlog.get_logger("vigil.tasks")

HEADER = "vigil_request_id"
"""A message carries the id of the work that sent it."""

_TOO_OFTEN_TO_TELL = frozenset({"periodic.come_round"})
"""Workers send it to themselves every few seconds."""

_running: dict[str, tuple[float, AbstractContextManager[str]]] = {}


def connect() -> None:
    """Listen to Celery. Our logging stays ours."""
    setup_logging.connect(_keep_logging, weak=False)
    before_task_publish.connect(_send_along, weak=False)
    task_prerun.connect(_begin, weak=False)
    task_postrun.connect(_end, weak=False)
    worker_init.connect(_serve_metrics, weak=False)
    worker_process_shutdown.connect(_forget_process, weak=False)


def _keep_logging(**_: Any) -> None:
    """A receiver of `setup_logging` tells Celery that logging is configured."""


def _serve_metrics(**_: Any) -> None:
    exposition.serve_if_asked()


def _send_along(headers: dict[str, Any], **_: Any) -> None:
    if context.request_id():
        headers[HEADER] = context.request_id()


def _begin(task_id: str, task: Any, **_: Any) -> None:
    given = getattr(task.request, HEADER, None)
    bound = context.bind(request_id=given if context.acceptable(given) else task_id.replace("-", ""))
    bound.__enter__()
    _running[task_id] = (time.monotonic(), bound)


def _end(task_id: str, task: Any, state: str | None = None, kwargs: Any = None, **_: Any) -> None:
    if task_id not in _running:
        return
    started, bound = _running.pop(task_id)
    outcome = (state or "unknown").lower()
    told = log.debug if task.name in _TOO_OFTEN_TO_TELL else log.info
    told(
        "task.run.finished",
        task=task.name,
        outcome=outcome,
        milliseconds=round((time.monotonic() - started) * 1000, 1),
        action_id=(kwargs or {}).get("action_id"),
    )
    metrics.tasks_total.labels(task=task.name, outcome=outcome).inc()
    bound.__exit__(None, None, None)


def _forget_process(pid: int | None = None, **_: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(pid or os.getpid())  # type: ignore[no-untyped-call]
