"""What deploys do: an earlier version works beside this one on its schema, is replaced, and comes back."""

import json
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from tests.faults import tomorrow
from tests.faults.caller import Caller
from tests.faults.history import Told
from tests.faults.rows.table import KINDS, Plan, Result, SkipRow, finish, row
from tests.faults.scene import ROOT, Scene, Size, scene, web, worker
from tests.servers.processes import alive, descendants

OF_TOMORROW = 20
"""Actions of a type that one worker alone knows."""

LEAVES_WITHIN = 40.0
ORDERED_WITHIN = 200.0


@row(
    "F21",
    "the version before the last migration beside this one, then this one alone, then that one alone",
    full=(300, 0),
)
def two_versions(plan: Plan) -> Result:
    """The schema is this version's throughout. One worker knows a kind of remediator that no other does."""
    with tempfile.TemporaryDirectory(prefix="vigil-before-", dir="/tmp") as place:
        commit, code = _version_before(Path(place))
        size = Size(workers=2, dispatchers=1)
        with scene(database=plan.database, seed=plan.seed, size=size) as running:
            running.module("tests.faults.tomorrow")
            knows = {"VIGIL_REMEDIATORS": json.dumps(tomorrow.PLUGIN)}
            worker(running, "worker-knows", queue="vigil.actions", slots=2, role="worker", **knows)
            _old(running, code)
            began = time.monotonic()
            _order_of_tomorrow(running)
            everybody = Everybody()
            _order(running, plan, everybody)
            with running.fault("a deploy"):
                _leave(running, "old-worker", "old-dispatcher")
            _order(running, plan, everybody)
            running.until(lambda: _waiting(running) == [], seconds=90)
            _cancel(running, _waiting(running))
            known = set(running.children("worker-knows"))
            second = _order(running, plan, everybody, wait=False)
            with running.fault("a roll-back"):
                _leave(running, "worker", "dispatcher", "web")
                web(running, "old-web", code=code)
                for one in ("old-worker", "old-dispatcher"):
                    running.employ(one)
            running.until(lambda: second.done, seconds=ORDERED_WITHIN)
            result = finish(running, everybody, began=began)
            return result | {"the version before": commit[:12], **_who_ran(running, known)}


class Everybody:
    """All who ordered, one after the other, as one."""

    def __init__(self) -> None:
        """Nobody yet."""
        self.callers: list[Caller] = []

    @property
    def told(self) -> list[Told]:
        """What was acknowledged to them."""
        return [told for caller in self.callers for told in caller.told]

    @property
    def refused(self) -> list[str]:
        """What they were refused with."""
        return [said for caller in self.callers for said in caller.refused]

    @property
    def attempted(self) -> int:
        """How many orders."""
        return sum(caller.attempted for caller in self.callers)

    @property
    def longest(self) -> float:
        """Of their orders the slowest."""
        return max(caller.longest for caller in self.callers)


def _order(running: Scene, plan: Plan, everybody: Everybody, *, wait: bool = True) -> Caller:
    """A third of the orders; of the last third most meet the roll-back, or what comes after it."""
    caller = Caller(running, actions=plan.actions // 3, kinds=KINDS, targets=100, threads=4 if wait else 1)
    everybody.callers.append(caller)
    half = len(running.ledger.effects) + plan.actions // (6 if wait else 12)
    running.until(lambda: len(running.ledger.effects) >= half, seconds=60)
    if wait:
        running.until(lambda: caller.done, seconds=ORDERED_WITHIN)
    return caller


def _version_before(place: Path) -> tuple[str, str]:
    """The commit before the one that brought the newest migration, and its files."""
    newest = _git("log", "-1", "--format=%H", "--", ":(glob)**/migrations/*.py")
    commit = _git("rev-parse", "--verify", "--quiet", f"{newest}^") if newest else ""
    if not commit:
        raise SkipRow("there is no history of the repository here, or too little of it")
    archive = place / "code.tar"
    _git("archive", "--format=tar", f"--output={archive}", commit)
    with tarfile.open(archive) as files:
        files.extractall(place / "code", filter="data")
    return commit, str(place / "code")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError as error:
        raise SkipRow("there is no git here") from error
    return done.stdout.strip() if done.returncode == 0 else ""


def _old(running: Scene, code: str) -> None:
    for number in range(2):
        worker(running, f"old-worker-{number}", queue="vigil.actions", slots=2, role="worker", code=code)
    running.keep("old-dispatcher", "manage.py", "dispatcher", role="dispatcher", code=code)
    running.wait(8)


def _leave(running: Scene, *parts: str) -> None:
    """Told to stop, as a deploy does; they end what they are at."""
    pids = [pid for part in parts for pid in running.mains(part)]
    for one in running.kept:
        if one.name.startswith(parts):
            one.wanted = False
    running.send(pids, signal.SIGTERM)
    running.until(lambda: not any(map(alive, pids)), seconds=LEAVES_WITHIN)


def _order_of_tomorrow(running: Scene) -> None:
    session = running.session()
    for number in range(OF_TOMORROW):
        body = {"action": tomorrow.KIND, "target": f"tomorrow-{number}"}
        session.post(f"{running.api}/actions", json=body, timeout=20).raise_for_status()


def _waiting(running: Scene) -> list[int]:
    """Those whom no hint has led yet to the one worker that knows them."""
    rows = running.ask(f"SELECT id FROM actions_action WHERE kind = '{tomorrow.KIND}' AND finished_at IS NULL")  # noqa: S608
    return [int(number) for (number,) in rows]


def _cancel(running: Scene, ids: list[int]) -> None:
    """Nobody would be left who knows them."""
    session = running.session()
    for number in ids:
        session.post(f"{running.api}/actions/{number}/cancel", timeout=20)


def _who_ran(running: Scene, known: set[int]) -> dict[str, object]:
    rows = running.ask(
        f"SELECT worker FROM actions_attempt JOIN actions_action a ON a.id = action_id WHERE a.kind = '{tomorrow.KIND}'"  # noqa: S608
    )
    strangers = [name for (name,) in rows if int(name.rpartition(":")[2]) not in known]
    old = {pid for main in running.mains("old-worker") for pid in descendants(main)}
    by_old = [
        name for (name,) in running.ask("SELECT worker FROM actions_attempt") if int(name.rpartition(":")[2]) in old
    ]
    return {
        "of a type that one worker knows": f"{len(rows)} of {OF_TOMORROW} run",
        "run by who does not know it": len(strangers),
        "run by the version before, since it came back": len(by_old),
        "nothing was left to the version before": int(not by_old),
    }
