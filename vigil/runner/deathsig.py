"""Ties a child to its parent, so that even a `kill -9` of the parent leaves no orphan (Linux)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def tie_to_parent(sent: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """What a child runs between fork and exec to be sent `sent` when this process dies.

    SIGTERM by default: a child with children of its own has to get the chance to stop them. The kernel ties the child
    to the *thread* that forked it, so fork from the main thread.
    """
    parent = os.getpid()

    def tie() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(sent))
        if os.getppid() != parent:  # it died before the tie was made, so no signal will come
            os._exit(0)

    return tie
