"""Starts the process of a simulation. What it must know, its key among it, goes through a pipe: the command line and
the environment of a process can be read by others."""

import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass

from django.conf import settings

NOT_HEALED = (
    "Vigil's remediator is not on this machine, so nothing it breaks will be healed: "
    "set REMEDIATOR_URL=http://127.0.0.1:9099/ to let the simulated one answer."
)

_children: list[subprocess.Popen[bytes]] = []
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """What the process is told besides the number of its run."""

    url: str
    key: str
    remediator_url: str
    remediator_secret: str
    parent_pid: int


def start(*, run_id: int, instructions: Instructions) -> int:
    """Start the process and answer its pid. Raises OSError when it cannot be started."""
    child = subprocess.Popen(  # noqa: S603  our own interpreter, our own module
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulator_child", str(run_id)],
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is for the parent; the child notices its going
    )
    with _lock:
        _children.append(child)
    if child.stdin is not None:
        child.stdin.write(json.dumps(asdict(instructions)).encode())
        child.stdin.close()
    return child.pid


def reap(*, wait_seconds: float = 0.0) -> None:
    """Collect the processes that have ended, or end within `wait_seconds`, so that none stays behind as a zombie."""
    with _lock:
        _children[:] = [child for child in _children if not _ended(child, wait_seconds)]


def _ended(child: subprocess.Popen[bytes], wait_seconds: float) -> bool:
    try:
        child.wait(wait_seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
