"""What is done to rows: everybody wants the same ones, and transactions lose against one another."""

import time

from tests.faults.crowd import Crowd
from tests.faults.rows.table import KINDS, SETTLED_WITHIN, Plan, Result, finish, row
from tests.faults.scene import Scene, scene

TARGETS = tuple(f"lock-{number}" for number in range(5))
PEOPLE = 50
LOSES = 0.1
"""Of all transactions; what is lost is everything it wrote."""

SETTINGS = {"VIGIL_PROTECTED_TARGETS": "lock-*", "VIGIL_FAILPOINT": f"tx.before_commit:lose:{LOSES}"}


@row(
    "F15",
    "200 requests at once approve, cancel and annotate on five targets; one transaction in ten loses",
    full=(600, 0),
)
def contention(plan: Plan) -> Result:
    """Everything on protected targets waits for an approver, and two of them approve at the same moment."""
    with scene(database=plan.database, seed=plan.seed, settings=SETTINGS, latency=(0.005, 0.05)) as running:
        began = time.monotonic()
        before = _deadlocks(running)
        crowd = Crowd(
            running, stories=plan.actions, people=PEOPLE, targets=TARGETS, keys=_approvers(running), kinds=KINDS
        )
        running.until(lambda: crowd.done, seconds=300)
        seconds = round(time.monotonic() - began)
        result = finish(running, crowd, began=began, settled_within=SETTLED_WITHIN)
        lost, struggled = _losers(running), _struggled(running)
        return result | {
            "crowded s": seconds,
            **crowd.notes(),
            "transactions lost on purpose": lost,
            "transactions tried more than four times again": struggled,
            "more than one in a hundred tried so often": max(0, round(struggled - lost / LOSES / 100)),
            "deadlocks": _deadlocks(running) - before,
        }


def _approvers(running: Scene) -> list[str]:
    scopes = ("--scopes", "read,actions:approve")
    return [running.manage("create_key", f"approver-{number}", *scopes).strip() for number in (1, 2)]


def _deadlocks(running: Scene) -> int:
    """As PostgreSQL counts them; SQLite has one writer, and knows none."""
    if running.server is None:
        return 0
    return int(running.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = 'vigil'")[0][0])


def _losers(running: Scene) -> int:
    return _lines(running, "fail point tx.before_commit: lose")


def _struggled(running: Scene) -> int:
    return _lines(running, "database.transaction.contended")


def _lines(running: Scene, holding: str) -> int:
    logs = (running.directory / "logs").glob("*.log")
    return sum(log.read_text(errors="replace").count(holding) for log in logs)
