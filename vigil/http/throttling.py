"""A limit per caller and process, kept in memory: no cache server in the path, exact under threads."""

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from vigil.access import principal
from vigil.http import address

if TYPE_CHECKING:  # DRF's views read their defaults, which name this module
    from rest_framework.views import APIView

CALLERS_REMEMBERED = 10_000


class _Buckets:
    """Token buckets: each refills at `per_minute` and holds ten seconds' worth."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str, *, per_minute: int, at: float) -> float:
        """Seconds to wait; 0.0 means go ahead."""
        rate = per_minute / 60
        size = max(rate * 10, 10.0)
        with self._lock:
            level, since = self._levels.pop(who, (size, at))
            level = min(size, level + (at - since) * rate)
            wait = 0.0 if level >= 1 else (1 - level) / rate
            self._levels[who] = (level - 1 if wait == 0.0 else level, at)
            while len(self._levels) > CALLERS_REMEMBERED:
                self._levels.popitem(last=False)
        return wait

    def forget(self) -> None:
        with self._lock:
            self._levels.clear()


_buckets = _Buckets()


def forget() -> None:
    """Let everybody begin anew: for tests, whose callers share names and addresses."""
    _buckets.forget()


def wait_of(caller: str, setting: str) -> float:
    """Take a turn under the limit that `setting` names; seconds to wait, 0.0 means go ahead."""
    return _buckets.take(f"{setting}:{caller}", per_minute=getattr(settings, setting), at=time.monotonic())


class PerCaller(BaseThrottle):
    """Keys and people by name, strangers by address; a view may say `requests_per_minute`, a settings name."""

    def __init__(self) -> None:
        self._wait = 0.0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        setting = getattr(view, "requests_per_minute", "VIGIL_REQUESTS_PER_MINUTE")
        caller = principal.of(request).actor or address.client(request)
        self._wait = wait_of(caller, setting)
        return self._wait == 0.0

    def wait(self) -> float:
        return self._wait
