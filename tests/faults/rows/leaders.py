"""What is done to those who give the beat: beats, dispatchers, clocks."""

import shutil
import signal
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from tests.faults.rows.table import Plan, Result, SkipRow, campaign, nothing, row
from tests.faults.scene import Scene, Size, scene, worker
from tests.servers.processes import descendants
from vigil.kernel import clock

SWEEPS = {"VIGIL_SWEEP_INTERVAL_SECONDS": "5"}
"""Often enough that a missed slot shows."""
LONGEST_GAP = 15.0
"""Seconds without a sweep after whoever led has gone."""


@row("F8", "beat is killed and stays away", full=(300, 1))
def no_beat(plan: Plan) -> Result:
    """Nothing depends on it: the dispatchers run its slots."""
    with scene(database=plan.database, seed=plan.seed, settings=SWEEPS) as running:

        def strike(number: int) -> None:
            with running.fault("beat killed"):
                running.retire("beat")

        result = campaign(running, plan, strike)
        running.wait(60)
        return result | _slots(running)


@row("F9", "three beats and three dispatchers; killed and stopped for 20 s in turn", full=(300, 8), quick=(60, 2))
def several_of_each(plan: Plan) -> Result:
    """Each slot of each job runs once, and whoever wakes does nothing stale. Three minutes here, not thirty."""
    size = Size(workers=2, dispatchers=3, beats=3)
    with scene(database=plan.database, seed=plan.seed, size=size, settings=SWEEPS) as running:

        def strike(number: int) -> None:
            pids = running.mains("dispatcher" if number % 2 else "beat")
            struck = [running.rng.choice(pids)]
            if number % 4 < 2:
                running.kill(struck, "leader killed")
                running.wait(15)
                return
            with running.fault("leader stopped"):
                running.send(struck, signal.SIGSTOP)
                running.wait(20)
                running.send(struck, signal.SIGCONT)

        result = campaign(running, plan, strike)
        running.wait(15)
        return result | _slots(running)


def _slots(running: Scene) -> dict[str, object]:
    """Executions of each slot as the logs of those who ran them tell, held against the rows, and the longest wait."""
    begun = running.slots_begun()
    rows = {(job, int(slot)) for job, slot in running.ask("SELECT job, slot FROM periodic_periodicrun")}
    times = Counter((job, slot) for job, slot, _ in begun)
    sweeps = [at for job, _, at in begun if job == "policies.sweep"]
    gap = max((later - earlier for earlier, later in pairwise(sweeps)), default=0.0)
    return {
        "slots begun": len(begun),
        "slots that ran twice": sum(count > 1 for count in times.values()),
        "slots noted and not begun": len(rows - times.keys()),
        "longest wait for a sweep s": round(gap, 1),
        "sweeps missing too long": gap > LONGEST_GAP or len(sweeps) < 2,
    }


@row(
    "F13",
    "two workers and two dispatchers whose clocks are two hours ahead and behind",
    full=(300, 0),
    databases=("postgres",),
)
def skewed_clocks(plan: Plan) -> Result:
    """By Debian's faketime; leases and deadlines are compared by the database's clock. SQLite has no other clock."""
    if shutil.which("faketime") is None:
        raise SkipRow("faketime is not installed (Debian package faketime)")
    skews = {"ahead": _shifted("+2h"), "behind": _shifted("-2h")}
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=1, dispatchers=1)) as running:
        for name, skew in skews.items():
            worker(running, f"worker-{name}", queue="vigil.actions", slots=2, role="worker", **skew)
            running.keep(f"dispatcher-{name}", "manage.py", "dispatcher", role="dispatcher", **skew)
        running.until(lambda: all(len(running.children(f"worker-{name}")) >= 2 for name in skews), seconds=40)
        running.wait(5)
        result = campaign(running, plan, nothing)
        ran = {name: _ran(running, f"worker-{name}") for name in skews}
        lost = running.ask("SELECT coalesce(sum(lease_losses), 0) FROM actions_action")[0][0]
        return result | {
            "run by the workers": ran,
            "skewed workers that ran nothing": sum(count == 0 for count in ran.values()),
            "leases stolen": int(lost),
            **_future(running),
        }


def _ran(running: Scene, part: str) -> int:
    """How many attempts were those of this worker."""
    below = {pid for main in running.mains(part) for pid in descendants(main)}
    workers = running.ask("SELECT worker FROM actions_attempt")
    return sum(int(name.rpartition(":")[2]) in below for (name,) in workers)


def _future(running: Scene) -> dict[str, object]:
    """A reading from two minutes ahead is refused, one from half a minute ahead is not."""
    session = running.session()
    said = []
    for seconds in (120, 30):
        at = (clock.now() + timedelta(seconds=seconds)).isoformat()
        body = [{"name": "ahead", "value": seconds, "tags": {"host": "fast"}, "timestamp": at}]
        said.append(session.post(f"{running.api}/ingest", json=body, timeout=10).status_code)
    stored = int(running.ask("SELECT count(*) FROM metrics_sample WHERE value = 120")[0][0])
    return {"readings from 120 and 30 s ahead": said, "future readings taken": stored + (said != [422, 201])}


def _shifted(by: str) -> dict[str, str]:
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": by,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }
