"""Redis and beat are away: the dispatcher runs what is due, and every slot of the schedule, once."""

import itertools
import json
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Field

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.one_database]

EVERY_SECONDS = 3
LATEST_SECONDS = 15.0

RUNS = """
import json
from vigil.periodic.models import PeriodicRun, WorkerBeat
rows = PeriodicRun.objects.filter(job="policies.sweep").order_by("slot").values_list("slot", "holder", "error")
names = [f"{host}:{pid}" for host, pid in WorkerBeat.objects.filter(role="dispatcher").values_list("hostname", "pid")]
print(json.dumps({"rows": list(rows), "dispatchers": names}))
"""


def test_actions_and_sweeps_go_on_without_redis_and_beat(field: Callable[..., Field]) -> None:
    scene = field(VIGIL_SWEEP_INTERVAL_SECONDS=str(EVERY_SECONDS))
    frozen = [*scene.stack.pids_of("valkey"), scene.stack.pids_of(" beat ")[0]]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)  # killed, they would be started again at once
    began = time.monotonic()
    try:
        order = scene.order("web-01")
        assert time.monotonic() - began < 3, "nobody waits for Redis to have an order taken"
        row = scene.wait_settled([order], seconds=LATEST_SECONDS)[order]
        assert row["status"] == "completed"
        assert "dispatcher" in scene.action(order)["tries"][0]["worker"]

        time.sleep(max(0.0, began + 5 * EVERY_SECONDS - time.monotonic()))
        told = json.loads(scene.stack.manage("shell", "-c", RUNS).stdout.splitlines()[-1])
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)

    slots = [slot for slot, _, _ in told["rows"]]
    assert [later - earlier for earlier, later in itertools.pairwise(slots)] == [1] * (len(slots) - 1), slots
    assert {holder for _, holder, _ in told["rows"][-3:]} <= set(told["dispatchers"])
    assert not [error for _, _, error in told["rows"] if error]
    assert len(scene.ledger.effects) == 1
    assert scene.broken() == []
