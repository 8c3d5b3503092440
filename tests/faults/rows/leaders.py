"""What is done to those who give the beat: beats, dispatchers, clocks."""

import shutil
import signal
from pathlib import Path

from tests.faults.rows.table import Plan, Result, SkipRow, campaign, nothing, row
from tests.faults.scene import Scene, Size, scene, worker
from tests.servers.processes import descendants


@row("F8", "beat is killed and stays away", full=(200, 1))
def no_beat(plan: Plan) -> Result:
    """Nothing depends on it: the dispatchers run its slots."""
    with scene(database=plan.database, seed=plan.seed) as running:

        def strike(number: int) -> None:
            with running.fault("beat killed"):
                running.retire("beat")

        result = campaign(running, plan, strike)
        running.wait(40)
        slots = running.ask("SELECT count(*), max(slot) - min(slot) + 1 FROM periodic_periodicrun WHERE job = 'sweep'")
        return result | {"slots run/passed of sweep": "/".join(map(str, slots[0]))}


@row("F9", "three beats and three dispatchers; one is killed, one stopped for 20 s and woken", full=(200, 4))
def several_of_each(plan: Plan) -> Result:
    """Each slot of each job runs once, and whoever wakes does nothing stale. Two minutes here, not thirty."""
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=2, dispatchers=3, beats=3)) as running:

        def strike(number: int) -> None:
            pids = running.mains("dispatcher" if number % 2 else "beat")
            if number < 2:
                running.kill(pids[:1], "leader killed")
                running.wait(5)
                return
            with running.fault("leader stopped"):
                running.send(pids[:1], signal.SIGSTOP)
                running.wait(20)
                running.send(pids[:1], signal.SIGCONT)

        result = campaign(running, plan, strike)
        return result | _slots(running)


def _slots(running: Scene) -> dict[str, object]:
    """Executions of each slot as the logs tell, and whether the quickest job skipped one."""
    twice = running.ask("SELECT job, slot FROM periodic_periodicrun GROUP BY job, slot HAVING count(*) > 1")
    rows = running.ask("SELECT job, count(*), max(slot) - min(slot) + 1 FROM periodic_periodicrun GROUP BY job")
    return {"slots that ran twice": len(twice), "slots run of passed": {job: f"{ran}/{of}" for job, ran, of in rows}}


@row("F13", "the clocks of one worker and one dispatcher are two hours off", full=(300, 0), databases=("postgres",))
def skewed_clocks(plan: Plan) -> Result:
    """By Debian's faketime; leases and deadlines are compared by the database's clock. SQLite has no other clock."""
    if shutil.which("faketime") is None:
        raise SkipRow("faketime is not installed (Debian package faketime)")
    ahead, behind = _shifted("+2h"), _shifted("-2h")
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=2, dispatchers=1)) as running:
        worker(running, "worker-ahead", queue="vigil.actions", slots=2, role="worker", **ahead)
        running.keep("dispatcher-behind", "manage.py", "dispatcher", role="dispatcher", **behind)
        running.wait(8)
        result = campaign(running, plan, nothing)
        ahead_ran = "SELECT count(*) FROM actions_attempt WHERE worker LIKE '%:{}'"
        ran = sum(
            int(running.ask(ahead_ran.format(pid))[0][0])
            for main in running.mains("worker-ahead")
            for pid in descendants(main)
        )
        lost = running.ask("SELECT coalesce(sum(lease_losses), 0) FROM actions_action")[0][0]
        return result | {"run by the worker ahead": ran, "leases stolen": int(lost)}


def _shifted(by: str) -> dict[str, str]:
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": by,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }
