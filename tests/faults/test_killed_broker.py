"""The broker dies while every worker is busy: nothing is lost, and the workers take up work again."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Field
from tests.servers import ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240), pytest.mark.one_database, pytest.mark.long]


def _kill_broker(scene: Field) -> None:
    pids = scene.stack.pids_of("valkey")
    assert pids, scene.stack.tree()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_broker_killed_with_all_workers_busy(field: Callable[..., Field]) -> None:
    scene = field(latency=2.0)
    ids = [scene.order(f"web-{number:02}") for number in range(12)]
    scene.wait_busy(4)
    _kill_broker(scene)
    found = scene.wait_settled(ids, seconds=90)

    assert {row["status"] for row in found.values()} == {"completed"}
    assert ledger.doubled(scene.ledger.effects) == []
    assert len(scene.ledger.effects) == len(ids)
    assert scene.broken() == []


def test_workers_consume_again_after_the_broker_is_back(field: Callable[..., Field]) -> None:
    scene = field(latency=1.0)
    first = [scene.order(f"a-{number:02}") for number in range(8)]
    scene.wait_busy(4)
    _kill_broker(scene)
    scene.wait_settled(first, seconds=90)

    until = time.monotonic() + 60
    while True:  # by a worker, not by the dispatcher's fallback
        action = scene.order(f"b-{time.monotonic()}")
        scene.wait_settled([action], seconds=60)
        worker = scene.action(action)["tries"][0]["worker"]
        if "dispatcher" not in worker:
            return
        assert time.monotonic() < until, f"only {worker} runs actions{scene.stack.logs()}"
