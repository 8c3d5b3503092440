"""The rows of the fault table, each a run that is done to a whole Vigil. docs/reliability.md tells what they showed."""

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.faults import history, messages
from tests.faults.agent import Agent
from tests.faults.caller import Caller
from tests.faults.history import Closed, Fault, Verdict
from tests.faults.scene import Scene, Size, now, scene, worker
from tests.servers import hostile, postgres
from tests.servers.faultproxy import PASS, Mode
from tests.servers.processes import alive, descendants, state

KINDS = ("scale-up", "restart", "snapshot")
"""One that may be repeated, and two that may be sent once; the last is accepted and done later."""

SETTLED_WITHIN = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How big a run is."""

    database: str
    seed: int
    actions: int
    faults: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table."""

    name: str
    what: str
    run: Callable[[Plan], "Result"]
    full: tuple[int, int]
    """Actions and faults in the full profile."""
    quick: tuple[int, int] | None = None
    databases: tuple[str, ...] = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run brought."""

    verdict: Verdict
    notes: Mapping[str, object]

    def __or__(self, more: Mapping[str, object]) -> "Result":
        return Result(verdict=self.verdict, notes={**self.notes, **more})

    @property
    def broken(self) -> list[str]:
        """What the notes tell that may not be."""
        return [f"{name}: {self.notes[name]}" for name in sorted(NEVER) if self.notes.get(name)]

    @property
    def holds(self) -> bool:
        """Whether every promise held."""
        return self.verdict.holds and not self.broken


class SkipRow(Exception):
    """Something this row needs is not on this machine."""


NEVER = frozenset(
    {
        "5xx but 503",
        "called a success unasked",
        "ingest 5xx but 503",
        "ingest answered differently",
        "ingest lost or doubled",
        "leases stolen",
        "past their deadline, not expired",
        "slots that ran twice",
        "stalled workers",
        "worker mains lost",
    }
)
"""Notes that have to be zero."""

ROWS: dict[str, Row] = {}


def row(
    name: str,
    what: str,
    *,
    full: tuple[int, int],
    quick: tuple[int, int] | None = None,
    databases: tuple[str, ...] = ("sqlite", "postgres"),
) -> Callable[[Callable[[Plan], Result]], Callable[[Plan], Result]]:
    """Enter a function into the table."""

    def enter(run: Callable[[Plan], Result]) -> Callable[[Plan], Result]:
        ROWS[name] = Row(name=name, what=what, run=run, full=full, quick=quick, databases=databases)
        return run

    return enter


def campaign(
    running: Scene,
    plan: Plan,
    strike: Callable[[int], None],
    *,
    kinds: Sequence[str] = KINDS,
    targets: int = 100,
    settled_within: float = SETTLED_WITHIN,
    target_of: Callable[[int], str] | None = None,
) -> Result:
    """Order `plan.actions` actions, strike `plan.faults` times spread over them, wait for rest, and check."""
    began = time.monotonic()
    caller = Caller(running, actions=plan.actions, kinds=kinds, targets=targets, target_of=target_of)
    for number in range(plan.faults):
        share = (number + 1) / (plan.faults + 1)
        running.until(lambda share=share: len(running.ledger.effects) >= share * plan.actions, seconds=60)  # type: ignore[misc]
        strike(number)
    running.until(lambda: caller.done, seconds=300)
    caller.stop()
    return finish(running, caller, began=began, settled_within=settled_within)


def finish(running: Scene, caller: Caller, *, began: float, settled_within: float = SETTLED_WITHIN) -> Result:
    """Wait until nothing moves any more, and hold everything against everything."""
    running.until(lambda: running.unsettled() == 0, seconds=settled_within)
    running.until(lambda: running.ledger.busy == 0, seconds=15)
    verdict = history.check(running.history(attempted=caller.attempted, told=caller.told))
    notes = {
        "seconds": round(time.monotonic() - began),
        "slowest order s": round(caller.longest, 1),
        "refused": len(caller.refused),
        "5xx but 503": sum(1 for said in caller.refused if said[:1] == "5" and said[:3] != "503"),
    }
    return Result(verdict=verdict, notes=notes)


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


@row("F3", "the broker is killed and comes back 5 to 12 s later, with every worker busy", full=(300, 5), quick=(60, 1))
def restarted_broker(plan: Plan) -> Result:
    """Calls take 0.5 to 2 s, so that all slots are busy when it goes and calls end while it is away."""
    with scene(database=plan.database, seed=plan.seed, latency=(0.5, 2.0)) as running:

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 5, seconds=15)
            with running.fault("broker away"):
                running.broker.kill()
                running.wait(running.rng.uniform(5, 12))
                running.broker.start()
            running.wait(5)

        result = campaign(running, plan, strike)
        return result | _all_consume(running)


def _all_consume(running: Scene) -> dict[str, object]:
    """Order more, and see which workers take some up."""
    before = int(running.ask("SELECT coalesce(max(id), 0) FROM actions_attempt")[0][0])
    mains = running.mains("worker")
    began = time.monotonic()
    caller = Caller(running, actions=60, kinds=("scale-up",), targets=60, target_of=lambda n: f"after-{n}")
    seen: dict[int, float] = {}

    def all_seen() -> bool:
        rows = running.ask(f"SELECT worker FROM actions_attempt WHERE id > {before}")  # noqa: S608
        pids = {int(worker.rpartition(":")[2]) for (worker,) in rows}
        for main in mains:
            if main not in seen and pids & descendants(main):
                seen[main] = round(time.monotonic() - began, 1)
        return len(seen) == len(mains)

    running.until(all_seen, seconds=60)
    running.until(lambda: caller.done and running.unsettled() == 0, seconds=60)
    caller.stop()
    return {"stalled workers": len(mains) - len(seen), "each consumes again s": sorted(seen.values())}


@row("F4", "FLUSHALL in the broker", full=(300, 5), quick=(60, 1))
def flushed_broker(plan: Plan) -> Result:
    """Whatever waits in Redis is gone; the rows are still due."""
    with scene(database=plan.database, seed=plan.seed) as running:

        def strike(number: int) -> None:
            client = redis.Redis.from_url(running.broker.url)
            with running.fault("FLUSHALL"):
                client.flushall()
            client.close()

        result = campaign(running, plan, strike)
        again = running.ask("SELECT coalesce(sum(hint_count), 0) FROM actions_action")[0][0]
        return result | {"hints given again": int(again)}


@row("F5", "the broker is away, then hangs, 20 s each, under ingest", full=(200, 2), quick=None)
def absent_broker(plan: Plan) -> Result:
    """The design's minute is 20 s here."""
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=10)

        def strike(number: int) -> None:
            with running.fault("broker hangs" if number % 2 else "broker away"):
                if number % 2:
                    running.broker.freeze()
                else:
                    running.broker.kill()
                running.wait(20)
                if number % 2:
                    running.broker.thaw()
                else:
                    running.broker.start()

        result = campaign(running, plan, strike)
        return result | agent.stop()


