"""The rows of the fault table, each a run that is done to a whole Vigil. docs/reliability.md tells what they showed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.faults import history
from tests.faults.caller import Caller
from tests.faults.history import Verdict
from tests.faults.scene import Scene, Size, scene

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
) -> Result:
    """Order `plan.actions` actions, strike `plan.faults` times spread over them, wait for rest, and check."""
    began = time.monotonic()
    caller = Caller(running, actions=plan.actions, kinds=kinds, targets=targets)
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


__all__ = ["ROWS", "Plan", "Result", "Row", "Size"]
