"""Every way to end: in order, in a hurry, and not at all in order."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.processes import alive, descendants, wait_until
from tests.servers.stack import Stack

pytestmark = pytest.mark.one_database

LEAST_PROCESSES = 12
"""Web and two workers, two Celery workers with six children, beat, dispatcher, broker: fewer would prove little."""


def grown(vigil: Stack) -> set[int]:
    """Every process of a whole stack."""
    wait_until(lambda: len(descendants(vigil.pid)) >= LEAST_PROCESSES, seconds=30, what="the whole process tree")
    return descendants(vigil.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_in_order_and_leaves_nothing(live_stack: Callable[..., Stack], number: signal.Signals) -> None:
    vigil = live_stack()
    below = grown(vigil)
    assert vigil.process is not None
    vigil.process.send_signal(number)
    assert vigil.process.wait(60) == 0
    assert [pid for pid in below if alive(pid)] == []
    vigil.wait_for_line("Vigil has stopped.", seconds=5)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", vigil.port))


@pytest.mark.faults
def test_a_kill_leaves_no_orphan_and_the_next_start_works(live_stack: Callable[..., Stack]) -> None:
    vigil = live_stack()
    below = {pid: line for pid, line in vigil.tree().items() if pid in grown(vigil)}
    vigil.kill()
    wait_until(
        lambda: not any(alive(pid) for pid in below),
        seconds=40,
        what=f"the end of {[line for pid, line in below.items() if alive(pid)]}",
    )
    vigil.lines.clear()
    vigil.start()
    assert grown(vigil)


def test_a_second_ctrl_c_hurries(live_stack: Callable[..., Stack]) -> None:
    vigil = live_stack()
    below = grown(vigil)
    # A worker that is stopped cannot stop in order, so the first Ctrl-C would take its whole grace of 30 s.
    (worker, *_children) = vigil.pids_of("vigil.actions")
    os.kill(worker, signal.SIGSTOP)
    vigil.interrupt()
    vigil.wait_for_line("Stopping")
    time.sleep(1)
    started = time.monotonic()
    vigil.interrupt()
    assert vigil.process is not None
    assert vigil.process.wait(20) == 0
    assert time.monotonic() - started < 10
    wait_until(lambda: not any(alive(pid) for pid in below), seconds=10, what="the end of everything")


def test_a_ctrl_c_before_it_has_loaded_is_no_traceback(live_stack: Callable[..., Stack]) -> None:
    vigil = live_stack(wait=False)
    assert vigil.process is not None
    # The interpreter runs, its signal handler is in place, and Django is being loaded.
    wait_until(lambda: (vigil.data_dir / "secret_key").exists(), seconds=30, what="the settings to be read")
    vigil.interrupt()
    assert vigil.process.wait(30) in {0, 130}
    vigil.stop()
    assert not any("Traceback" in line for line in vigil.lines)


def test_a_ctrl_c_while_the_demo_starts_itself_over_is_no_traceback(live_stack: Callable[..., Stack]) -> None:
    vigil = live_stack(demo=True, wait=False)
    environment = Path(f"/proc/{vigil.pid}/environ")
    # The first instant of its second life, when nothing of Vigil is loaded yet.
    wait_until(lambda: b"VIGIL_DEMO_PREPARED=" in environment.read_bytes(), seconds=30, what="the new life")
    vigil.interrupt()
    assert vigil.process is not None
    assert vigil.process.wait(30) == 130
    vigil.stop()
    assert not any("Traceback" in line for line in vigil.lines)
