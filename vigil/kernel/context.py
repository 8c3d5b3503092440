"""The correlation id that ties a request to its tasks, attempts, log lines and audit entries."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeGuard

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")

_request_id: ContextVar[str] = ContextVar("vigil_request_id", default="")


def request_id() -> str:
    """The id of the work at hand, or "" outside of any."""
    return _request_id.get()


def new_request_id() -> str:
    """A fresh id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def acceptable(given: object) -> TypeGuard[str]:
    """Whether an id that somebody else gave is decent enough to be kept."""
    return isinstance(given, str) and _ACCEPTABLE.fullmatch(given) is not None


@contextmanager
def bind(*, request_id: str) -> Iterator[str]:
    """Everything inside the block belongs to this request id."""
    token = _request_id.set(request_id)
    try:
        yield request_id
    finally:
        _request_id.reset(token)
