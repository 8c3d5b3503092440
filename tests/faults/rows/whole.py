"""What is done to all of Vigil at once."""

import signal
import time

from tests.faults.caller import Caller
from tests.faults.history import Closed, Fault
from tests.faults.rows.table import KINDS, SETTLED_WITHIN, Plan, Result, campaign, finish, row
from tests.faults.scene import now, scene
from tests.servers import postgres
from tests.servers.processes import descendants


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
