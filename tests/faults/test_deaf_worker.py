"""A worker that takes up no work any more is noticed, ended and started again; one that is merely busy is not."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Field
from tests.servers.processes import alive, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.one_database]

PATIENCE = "2"


def _main_process(scene: Field, queue: str) -> int:
    """The oldest of a worker's processes, which consumes for all."""
    return scene.stack.pids_of(queue)[0]


def _done_by_a_worker(scene: Field) -> None:
    """Orders go to a worker again, not to the dispatcher's fallback."""
    until = time.monotonic() + 30
    while True:
        action = scene.order(f"web-{time.monotonic()}")
        scene.wait_settled([action], seconds=30)
        if "dispatcher" not in scene.action(action)["tries"][0]["worker"]:
            return
        assert time.monotonic() < until, scene.stack.logs()


def test_workers_that_stopped_consuming_are_started_again(field: Callable[..., Field]) -> None:
    """One whose consumer hangs ends itself; one that is frozen as a whole is ended by the supervisor."""
    scene = field(VIGIL_WATCHDOG_SECONDS=PATIENCE, CELERY_RDBSIG="1")
    hung, frozen = _main_process(scene, "vigil.actions"), _main_process(scene, "vigil.chores")
    time.sleep(1)  # both have given a sign and taken up something
    os.kill(hung, signal.SIGUSR2)  # Celery's own debugger: the main thread waits for somebody to call, for ever
    os.kill(frozen, signal.SIGSTOP)
    order = scene.order("web-01")

    scene.stack.wait_for_line("chores gave no sign of life", seconds=30)
    scene.stack.wait_for_line("worker ended (exit code 75)", seconds=60)

    assert {row["status"] for row in scene.wait_settled([order], seconds=30).values()} == {"completed"}
    _done_by_a_worker(scene)
    wait_until(lambda: not alive(hung) and not alive(frozen), seconds=5, what="the old processes are gone")
    assert scene.broken() == []


def test_busy_workers_and_those_without_a_broker_are_left_alone(field: Callable[..., Field]) -> None:
    scene = field(latency=7.5, VIGIL_WATCHDOG_SECONDS="2")
    before = {queue: _main_process(scene, queue) for queue in ("vigil.actions", "vigil.chores")}
    for number in range(5):
        scene.order(f"web-{number:02}")
    scene.wait_busy(4)
    time.sleep(3)  # longer than a worker may stand still
    assert scene.ledger.busy >= 4
    (broker,) = scene.stack.pids_of("valkey")
    os.kill(broker, signal.SIGSTOP)
    time.sleep(4)
    assert {queue: _main_process(scene, queue) for queue in before} == before
    os.kill(broker, signal.SIGCONT)
    assert not [line for line in scene.stack.lines if "starting it again" in line]
