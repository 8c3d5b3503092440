"""What a row of the fault table is, and the campaign that most of them lead."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tests.faults import history
from tests.faults.caller import Caller
from tests.faults.history import Told, Verdict
from tests.faults.scene import Scene
from tests.servers.processes import descendants

KINDS = ("scale-up", "restart", "snapshot")
"""One that may be repeated, and two that may be sent once; the last is accepted and done later."""


SETTLED_WITHIN = 240.0
CONSUMES_WITHIN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How big a run is."""

    database: str
    seed: int
    actions: int
    faults: int
    minutes: float = 0.0
    """How long, for a row that goes by time; 0: as long as it says itself."""


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
    alone: bool = False
    """It is in no profile: only who names it runs it."""


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
        "503 later than 4 s",
        "5xx but 503",
        "TERM took longer than 25 s",
        "actions from silence",
        "actions from the future",
        "attempts beyond the limit",
        "called a success unasked",
        "called over that never ends",
        "calls longer than 15.5 s",
        "calls past an open circuit",
        "circuits that stayed closed",
        "excerpts longer than 4 KiB",
        "executing without an attempt",
        "future readings taken",
        "good not done",
        "ingest 5xx but 503",
        "ingest answered differently",
        "ingest lost or doubled",
        "ingest that slows down",
        "killed more than two workers",
        "leases stolen",
        "memory that grows",
        "more actions than the cap",
        "more than one in a hundred tried so often",
        "never felt full",
        "no brake",
        "nobody was stopped and woken",
        "nothing was left to the version before",
        "orders that waited for the broker",
        "past their deadline, not expired",
        "pidboxes",
        "points not struck often enough",
        "poison that did not ask a person after two tries",
        "poison that went well",
        "reused keys taken",
        "run by who does not know it",
        "slots that ran twice",
        "skewed workers that ran nothing",
        "stalled workers",
        "sweeps missing too long",
        "told more than once",
        "waits of more than five minutes",
        "went on too late",
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
    alone: bool = False,
) -> Callable[[Callable[[Plan], Result]], Callable[[Plan], Result]]:
    """Enter a function into the table."""

    def enter(run: Callable[[Plan], Result]) -> Callable[[Plan], Result]:
        ROWS[name] = Row(name=name, what=what, run=run, full=full, quick=quick, databases=databases, alone=alone)
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


class Callers(Protocol):
    """Whoever ordered, and what they were told."""

    @property
    def told(self) -> list[Told]:
        """What was acknowledged."""

    @property
    def refused(self) -> list[str]:
        """Every refusal, with its status."""

    @property
    def attempted(self) -> int:
        """How many orders."""

    @property
    def longest(self) -> float:
        """Seconds that the slowest took."""


def finish(running: Scene, caller: Callers, *, began: float, settled_within: float = SETTLED_WITHIN) -> Result:
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


def all_consume(running: Scene) -> dict[str, object]:
    """Order more, and see which workers take some up: as much as it takes, since two may do it all while one still
    gets over what happened."""
    before = int(running.ask("SELECT coalesce(max(id), 0) FROM actions_attempt")[0][0])
    mains = running.mains("worker")
    began = time.monotonic()
    seen: dict[int, float] = {}

    def all_seen() -> bool:
        rows = running.ask(f"SELECT worker FROM actions_attempt WHERE id > {before}")  # noqa: S608
        pids = {int(worker.rpartition(":")[2]) for (worker,) in rows}
        for main in mains:
            if main not in seen and pids & descendants(main):
                seen[main] = round(time.monotonic() - began, 1)
        return len(seen) == len(mains)

    for turn in itertools.count():
        name = f"after-{turn}"
        caller = Caller(running, actions=60, kinds=("scale-up",), targets=60, target_of=partial("{}-{}".format, name))
        running.until(lambda caller=caller: all_seen() or (caller.done and running.unsettled() == 0), seconds=60)  # type: ignore[misc]
        if all_seen() or time.monotonic() - began > CONSUMES_WITHIN:
            break
    running.until(lambda: caller.done and running.unsettled() == 0, seconds=60)
    caller.stop()
    return {"stalled workers": len(mains) - len(seen), "each consumes again s": sorted(seen.values())}


def nothing(number: int) -> None:
    """No strike: the fault is in the set-up."""
