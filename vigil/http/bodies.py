"""How bodies are read: some of a process's threads never wait for one, so clients that stall cannot take them all."""

import threading
from typing import Any

from django.conf import settings

READERS_AT_ONCE = 10
"""Of the sixteen threads of a web process."""
WAIT_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5

_readers = threading.BoundedSemaphore(READERS_AT_ONCE)


class Crowded(OSError):
    """So many bodies are being waited for that one more would leave no thread for those who have none."""


class Input:
    """A request's `wsgi.input` that takes turns. Django makes an UnreadablePostError of what goes wrong in it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; Crowded when no turn comes in time."""
        return self._in_turn(self._stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        """Up to a line; Crowded when no turn comes in time."""
        return self._in_turn(self._stream.readline, size)

    def _in_turn(self, read: Any, size: int) -> bytes:
        if not _readers.acquire(timeout=WAIT_SECONDS):
            raise Crowded("too many bodies are being waited for")
        try:
            found: bytes = read(size)
        finally:
            _readers.release()
        return found


def whole(stream: Input) -> bytes:
    """A body of unknown length, or so much of it that it is refused as too large."""
    most: int = settings.VIGIL_BODY_MAX_BYTES + 1
    parts: list[bytes] = []
    while most > 0 and (part := stream.read(most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