@row("F6", "PostgreSQL restarts: fast, immediate, kill -9", full=(300, 6), databases=("postgres",))
def restarted_database(plan: Plan) -> Result:
    """Under ingest; nothing that was acknowledged may be missing afterwards."""
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=5)

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 2, seconds=10)
            with running.fault("database restarts"):
                how = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)[number % 3]
                if how == signal.SIGKILL:  # of one of its backends: the server recovers by itself
                    assert running.server is not None
                    backends = sorted(descendants(running.server.process.pid))
                    running.send([running.rng.choice(backends)], signal.SIGKILL)
                    running.wait(2)
                else:
                    running.restart_database(how)
            running.wait(3)

        result = campaign(running, plan, strike)
        return result | agent.stop()


@row("F7", "PostgreSQL away, hung and slow, 15 s each, under ingest", full=(200, 3), databases=("postgres",))
def absent_database(plan: Plan) -> Result:
    """No effect begins later than a second into the outage. The design's minute is 15 s here."""
    with scene(database=plan.database, seed=plan.seed) as running:
        assert running.proxy is not None
        proxy = running.proxy
        agent = Agent(running, per_second=5)
        modes = (Mode(name="refuse"), Mode(name="blackhole"), Mode(name="latency", ms=250, jitter=50))

        def strike(number: int) -> None:
            mode = modes[number % 3]
            began = now()
            with running.fault(f"database: {mode.name}"):
                proxy.behave(mode)
                running.wait(15)
                ended = now()
                proxy.behave(PASS)
            if mode.name != "latency":
                running.closed.append(Closed(why=f"database: {mode.name}", after=began + 1, until=ended))
            running.wait(3)

        result = campaign(running, plan, strike)
        return result | agent.stop()


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


