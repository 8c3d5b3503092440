"""A worker dies by kill -9 in the middle of actions: nothing is lost, nothing is sent twice, nothing overlaps."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.faults.conftest import Field
from tests.servers import ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


def test_kill_minus_nine_in_the_middle_of_actions(field: Callable[..., Field]) -> None:
    scene = field(latency=1.0)
    kinds = ["restart", "scale-up"]
    ids = [scene.order(f"web-{number:02}", kind=kinds[number % 2]) for number in range(12)]
    scene.wait_busy(2)
    for pid in scene.stack.pids_of("vigil.actions"):
        os.kill(pid, signal.SIGKILL)  # the main process and its children, calls in hand

    found = scene.wait_settled(ids, seconds=120)

    assert {row["status"] for row in found.values()} <= {"completed", "running"}, found
    at_most_once = {row["uid"] for row in found.values() if row["action"] == "restart"}
    assert not at_most_once & set(ledger.doubled(scene.ledger.effects))
    assert {effect.target for effect in scene.ledger.effects} == {row["target"] for row in found.values()}
    assert ledger.overlapping(scene.ledger.effects) == []
    assert ledger.regressions(scene.ledger.effects) == []
    assert scene.broken() == []


@pytest.mark.long
def test_an_action_in_doubt_is_settled_by_asking(field: Callable[..., Field]) -> None:
    scene = field(latency=2.0)
    action = scene.order("db-01", kind="restart")
    scene.wait_busy(1)
    for pid in scene.stack.pids_of("vigil.actions"):
        os.kill(pid, signal.SIGKILL)

    row = scene.wait_settled([action], seconds=90)[action]

    assert row["status"] == "completed"
    assert len(scene.ledger.effects) == 1
    assert scene.ledger.asked[row["uid"]] >= 1
