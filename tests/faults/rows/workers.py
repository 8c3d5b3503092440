"""What is done to workers: killed, stopped, put to sleep."""

import signal
import time
from contextlib import suppress

import requests

from tests.faults.caller import Caller
from tests.faults.history import Fault
from tests.faults.rows.table import KINDS, SETTLED_WITHIN, Plan, Result, campaign, finish, row
from tests.faults.scene import Scene, Size, now, scene, worker
from tests.servers.processes import alive, descendants, state

EXECUTING_UNTRIED = """
    SELECT count(*) FROM actions_action a WHERE state = 'executing'
    AND NOT EXISTS (SELECT 1 FROM actions_attempt t WHERE t.action_id = a.id AND t.number = a.attempt_no)
"""


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
    seconds: dict[str, list[float]] = {"TERM": [], "QUIT": [], "TERM twice": []}
    untried: list[int] = []
    with scene(database=plan.database, seed=plan.seed) as running:

        def strike(number: int) -> None:
            way = list(seconds)[number % 3]
            running.until(lambda: running.ledger.busy >= 2, seconds=10)
            pids = running.mains("worker")
            if not pids:
                return
            pid = running.rng.choice(pids)
            struck = frozenset({pid, *descendants(pid)})
            began = now()
            running.send([pid], signal.SIGQUIT if way == "QUIT" else signal.SIGTERM)
            if way == "TERM twice":
                running.wait(0.3)
                running.send([pid], signal.SIGTERM)
            running.until(lambda: not alive(pid), seconds=40)
            seconds[way].append(now() - began)
            untried.append(int(running.ask(EXECUTING_UNTRIED)[0][0]))
            running.faults.append(Fault(what="worker told to stop", at=began, ended=now(), pids=struck))

        result = campaign(running, plan, strike)
        return result | {
            "stopping s": {way: [round(one, 1) for one in sorted(took)] for way, took in seconds.items()},
            "TERM took longer than 25 s": sum(took > 25 for took in seconds["TERM"]),
            "executing without an attempt": sum(untried),
        }


@row("F22", "a worker is suspended between claim and intent, or intent and call, and wakes after 40 s", full=(200, 8))
def paused_holder(plan: Plan) -> Result:
    """Its lease is gone by then: it sends nothing, and the fences at the remediator only rise.

    All of the worker sleeps, as in a suspended machine: its main process would end the child that is late.
    """
    half = max(1, plan.faults // 2)
    stops = f"claim.after_commit:stop:0.3:{half},intent.after_commit:stop:0.3:{half}"
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=2)) as running:
        worker(running, "worker-stops", queue="vigil.actions", slots=2, role="worker", VIGIL_FAILPOINT=stops)
        sleeper = _Sleeper(running)
        began = time.monotonic()
        caller = Caller(running, actions=20 * plan.actions, kinds=KINDS, targets=100)

        def enough() -> bool:
            asleep = sleeper.look()
            struck = sum(running.struck("stop").values())
            return caller.attempted >= plan.actions and struck >= 2 * half and not asleep

        running.until(enough, seconds=SETTLED_WITHIN)
        caller.stop()
        running.until(lambda: not sleeper.look() and running.unsettled() == 0, seconds=SETTLED_WITHIN)
        result = finish(running, caller, began=began)
        return result | {"stopped and woken": sleeper.woken, "nobody was stopped and woken": sleeper.woken == 0}


