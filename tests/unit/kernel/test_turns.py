"""A turn among processes: it comes when it is free, the wait for it ends in time, and nobody keeps another's."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.servers.processes import wait_until
from vigil.kernel import turns
from vigil.kernel.turns import Turns

HOLD = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""

HOLD_AND_FORK = """
import os, sys, time
from vigil.kernel import turns
assert turns.at(sys.argv[1]).take(seconds=5)
if os.fork() == 0:
    print("held", flush=True)
    sys.stdin.readline()
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "vigil.sqlite3-turn")


@pytest.fixture
def mine(path: str) -> Iterator[Turns]:
    yield turns.at(path)
    turns._known.pop(path)._close()


@pytest.fixture
def other(path: str) -> Iterator[subprocess.Popen[str]]:
    yield from _process(HOLD, path)


@pytest.fixture
def parent(path: str) -> Iterator[subprocess.Popen[str]]:
    yield from _process(HOLD_AND_FORK, path)


def _process(script: str, path: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has the turn until its input ends or it is killed."""
    command = [sys.executable, "-c", script, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def _is_free(path: str) -> bool:
    """As another process sees it: a lock belongs to the open file, and this is one of its own."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def _seconds_since(began: float) -> float:
    return time.monotonic() - began


def test_a_free_turn_is_taken_without_another_thread(mine: Turns, path: str) -> None:
    assert mine.take(seconds=0)
    assert not _is_free(path)
    mine.give_back()
    assert _is_free(path)
    assert mine._gatekeeper is None


def test_a_turn_within_a_turn_ends_with_the_outer_one(mine: Turns, path: str) -> None:
    assert mine.take(seconds=0)
    assert mine.take(seconds=0)
    mine.give_back()
    assert not _is_free(path)
    mine.give_back()
    assert _is_free(path)


def test_the_kernel_wakes_who_waits(mine: Turns, path: str, other: subprocess.Popen[str]) -> None:
    threading.Timer(0.2, other.kill).start()
    began = time.monotonic()
    assert mine.take(seconds=20)
    assert 0.2 <= _seconds_since(began) < 10
    assert not _is_free(path)
    mine.give_back()
    assert _is_free(path)


def test_a_stopped_holder_keeps_nobody_longer_than_they_would_wait(
    mine: Turns, path: str, other: subprocess.Popen[str]
) -> None:
    other.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert not mine.take(seconds=0.1)
    assert 0.1 <= _seconds_since(began) < 2
    other.kill()
    wait_until(lambda: _is_free(path), seconds=10, what="who gave up does not keep what came too late")


def test_the_next_caller_gets_what_another_gave_up(mine: Turns, path: str, other: subprocess.Popen[str]) -> None:
    assert not mine.take(seconds=0.01)
    threading.Timer(0.1, other.kill).start()
    assert mine.take(seconds=20)
    assert not _is_free(path)
    mine.give_back()
    assert _is_free(path)


def test_a_turn_whose_holder_hangs_is_waited_for_no_more(
    mine: Turns, path: str, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "HANGS_AFTER", 0.05)
    assert not mine.take(seconds=0.1)
    began = time.monotonic()
    assert mine.take(seconds=20)  # goes on to SQLite's own lock
    mine.give_back()
    assert _seconds_since(began) < 10
    assert not _is_free(path)
    other.kill()
    wait_until(lambda: mine._asked_at is None, seconds=10, what="the gatekeeper is back")
    assert mine.take(seconds=0)
    assert not _is_free(path)
    mine.give_back()


def test_an_exception_while_waiting_leaves_no_turn_behind(mine: Turns, path: str, other: subprocess.Popen[str]) -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedError("by a signal")

    before = signal.signal(signal.SIGUSR1, interrupt)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        with pytest.raises(InterruptedError, match="by a signal"):
            mine.take(seconds=20)
    finally:
        signal.signal(signal.SIGUSR1, before)
    other.kill()
    wait_until(lambda: _is_free(path), seconds=10, what="nobody has the turn")
    assert mine.take(seconds=5)
    assert not _is_free(path)
    mine.give_back()
    assert _is_free(path)


def test_a_child_of_a_fork_has_turns_of_its_own(mine: Turns, path: str) -> None:
    assert mine.take(seconds=0)
    child = os.fork()
    if child == 0:
        waited = not turns.at(path).take(seconds=0.05)
        mine.give_back()  # as at the end of a block that was forked inside of: the turn is still its parent's
        os._exit(0 if waited and not _is_free(path) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    mine.give_back()
    assert _is_free(path)


def test_a_child_of_a_fork_keeps_no_turn_of_a_killed_parent(path: str, parent: subprocess.Popen[str]) -> None:
    assert not _is_free(path)
    parent.kill()
    wait_until(lambda: _is_free(path), seconds=10, what="the turn ended with who took it, though its child lives on")


def test_without_a_file_everybody_goes_on_and_it_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_told", False)
    nowhere = Turns(str(tmp_path / "missing" / "turn"))
    with capture_logs() as logs:
        for _ in range(2):
            assert nowhere.take(seconds=0)
            nowhere.give_back()
    assert [line["event"] for line in logs] == ["database.turn.unavailable"]


@pytest.mark.parametrize("after", [0, 1], ids=["at once", "while waiting"])
def test_a_file_system_without_such_locks_stops_nobody(
    after: int, mine: Turns, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_told", True)
    real, calls = fcntl.flock, []

    def flock(file: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) > after:
            raise OSError(errno.ENOLCK, "No locks available")
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert mine.take(seconds=5)
    mine.give_back()
    assert len(calls) == after + 1