@row("F11", "the connection is reset after the remediator acted, three times in ten", full=(300, 0), quick=(80, 0))
def reset_after_acting(plan: Plan) -> Result:
    """What may be sent once is settled by asking; what may be repeated is."""
    chance = random.Random(plan.seed)

    def mode_of(target: str, nth: int) -> str:
        return "reset" if chance.random() < 0.3 else "good"

    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of) as running:
        result = campaign(running, plan, _nothing)
        return result | {"keys asked about": len(running.ledger.asked)}


@row("F10", "the remediator answers 500, hangs or hangs up, one time in four", full=(200, 0))
def failing_remediator(plan: Plan) -> Result:
    """Backoff, asking by key, and no call without an end."""
    chance = random.Random(plan.seed)

    def mode_of(target: str, nth: int) -> str:
        return chance.choice(("error", "reset", "R15", "hang")) if chance.random() < 0.25 else "good"

    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of) as running:
        result = campaign(running, plan, _nothing, targets=200)
        longest = max(effect.ended - effect.began for effect in running.ledger.effects)
        return result | {"longest call s": round(longest, 1)}


@row("F12", "hostile answers, each of them", full=(5 * len(hostile.ANSWERS), 0))
def hostile_answers(plan: Plan) -> Result:
    """The answer is never taken for a success, the worker stays alive, and what became of it is asked by key."""
    names = sorted(hostile.ANSWERS)

    def target_of(number: int) -> str:
        return f"{names[number % len(names)]}-{number}"

    def mode_of(target: str, nth: int) -> str:
        return target.partition("-")[0] if nth == 1 else "good"

    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of) as running:
        before = set(running.children("worker"))
        result = campaign(running, plan, _nothing, kinds=("restart", "scale-up", "snapshot"), target_of=target_of)
        said = {str(key) for (key,) in running.ask("SELECT uid FROM actions_action WHERE state = 'succeeded'")}
        sure = set(running.ledger.asked) | {key for key, times in _times(running).items() if times > 1}
        false = {key.replace("-", "") for key in said} - {key.replace("-", "") for key in sure}
        wide = "SELECT max(length(excerpt)) FROM actions_attempt"
        return result | {
            "called a success unasked": len(false),
            "worker processes lost": len(before - set(running.children("worker"))),
            "longest excerpt": running.ask(wide)[0][0],
        }


def _times(running: Scene) -> Counter[str]:
    return Counter(effect.key for effect in running.ledger.effects)


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
        result = campaign(running, plan, _nothing)
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


@row("F14", "every batch of readings is sent four times at once", full=(50, 0), quick=(20, 0))
def doubled_ingest(plan: Plan) -> Result:
    """It counts once, and every answer is the same."""
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=1, dispatchers=1)) as running:
        agent = Agent(running, per_second=8, copies=4)
        result = campaign(running, plan, _nothing)
        running.wait(10)
        return result | agent.stop()


@row("F17", "the web server is restarted by SIGTERM under ingest", full=(150, 8))
def restarted_web(plan: Plan) -> Result:
    """What was acknowledged is stored; what was not is sent again safely."""
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=10)

        def strike(number: int) -> None:
            with running.fault("web restarts"):
                running.send(running.mains("web"), signal.SIGTERM)
                running.wait(3)
            running.wait(2)

        result = campaign(running, plan, strike)
        return result | agent.stop()


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


