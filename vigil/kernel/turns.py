"""Whose turn it is to write, among processes that share one SQLite file.

SQLite waits for its own lock asleep, longer and longer, and so misses the gaps that a busy writer leaves. Here the
kernel wakes the one that waits: by `flock`, on a file beside the database's. That is for speed alone. Whoever writes
without a turn, or where there can be no such file, meets SQLite's lock as ever.

A `flock` that waits knows no end of it, and a caller needs one, also while the holder hangs. So a thread waits in the
caller's stead, the gatekeeper, and the caller waits for the gatekeeper.
"""

import fcntl
import os
import threading
import time
from contextlib import suppress

import structlog

logger = structlog.get_logger(__name__)

HANGS_AFTER = 2.0
"""Seconds. A turn that the gatekeeper has waited for so long is waited for no more: whoever comes goes on without."""


class Turns:
    """The turns at one file, for one caller at a time, who may take another while having one and gives each back.

    A child of a fork gets one of its own from `at`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None
        self._depth = 0
        self._mine = False
        self._state = threading.Lock()
        self._gatekeeper: threading.Thread | None = None
        self._asked_at: float | None = None
        self._wanted = False
        self._asked, self._answered = _taken_lock(), _taken_lock()

    def take(self, *, seconds: float) -> bool:
        """Whether to write now; False when others took longer than `seconds`.

        True without a turn, which makes no difference to the caller, if the file is of no use or its holder hangs.
        """
        if not self._depth and not self._came(seconds):
            return False
        self._depth += 1
        return True

    def give_back(self) -> None:
        """End what `take` began."""
        self._depth -= 1
        if not self._depth:
            self._end()

    def forget(self) -> None:
        """In the child of a fork: the turn is its parent's, and so is the gatekeeper."""
        self._mine = False
        self._close()

    def _came(self, seconds: float) -> bool:
        try:
            with self._state:
                if self._asked_at is None:
                    if self._free():
                        return True
                    self._ask()
                elif time.monotonic() - self._asked_at > HANGS_AFTER:
                    return True
                self._wanted = True
        except (OSError, RuntimeError) as error:  # no such file, no such lock, no thread: then without
            self._close()
            _tell(error)
            return True
        try:
            return self._answered.acquire(timeout=seconds) or self._answered_at_last()
        except BaseException:  # from the handler of a signal
            self._answered_at_last()
            self._end()
            raise

    def _free(self) -> bool:
        """Most turns are: no thread has to wake another for these."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._mine = True
        return self._mine

    def _ask(self) -> None:
        if self._gatekeeper is None:
            gatekeeper = threading.Thread(target=self._keep_the_gate, name="vigil-turns", daemon=True)
            gatekeeper.start()
            self._gatekeeper = gatekeeper
        self._asked_at = time.monotonic()
        self._asked.release()

    def _answered_at_last(self) -> bool:
        """Nobody waits any more, unless the answer came just now."""
        with self._state:
            self._wanted = False
            return self._answered.acquire(blocking=False)

    def _keep_the_gate(self) -> None:
        while self._asked.acquire():
            got = self._waited()
            with self._state:
                self._asked_at = None
                if self._wanted:
                    self._wanted, self._mine = False, got
                    self._answered.release()
                elif got:
                    self._let_go()

    def _waited(self) -> bool:
        """However long it takes."""
        try:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX)
            return self._file is not None
        except OSError as error:
            _tell(error)
            return False

    def _end(self) -> None:
        if self._mine:
            self._mine = False
            self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)


def at(path: str) -> Turns:
    """This process's turns at the file `path`; for one caller at a time, like the turns themselves."""
    if path not in _known:
        _known[path] = Turns(path)
    return _known[path]


_known: dict[str, Turns] = {}
_told = False


def _tell(error: Exception) -> None:
    """Once: it is the same every time."""
    global _told
    if not _told:
        _told = True
        logger.warning("database.turn.unavailable", error=str(error), means="writers wait as SQLite does, longer")


def _taken_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _begin_afresh() -> None:
    """A lock belongs to the open file, which a child would share: it would hold it on when its parent is killed."""
    for turns in _known.values():
        turns.forget()
    _known.clear()


os.register_at_fork(after_in_child=_begin_afresh)
