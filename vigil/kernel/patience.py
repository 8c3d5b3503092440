"""How long whoever is at work may still wait for the database, and what a process knows of one that says nothing.

Each thread and each request has a patience of its own. Silence is the process's: once one waited in vain, nobody waits
but a thread that asks again and again; or all threads would soon be waiting, with none left to say so.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ASK_AGAIN_AFTER = 0.5
"""Seconds."""
SPARE_SECONDS = 0.5
"""What `Allowance` leaves of a patience: to end what was begun, and to answer."""

_until: ContextVar[float | None] = ContextVar("vigil_patience", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done inside waits for the database `seconds` in all; an earlier limit stays in force."""
    mine, before = time.monotonic() + seconds, _until.get()
    token = _until.set(mine if before is None else min(mine, before))
    try:
        yield
    finally:
        _until.reset(token)


def left() -> float | None:
    """Seconds; 0.0 when it is over, None without a limit."""
    until = _until.get()
    return None if until is None else max(0.0, until - time.monotonic())


def unlimited() -> bool:
    """There is always time for one more."""
    return True


class Allowance:
    """Asked before each piece of a long work that may be left off: whether there is time for one more.

    There is until half a second before the patience in force is over.
    """

    def __init__(self) -> None:
        self.exhausted = False
        """Whether it said no, so that something was left off."""

    def __call__(self) -> bool:
        """Whether there is; after a no it stays at that."""
        seconds = left()
        self.exhausted |= seconds is not None and seconds <= SPARE_SECONDS
        return not self.exhausted


class Silence:
    """Whether the database has said nothing since somebody waited for it in vain."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent = False

    @property
    def holds(self) -> bool:
        """Whether nobody needs to ask."""
        return self._silent

    def fell(self, answers: Callable[[], bool]) -> None:
        """Somebody waited in vain. From now on a thread of its own asks `answers`, until that is True."""
        with self._lock:
            if not self._silent:
                self._silent = True
                threading.Thread(target=self._listen, args=(answers,), name="vigil-silence", daemon=True).start()

    def _listen(self, answers: Callable[[], bool]) -> None:
        try:
            while not answers():
                time.sleep(ASK_AGAIN_AFTER)
        finally:
            self._silent = False


class Strain:
    """Whether somebody has just waited in vain for a database that is slow, though not silent.

    Who comes right after that has waited already: in the web server's queue, for one of the threads that waited.
    """

    LONG_SECONDS = 1.0
    """Who waited for less than that held nobody up."""
    LASTS_SECONDS = 1.0
    """Longer than those who began together wait after one another (2 and 2.5 s on SQLite)."""

    def __init__(self) -> None:
        self._until = 0.0
        self._began: dict[int, float] = {}

    def longest(self) -> float:
        """Seconds that somebody waits by now; whoever comes meanwhile may have waited with them, in that queue."""
        began = list(self._began.values())  # in one step, so that nobody comes or goes meanwhile; the oldest is first
        return time.monotonic() - began[0] if began else 0.0

    @property
    def holds(self) -> bool:
        """Whether a newcomer is better told at once."""
        return time.monotonic() < self._until

    @contextmanager
    def watched(self, *errors: type[Exception]) -> Iterator[None]:
        """What is done inside waits for the database: in vain when one of `errors` comes of it after a long time."""
        me = threading.get_ident()
        self._began[me] = began = time.monotonic()
        try:
            yield
        except errors:
            if time.monotonic() - began > self.LONG_SECONDS:
                self._until = time.monotonic() + self.LASTS_SECONDS
            raise
        finally:
            del self._began[me]
        self._until = 0.0


silence = Silence()
"""This process's."""
strain = Strain()
"""This process's."""
