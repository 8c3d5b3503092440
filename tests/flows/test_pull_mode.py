"""Pull mode over real HTTP: the example of the documentation fetches, acts and reports; another one is killed."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from actions import dispatch, fsck, queries, reaper
from actions.models import Action, ActionType, Attempt, Remediator
from vigil.access import keys
from vigil.kernel import clock

pytestmark = pytest.mark.django_db(transaction=True)

PULLER = Path(__file__).resolve().parents[2] / "examples" / "remediator" / "pulling_remediator.py"


@pytest.fixture
def start(live_server: LiveServer) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts the example under a name."""
    row = Remediator.objects.create(name="edge", kind="pull", config={"keys": ["edge"]})
    ActionType.objects.update(remediator=row)
    _, plain = keys.create(name="edge", scopes=["remediator"], actor="user:ana")
    keys.forget_cache()
    environment = {**os.environ, "VIGIL_URL": live_server.url, "VIGIL_KEY": plain}
    with contextlib.ExitStack() as stack:

        def begin(name: str) -> subprocess.Popen[str]:
            command = [sys.executable, str(PULLER), "--id", name, "--every", "0.05"]
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            stack.callback(_end, process)
            return process

        yield begin
    keys.forget_cache()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def _ordered(kind: str, target: str) -> int:
    answer = dispatch.order_by_hand(kind=kind, target=target, params={}, reason="", actor="user:ana", at=clock.now())
    assert isinstance(answer, dispatch.Ordered)
    return answer.action.id


def _wait(*action_ids: int, state: str, seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while {queries.get(one).state for one in action_ids} != {state}:
        assert time.monotonic() < give_up, [queries.get(one) for one in action_ids]
        time.sleep(0.05)


def test_what_it_fetches_it_does_once_and_reports(start: Callable[[str], subprocess.Popen[str]]) -> None:
    processes = [start("edge-1"), start("edge-2")]
    wanted = [f"web-{number}" for number in range(6)]
    _wait(*[_ordered("restart", target) for target in wanted], state="succeeded")
    unknown = _ordered("snapshot", "db-01")
    _wait(unknown, state="failed")
    assert queries.get(unknown).details == "snapshot is not done here."
    for process in processes:
        process.terminate()
    did = [line.split()[1] for one in processes if one.stdout is not None for line in one.stdout]
    assert sorted(did) == wanted
    assert list(fsck.broken(at=clock.now())) == []


def test_what_a_killed_one_had_fetched_goes_to_a_person_and_is_done_by_no_other(
    start: Callable[[str], subprocess.Popen[str]], live_server: LiveServer
) -> None:
    import requests

    action_id = _ordered("restart", "web-01")
    _, plain = keys.create(name="edge", scopes=["remediator"], actor="user:ana")
    keys.forget_cache()
    answer = requests.get(
        f"{live_server.url}/remediator/tasks",
        params={"remediator_id": "edge-1"},
        headers={"Authorization": f"Bearer {plain}"},
        timeout=10,
    )
    assert [task["resource"] for task in answer.json()["tasks"]] == ["web-01"]  # and here it is killed
    start("edge-2")
    free = _ordered("restart", "web-02")
    _wait(free, state="succeeded")
    Attempt.objects.filter(action_id=action_id).update(intent_at=clock.now() - timedelta(seconds=301))
    for _ in range(2):
        Action.objects.filter(pk=action_id).update(run_after=clock.now())
        reaper.ask(at=clock.now())
    assert queries.get(action_id).state == "needs_human"
    assert queries.get(action_id).attempts == 1