class _Sleeper:
    """Puts a worker to sleep as soon as one of its children sleeps, and wakes the children, then the rest."""

    def __init__(self, running: Scene) -> None:
        self.woken = 0
        self._running = running
        self._asleep: dict[int, float] = {}

    def look(self) -> bool:
        """Whether anybody sleeps now. Call it often."""
        mains, children = self._running.mains("worker-stops"), self._running.children("worker-stops")
        stopped = [pid for pid in children if state(pid) == "T"]
        for pid in stopped:
            self._asleep.setdefault(pid, now())
        self._asleep = {pid: since for pid, since in self._asleep.items() if pid in stopped}
        if not stopped:
            return False
        self._running.send(mains, signal.SIGSTOP)
        if now() - min(self._asleep.values()) > SLEEPS:
            self._wake(mains)
        return True

    def _wake(self, mains: list[int]) -> None:
        moment = now()
        for pid, since in self._asleep.items():
            self._running.faults.append(Fault(what="holder stopped", at=since, ended=moment, pids=frozenset({pid})))
        self._running.send(list(self._asleep), signal.SIGCONT)
        self.woken += len(self._asleep)
        self._asleep.clear()
        time.sleep(2)  # they have the time to do what they were about to, before their main process ends them
        self._running.send(mains, signal.SIGCONT)


POINTS = {
    "propose.before_commit": 0.2,
    "propose.after_commit": 0.2,
    "publish.before": 0.2,
    "publish.after": 0.2,
    "claim.before_commit": 0.3,
    "claim.after_commit": 0.3,
    "intent.before_commit": 0.3,
    "intent.after_commit": 0.3,
    "http.connected": 0.3,
    "http.sent": 0.3,
    "http.got_headers": 0.3,
    "result.before_commit": 0.3,
    "result.after_commit": 0.3,
    "sweep.between_mark_and_publish": 1.0,
    "verify.before_commit": 1.0,
}
"""Where a process may die, and how often it does so there until it has died there often enough."""

STRUCK_WITHIN = 300.0
SLEEPS = 40.0


@row("FP", "kill -9 at every fail point of an action's way, so many times at each", full=(300, 10), quick=(60, 1))
def fail_points(plan: Plan) -> Result:
    """Every process has every point, and together they die `faults` times at each; orders go on until they have.

    What the dead hold for 25 s each takes up the usual ten slots of Vigil, so there are more.
    """
    points = ",".join(f"{point}:kill:{chance}:{plan.faults}" for point, chance in POINTS.items())
    settings = {"VIGIL_FAILPOINT": points, "VIGIL_SETTLE_SECONDS": "1", "VIGIL_GLOBAL_CONCURRENCY": "100"}
    with scene(database=plan.database, seed=plan.seed, mode_of=_failing_at_times, settings=settings) as running:
        began = time.monotonic()
        hot = Thermometer(running)
        caller = Caller(running, actions=20 * plan.actions, kinds=KINDS, targets=20 * plan.actions)

        def enough() -> bool:
            hot.report()
            struck = running.struck("kill")
            return caller.attempted >= plan.actions and all(struck.get(point, 0) >= plan.faults for point in POINTS)

        running.until(enough, seconds=STRUCK_WITHIN)
        caller.stop()
        result = finish(running, caller, began=began)
        struck = running.struck("kill")
        short = [point for point in POINTS if struck.get(point, 0) < plan.faults]
        return result | {"died at": struck, "points not struck often enough": short}


def _failing_at_times(target: str, nth: int) -> str:
    """Now and then a 500, so that something waits for its next attempt and the dispatcher hints at it."""
    return "error" if nth == 1 and target.endswith(("3", "7")) else "good"


class Thermometer:
    """Readings that give a policy reason to act: only what Vigil itself ordered is verified."""

    def __init__(self, running: Scene) -> None:
        self._running = running
        self._next = 0.0
        session = running.session()
        policy = {"name": "hot", "condition": "heat > 90", "target": "hot-*", "severity": "warning"}
        remedy = {"auto_remediate": True, "action": "scale-up"}
        answer = session.post(f"{running.api}/policies", json={**policy, **remedy}, timeout=20)
        assert answer.status_code == 201, answer.text

    def report(self) -> None:
        """Hot until something was done about it, then well; about once a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 1
        cooled = {effect.target for effect in self._running.ledger.effects}
        hosts = [f"hot-{number}" for number in range(3)]
        body = [{"name": "heat", "value": 20 if host in cooled else 99, "tags": {"host": host}} for host in hosts]
        with suppress(requests.RequestException):  # the web server may just have died
            self._running.session().post(f"{self._running.api}/ingest", json=body, timeout=2)
