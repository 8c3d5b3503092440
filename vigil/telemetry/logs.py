"""JSON logs, one object a line, the request id on every line."""

import logging
import logging.config
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from vigil.kernel import context

_TOLD_BY_US = ("celery.worker.strategy", "celery.app.trace")
"""A task has one line (`tasks_story`); that it was received, and that it ended well, would be two more."""

_KEY = re.compile(r"vgl_([0-9a-f]{8})_[A-Za-z0-9_-]+")


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: everything, also libraries' lines, goes to stderr as JSON."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _request_id,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            *shared,
            structlog.stdlib.ExtraAdder(),
            _without_strangers_traceback,
            structlog.processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_request,
            structlog.processors.JSONRenderer(ensure_ascii=True),
            _without_keys,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(config["level"])
    for noisy in ("django.server", "axes", "kombu", "amqp", "urllib3", "asyncio", *_TOLD_BY_US):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("django.request").setLevel(max(logging.ERROR, root.level))  # each request has its line, by us
    logging.captureWarnings(True)


def _without_request(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Django hands its request along, which prints itself with the query: nobody knows what people put in there."""
    event.pop("request", None)
    return event


def _without_strangers_traceback(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Anybody can send a foreign Host header: that is worth a line, not a page."""
    if str(event.get("logger", "")).startswith("django.security"):
        event.pop("exc_info", None)
    return event


def _without_keys(_logger: Any, _method: str, line: Any) -> Any:
    """Whoever puts an API key where none belongs still does not find it in the logs."""
    return _KEY.sub(r"vgl_\1_***", line)


def _request_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.setdefault("request_id", context.request_id())
    return event
