"""Bodies are read in turns: those that never come cannot take every thread of a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import UnreadablePostError

from vigil.http import bodies, exceptions
from vigil.kernel.errors import VigilError


class Stalled:
    """A body that comes when it is told to."""

    def __init__(self) -> None:
        self.come = threading.Event()
        self.begun = threading.Semaphore(0)

    def read(self, size: int) -> bytes:
        self.begun.release()
        self.come.wait(30)
        return b""


@contextmanager
def stalled(count: int) -> Iterator[None]:
    body = Stalled()
    threads = [threading.Thread(target=bodies.Input(body).read, args=(10,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert body.begun.acquire(timeout=10)
    try:
        yield
    finally:
        body.come.set()
        for thread in threads:
            thread.join()


def test_one_place_left_is_enough() -> None:
    with stalled(bodies.READERS_AT_ONCE - 1):
        assert bodies.Input(BytesIO(b"hello")).read(5) == b"hello"


def test_without_a_place_the_reader_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WAIT_SECONDS", 0.01)
    with stalled(bodies.READERS_AT_ONCE), pytest.raises(bodies.Crowded):
        bodies.Input(BytesIO(b"hello")).read(5)


def test_places_come_back() -> None:
    with stalled(bodies.READERS_AT_ONCE):
        pass
    assert bodies.Input(BytesIO(b"hello\n")).readline() == b"hello\n"


class Broken:
    """A body whose sender is gone."""

    def read(self, size: int) -> bytes:
        raise ConnectionResetError


def test_a_reading_that_breaks_gives_its_place_back() -> None:
    for _ in range(bodies.READERS_AT_ONCE + 1):
        with pytest.raises(ConnectionResetError):
            bodies.Input(Broken()).read(1)


def _refused(body: object) -> VigilError:
    """What becomes of a request with this body, read as Django reads it."""
    request = WSGIRequest({"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "5", "wsgi.input": bodies.Input(body)})
    with pytest.raises(UnreadablePostError) as caught:
        _ = request.body
    return exceptions.as_refusal(caught.value)


def test_crowding_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WAIT_SECONDS", 0.01)
    with stalled(bodies.READERS_AT_ONCE):
        refusal = _refused(BytesIO(b"hello"))
    assert (refusal.status, refusal.retry_after) == (503, bodies.RETRY_AFTER_SECONDS)


def test_a_body_that_breaks_off_is_a_400() -> None:
    assert _refused(Broken()).status == 400
