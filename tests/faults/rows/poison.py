"""What is done to workers by the code and the answers of remediators."""

import json
import re
import resource
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults import poisoned
from tests.faults.caller import Caller
from tests.faults.rows.table import KINDS, Plan, Result, finish, row
from tests.faults.scene import Scene, scene

EVERY = 8
"""One action in so many is poison: of 640 eight kinds of ten each."""

NEVER_TAKEN_UP = (
    "UPDATE actions_action SET created_at = {ago}, deadline = {past} "  # noqa: S608
    f"WHERE kind = '{poisoned.MISSING}' AND state = 'ready'"
)
"""Nobody knows their remediator, so they wait until their deadline: it is moved into the past."""

GROWTH = 150_000_000
"""Bytes; a good worker does with far less."""

LONG = 420.0
"""Work that kills its worker loses two leases of 25 s; broken code is asked about, and tried three times."""


@row("F19", "actions that raise, crash, exit, never end, swallow memory, or that no process knows", full=(640, 0))
def poison(plan: Plan) -> Result:
    """Each kind in turn, among good actions. A plug-in of this run holds the code: nothing in Vigil knows of it."""
    kinds = [f"poison-{way}" for way in poisoned.WAYS if way != "hungers"] + [poisoned.MISSING]
    with scene(database=plan.database, seed=plan.seed, settings=_plugged_in()) as running:
        running.module("tests.faults.poisoned")
        mains = running.starts("worker"), running.starts("dispatcher")
        refused = running.session().post(f"{running.api}/actions", json={"action": "no-such", "target": "web-01"})
        began = time.monotonic()
        caller = _order(running, plan, kinds, is_poison=lambda number: number % EVERY == 0)
        good_after = _wait_for_good(running, plan, began=began)
        running.until(lambda: _left(running) == 0, seconds=LONG)
        running.write(NEVER_TAKEN_UP)
        result = finish(running, caller, began=began)
        return result | {
            "good done after s": good_after,
            "unknown type refused": refused.status_code,
            "worker mains lost": running.starts("worker") - mains[0],
            "dispatchers lost": running.starts("dispatcher") - mains[1],
            "worker children lost": sum(_deaths(running).values()),
            **_ends(running),
        }


@row("F2", "work that makes its worker run out of memory, and answers that never end", full=(1000, 3))
def out_of_memory(plan: Plan) -> Result:
    """Workers may grow by 150 MB. A plug-in wants 250 MB, three times; every tenth target answers without an end."""

    def mode_of(target: str, nth: int) -> str:
        return "R01" if nth == 1 and target.endswith("7") else "good"

    with scene(database=plan.database, seed=plan.seed, settings=_plugged_in(), mode_of=mode_of) as running:
        running.module("tests.faults.poisoned")
        mains = running.starts("worker")
        _bound(running)
        began = time.monotonic()
        places = {(number + 1) * plan.actions // (plan.faults + 2) for number in range(plan.faults)}
        caller = _order(running, plan, ["poison-hungers"], is_poison=lambda number: number in places)
        running.until(lambda: len(running.ledger.effects) >= plan.actions // 5, seconds=LONG)
        early = _memory(running)
        running.until(lambda: caller.done, seconds=LONG)
        result = finish(running, caller, began=began, settled_within=LONG)
        late = _memory(running)
        return result | {
            "worker mains lost": running.starts("worker") - mains,
            "worker children lost": sum(_deaths(running).values()),
            "MB of the largest worker process, after a fifth and at the end": f"{early}/{late}",
            **_ends(running),
            "poison that did not ask a person after two tries": len(places) - _asked_after_two(running),
        }


def _bound(running: Scene) -> None:
    """The children to come inherit what their main process may have."""
    for pid in [*running.mains("worker"), *running.children("worker")]:
        most = _status(pid, "VmSize") * 1024 + GROWTH
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


def _memory(running: Scene) -> int:
    pids = [*running.mains("worker"), *running.children("worker")]
    return round(max((_status(pid, "VmRSS") for pid in pids), default=0) / 1024)


def _status(pid: int, what: str) -> int:
    """KiB; 0 of a process that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1])
    return 0


def _asked_after_two(running: Scene) -> int:
    asked = "SELECT count(*) FROM actions_action WHERE kind = 'poison-hungers' AND state = 'needs_human'"
    return int(running.ask(f"{asked} AND attempt_no = 2")[0][0])


def _plugged_in() -> dict[str, str]:
    return {"VIGIL_REMEDIATORS": json.dumps(poisoned.PLUGIN)}


def _order(running: Scene, plan: Plan, kinds: list[str], *, is_poison: Callable[[int], bool]) -> Caller:
    """Poison at some places, each on a target of its own: it holds that, and no other."""
    places = [number for number in range(1, plan.actions + 1) if is_poison(number)]
    poison = {number: kinds[place % len(kinds)] for place, number in enumerate(places)}
    given = [poison.get(number, KINDS[number % len(KINDS)]) for number in range(1, plan.actions + 1)]

    def target_of(number: int) -> str:
        return f"poison-{number}" if number in poison else f"web-{number % 100:03}"

    kinds = [given[-1], *given[:-1]]  # numbers begin at 1
    return Caller(
        running,
        actions=plan.actions,
        kinds=kinds,
        targets=100,
        outstanding=60 + len(places),
        target_of=target_of,
    )


def _wait_for_good(running: Scene, plan: Plan, *, began: float) -> int:
    """Seconds until the last good action was over."""
    names = ", ".join(f"'{kind}'" for kind in KINDS)
    over = f"SELECT count(*) FROM actions_action WHERE kind IN ({names}) AND finished_at IS NOT NULL"  # noqa: S608
    good = plan.actions - plan.actions // EVERY
    running.until(lambda: int(running.ask(over)[0][0]) >= good, seconds=LONG)
    return round(time.monotonic() - began)


def _left(running: Scene) -> int:
    """Poison that is taken up by somebody and has not come to an end."""
    ends = "'succeeded', 'failed', 'expired', 'cancelled', 'needs_human'"
    missing = f"kind <> '{poisoned.MISSING}'"
    return int(running.ask(f"SELECT count(*) FROM actions_action WHERE {missing} AND state NOT IN ({ends})")[0][0])  # noqa: S608


def _ends(running: Scene) -> dict[str, object]:
    """Where each kind came to rest, and what may not be."""
    rows = running.ask("SELECT kind, state, attempt_no FROM actions_action")
    poison_rows = [one for one in rows if one[0].startswith("poison")]
    deadly = {f"poison-{way}" for way in poisoned.DEADLY}
    known = Counter(f"{kind} {state} after {attempts}" for kind, state, attempts in poison_rows)
    return {
        "good not done": sum(1 for kind, state, _ in rows if kind in KINDS and state != "succeeded"),
        "poison that went well": sum(1 for _, state, _ in poison_rows if state == "succeeded"),
        "killed more than two workers": sum(1 for kind, _, tries in poison_rows if kind in deadly and tries > 2),
        "poison": dict(sorted(known.items())),
    }


def _deaths(running: Scene) -> Counter[str]:
    """Children that ended badly, as the workers' own logs tell."""
    found: Counter[str] = Counter()
    for log in (running.directory / "logs").glob("worker-*.log"):
        found.update(re.findall(r"exited with '(signal \d+|exitcode \d+)", log.read_text(errors="replace")))
    return found
