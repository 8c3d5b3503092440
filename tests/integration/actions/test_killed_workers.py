"""A worker is killed with SIGKILL at each step of an action; nothing is lost and nothing is sent twice."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from actions import reaper
from actions.models import ActionType, Attempt, Remediator
from tests.integration.actions import fakes, make
from tests.servers import ledger as http_ledger
from tests.servers.processes import wait_until
from vigil.kernel import clock

WORKER = """
import django
django.setup()
from actions import tasks
tasks.run_action(action_id={action_id})
"""


@pytest.fixture
def ledger(transactional_db: None, tmp_path: Path, settings: Any) -> fakes.Ledger:
    """A remediator that remembers across processes; all action types go to it."""
    settings.VIGIL_REMEDIATORS = {"ledger": fakes.MAKE_LEDGER}
    path = tmp_path / "calls"
    row = Remediator.objects.create(name="ledger", kind="ledger", config={"path": str(path)})
    ActionType.objects.update(remediator=row)
    return fakes.Ledger(path=path)


def database_url() -> str:
    """Where this test's database is, for another process."""
    now = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{now['NAME']}"
    return f"postgresql://{now['USER']}:{now['PASSWORD']}@{now['HOST']}:{now['PORT']}/{now['NAME']}"


def killed_at(point: str, action_id: int, **more: str) -> None:
    """Run the action in a worker process that dies at `point`."""
    env = {
        **os.environ,
        **more,
        "DATABASE_URL": database_url(),
        "VIGIL_FAILPOINT": f"{point}:kill",
        "VIGIL_REMEDIATORS": json.dumps({"ledger": fakes.MAKE_LEDGER}),
    }
    script = WORKER.format(action_id=action_id)
    done = subprocess.run([sys.executable, "-c", script], env=env, timeout=60, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def recover(action_id: int) -> None:
    """What dispatcher and workers do once the lease is over."""
    make.lease_over(action_id)
    reaper.run(at=clock.now())
    make.due_now(action_id)
    reaper.run(at=clock.now())
    if make.state(action_id) == "ready":
        make.run(action_id)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("point", "left_in", "ends_in", "calls"),
    [
        ("claim.before_commit", "ready", "succeeded", 1),
        ("claim.after_commit", "leased", "succeeded", 1),
        ("intent.before_commit", "leased", "succeeded", 1),
        ("intent.after_commit", "executing", "needs_human", 0),
        ("result.before_commit", "executing", "succeeded", 1),
        ("result.after_commit", "succeeded", "succeeded", 1),
    ],
)
def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    ledger: fakes.Ledger, point: str, left_in: str, ends_in: str, calls: int
) -> None:
    action = make.by_hand(kind="restart")
    killed_at(point, action.id)
    assert make.state(action.id) == left_in
    recover(action.id)
    assert make.state(action.id) == ends_in
    assert ledger.calls() == [str(action.uid)] * calls
    make.story(action.id)


@pytest.mark.faults
def test_every_call_has_an_attempt_committed_before_it(ledger: fakes.Ledger) -> None:
    action = make.by_hand(kind="restart")
    killed_at("result.before_commit", action.id)
    assert ledger.calls() == [str(action.uid)]
    assert Attempt.objects.filter(action_id=action.id, outcome="").count() == 1


@pytest.fixture
def service(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[http_ledger.Ledger]:
    """A remediator that is called over HTTP; all action types go to it."""
    running = http_ledger.Ledger(tmp_path / "requests")
    settings.REMEDIATOR_URL = running.url
    row = Remediator.objects.create(name="service", kind="http", config={"url": running.url})
    ActionType.objects.update(remediator=row)
    yield running
    running.stop()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("point", "ends_in", "effects"),
    [("http.connected", "needs_human", 0), ("http.sent", "succeeded", 1), ("http.got_headers", "succeeded", 1)],
)
def test_a_worker_killed_on_the_line_is_settled_by_asking(
    service: http_ledger.Ledger, point: str, ends_in: str, effects: int
) -> None:
    action = make.by_hand(kind="restart")
    killed_at(point, action.id, REMEDIATOR_URL=service.url)
    wait_until(lambda: len(service.effects) == effects and not service.busy, seconds=5, what="the remediator is done")
    assert make.state(action.id) == "executing"
    recover(action.id)
    assert make.state(action.id) == ends_in
    assert len(service.effects) == effects
    assert service.asked[str(action.uid)] == 1
    make.story(action.id)