@row("F20", "malformed messages in the queue of actions", full=(100, 10), quick=(40, 2))
def malformed_messages(plan: Plan) -> Result:
    """Noise, forged ids, unknown tasks, wrong arguments: none has an effect of its own."""
    with scene(database=plan.database, seed=plan.seed) as running:
        before = set(running.mains("worker"))

        def strike(number: int) -> None:
            client = redis.Redis.from_url(running.broker.url)
            for message in messages.malformed():
                client.lpush("vigil.actions", message)
            client.close()
            running.wait(1)

        result = campaign(running, plan, strike)
        client = redis.Redis.from_url(running.broker.url)
        left = client.llen("vigil.actions")
        client.close()
        lost = len(before - set(running.mains("worker")))
        sent = plan.faults * len(messages.malformed())
        return (
            result | {"malformed": sent, "worker mains lost": lost, "left in the queue": left} | _all_consume(running)
        )


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


@row("F23", "all workers and dispatchers are away while orders come in; half are past their deadline", full=(400, 1))
def recovery_storm(plan: Plan) -> Result:
    """The deadlines of half are moved into the past in the tables: a stop of 30 minutes, in one."""
    with scene(database=plan.database, seed=plan.seed) as running:
        for part in ("worker", "dispatcher", "chores"):
            running.retire(part)
        began = time.monotonic()
        caller = Caller(running, actions=plan.actions, kinds=KINDS, targets=plan.actions, outstanding=plan.actions)
        running.until(lambda: caller.done, seconds=300)
        running.write("UPDATE actions_action SET created_at = {ago}, deadline = {past} WHERE id % 2 = 0")
        moment = now()
        running.closed.clear()
        for part in ("dispatcher", "worker", "chores"):
            running.employ(part)
        running.faults.append(Fault(what="everything away", at=moment, ended=now()))
        most = [0]

        def watch() -> bool:
            most[0] = max(most[0], running.ledger.busy)
            return running.unsettled() == 0

        running.until(watch, seconds=SETTLED_WITHIN)
        result = finish(running, caller, began=began)
        late = running.ask(
            "SELECT count(*) FROM actions_action WHERE id % 2 = 0 AND (state <> 'expired' OR attempt_no > 0)"
        )
        return result | {"past their deadline, not expired": int(late[0][0]), "most at once": most[0]}


@row("F25", "the kill switch is flipped under load, with the broker away every other time", full=(250, 8), quick=None)
def flipped_switch(plan: Plan) -> Result:
    """Nothing begins later than 5 s after it was acknowledged."""
    with scene(database=plan.database, seed=plan.seed) as running:

        def strike(number: int) -> None:
            if number % 2:
                running.broker.kill()
            told = running.order_not_to_act("paused")
            running.wait(8)
            ended = now()
            running.order_not_to_act("active")
            running.closed.append(Closed(why="paused", after=told + 5, until=ended))
            running.faults.append(Fault(what="paused", at=told, ended=now()))
            if number % 2:
                running.broker.start()
            running.wait(2)

        return campaign(running, plan, strike)


@row("F27", "kill -9 of everything at once", full=(200, 4), quick=None)
def power_cut(plan: Plan) -> Result:
    """Web, workers, dispatchers, beat, broker and database; then all of it is started again."""
    with scene(database=plan.database, seed=plan.seed) as running:

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 2, seconds=10)
            pids = [pid for part in ("w", "d", "c", "b") for pid in (*running.mains(part), *running.children(part))]
            began = now()
            running.send(pids, signal.SIGKILL)
            running.broker.kill()
            if running.server is not None:
                below = descendants(running.server.process.pid)
                running.server.process.kill()
                running.send(sorted(below), signal.SIGKILL)
                running.server.process.wait(20)
                running.server = postgres.start_again(running.server)
            running.broker.start()
            running.faults.append(Fault(what="power cut", at=began, ended=now(), pids=frozenset(pids)))
            running.wait(5)

        result = campaign(running, plan, strike)
        whole = running.ask("PRAGMA integrity_check")[0][0] if plan.database == "sqlite" else "not asked"
        return result | {"integrity": whole}


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
        result = campaign(running, plan, _nothing)
        return result | {"died at": running.deaths()}


def _nothing(number: int) -> None:
    """No strike: the fault is in the set-up."""
