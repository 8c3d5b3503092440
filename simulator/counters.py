"""What was sent and what was answered, counted by several threads."""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The counters at one moment. Every send of a reading counts once; a reading sent again counts again."""

    generated: int = 0
    resent: int = 0
    succeeded: int = 0
    failed: int = 0
    """Refused readings, broken connections and 5xx answers."""
    rate_limited: int = 0
    timeout: int = 0
    malformed: int = 0
    """Bad bodies sent on purpose and refused, as they should be."""
    malformed_accepted: int = 0
    """Bad bodies that were accepted: anything but 0 is a finding."""
    answers: dict[str, int]
    """HTTP requests by status, or by what went wrong with the connection."""
    last_event_at: datetime | None = None


class Counters:
    """Add from any thread; `read` gives one consistent picture."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._last_event_at: datetime | None = None

    def add(self, name: str, number: int) -> None:
        with self._lock:
            self._numbers[name] += number

    def answered(self, status: str) -> None:
        with self._lock:
            self._answers[status] += 1

    def generated(self, number: int, *, at: datetime) -> None:
        with self._lock:
            self._numbers["generated"] += number
            self._last_event_at = at

    def read(self) -> Count:
        with self._lock:
            return Count(**self._numbers, answers=dict(self._answers), last_event_at=self._last_event_at)
