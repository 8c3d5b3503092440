"""What is done to workers: killed, stopped, put to sleep."""

import signal
import time

from tests.faults import history
from tests.faults.caller import Caller
from tests.faults.history import Fault
from tests.faults.rows.table import KINDS, SETTLED_WITHIN, Plan, Result, campaign, finish, nothing, row
from tests.faults.scene import Size, now, scene, worker
from tests.servers.processes import alive, descendants, state


def accepting(target: str, nth: int) -> str:
    """Every fifth request is answered 202 and done later."""
    return "accept" if nth % 5 == 0 else "good"


@row("F1", "kill -9 of workers in mid-action, main and child in turn", full=(1000, 20), quick=(150, 4))
def killed_workers(plan: Plan) -> Result:
    """Half of the kills hit a worker's main process, half one of its children; each time a busy moment."""
    with scene(database=plan.database, seed=plan.seed, mode_of=accepting) as running:

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 2, seconds=10)
            pids = running.mains("worker") if number % 2 == 0 else running.children("worker")
            if pids:
                running.kill([running.rng.choice(pids)], "worker main" if number % 2 == 0 else "worker child")
            running.wait(running.rng.uniform(0.5, 3.0))

        return campaign(running, plan, strike)


@row("F18", "workers are told to stop: SIGTERM, SIGQUIT, SIGTERM twice", full=(300, 9))
def stopped_workers(plan: Plan) -> Result:
    """At a random moment of their work."""
    seconds: list[float] = []
    with scene(database=plan.database, seed=plan.seed) as running:

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 2, seconds=10)
            pids = running.mains("worker")
            if not pids:
                return
            pid = running.rng.choice(pids)
            struck = frozenset({pid, *descendants(pid)})
            began = now()
            running.send([pid], signal.SIGQUIT if number % 3 == 1 else signal.SIGTERM)
            if number % 3 == 2:
                running.wait(0.3)
                running.send([pid], signal.SIGTERM)
            running.until(lambda: not alive(pid), seconds=40)
            seconds.append(now() - began)
            running.faults.append(Fault(what="worker told to stop", at=began, ended=now(), pids=struck))

        result = campaign(running, plan, strike)
        return result | {"stopping s": history.spread(seconds)}


@row("F22", "a worker is stopped between claim and intent and wakes after 40 s", full=(200, 0))
def paused_holder(plan: Plan) -> Result:
    """Its lease is gone by then: it sends nothing, and the fences at the remediator only rise."""
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=2)) as running:
        stops = {"VIGIL_FAILPOINT": "claim.after_commit:stop:0.2,intent.after_commit:stop:0.1"}
        worker(running, "worker-stops", queue="vigil.actions", slots=2, role="worker", **stops)
        asleep: dict[int, float] = {}
        woken: list[int] = []

        def wake() -> bool:
            for pid in running.children("worker-stops"):
                if state(pid) == "T":
                    since = asleep.setdefault(pid, now())
                    if now() - since > 40:
                        running.faults.append(
                            Fault(what="holder stopped", at=since, ended=now(), pids=frozenset({pid}))
                        )
                        running.send([pid], signal.SIGCONT)
                        woken.append(pid)
                        asleep.pop(pid)
            return False

        began = time.monotonic()
        caller = Caller(running, actions=plan.actions, kinds=KINDS, targets=100)
        running.until(lambda: wake() or caller.done, seconds=300)
        running.until(lambda: wake() or (not asleep and running.unsettled() == 0), seconds=SETTLED_WITHIN)
        result = finish(running, caller, began=began)
        return result | {"stopped and woken": len(woken)}


POINTS = (
    "claim.before_commit",
    "claim.after_commit",
    "intent.before_commit",
    "intent.after_commit",
    "http.connected",
    "http.sent",
    "http.got_headers",
    "result.before_commit",
    "result.after_commit",
)
"""Where a worker may die. A web process passes `propose.*` and `publish.*`, a dispatcher `publish.*` and `sweep.*`."""


@row("FP", "kill -9 at every fail point of an action's way", full=(300, 0), quick=(60, 0))
def fail_points(plan: Plan) -> Result:
    """Each worker dies at three points, web and dispatcher at theirs; the logs count how often."""
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=1, dispatchers=1)) as running:
        for number in range(3):
            points = ",".join(f"{point}:kill:0.06" for point in POINTS[number::3])
            worker(
                running,
                f"worker-dies-{number}",
                queue="vigil.actions",
                slots=2,
                role="worker",
                VIGIL_FAILPOINT=points,
            )
        outside = "sweep.between_mark_and_publish:kill:0.05,publish.before:kill:0.01,publish.after:kill:0.01"
        running.keep("dispatcher-dies", "manage.py", "dispatcher", role="dispatcher", VIGIL_FAILPOINT=outside)
        dying = "propose.before_commit:kill:0.02,propose.after_commit:kill:0.02,publish.before:kill:0.01"
        running.respawn("web-0", VIGIL_FAILPOINT=dying)
        result = campaign(running, plan, nothing)
        return result | {"died at": running.deaths()}
