"""Signs of life for who started this process: a file that is touched, which needs neither database nor broker."""

import os
import threading
from contextlib import suppress
from pathlib import Path

VARIABLE = "VIGIL_SIGNS_DIR"
"""Set by `manage.py up` for its children; without it nobody looks, and no sign is given."""


def give() -> None:
    """Say that this process lives."""
    directory = os.environ.get(VARIABLE)
    if directory:
        with suppress(OSError):  # a full disk must not end what it is about to report
            path(Path(directory), os.getpid()).touch()


def keep_giving(*, stop: threading.Event, every_seconds: float) -> None:
    """Say so again and again, in a thread that waits for nobody else, until `stop`."""

    def keep_on() -> None:
        while not stop.is_set():
            give()
            stop.wait(every_seconds)

    threading.Thread(target=keep_on, daemon=True, name="vigil-signs").start()


def path(directory: Path, pid: int) -> Path:
    """The file that process `pid` touches."""
    return directory / str(pid)


def last(directory: Path, pid: int) -> int | None:
    """When process `pid` gave its last sign, in nanoseconds; None: it has given none."""
    try:
        return path(directory, pid).stat().st_mtime_ns
    except OSError:
        return None
