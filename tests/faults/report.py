"""The figures that runs have kept, as a table for docs/reliability.md: no figure there is typed by hand."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.faults.history import COUNTED, Spread, Verdict, Violation
from tests.faults.rows.table import NEVER

HEADS = ("row", "what", "database", "seeds", "orders, faults", "wrong", "recovery", "freed", "besides")
DATABASES = {"postgres": "PostgreSQL", "sqlite": "SQLite"}
LEFT_OUT = frozenset({"refused"})
"""Notes that say nothing to a reader who was not there."""


def markdown(folder: Path) -> str:
    """A line for each row and database whose figures lie in `folder`: all seeds together, and of times the worst."""
    runs = sorted((json.loads(path.read_text()) for path in folder.glob("*.json")), key=_place)
    rows = [list(group) for _, group in groupby(runs, key=lambda run: _place(run)[:3])]
    lines = [HEADS, ("---",) * len(HEADS), *map(_cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def verdict(run: Mapping[str, Any]) -> Verdict:
    """The verdict that a run has kept."""
    return Verdict(
        figures=run["figures"],
        recovery=Spread(**run["recovery"]),
        freed=Spread(**run["freed"]),
        violations=[Violation(**one) for one in run["violations"]],
    )


def _place(run: Mapping[str, Any]) -> tuple[int, str, str, int]:
    number = run["row"][1:]
    plan = run["plan"]
    return (int(number) if number.isdigit() else 1000, run["row"], plan["database"], plan["seed"])


def _cells(runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What all runs of a row on a database come to."""
    first, plans = runs[0], [run["plan"] for run in runs]
    actions, faults = sum(run["figures"]["attempted"] for run in runs), sum(plan["faults"] for plan in plans)
    seeds = ", ".join(str(plan["seed"]) for plan in plans)
    spans = (_spread(_worst([run[name] for run in runs])) for name in ("recovery", "freed"))
    size = f"{actions:,}, {faults or '-'}"
    return (
        first["row"],
        first["what"],
        DATABASES[plans[0]["database"]],
        seeds,
        size,
        _wrong(runs),
        *spans,
        _notes(runs),
    )


def _wrong(runs: Sequence[Mapping[str, Any]]) -> str:
    """0, or everything that may not be."""
    totals = {what: sum(run["figures"][what] for run in runs) for what in COUNTED}
    counted = [f"{what} {total}" for what, total in totals.items() if total]
    return "; ".join([*counted, *(said for run in runs for said in run["broken"])]) or "0"


def _notes(runs: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for run in runs for name in run["notes"] if name not in NEVER | LEFT_OUT)
    told = {name: _told([run["notes"][name] for run in runs if run["notes"].get(name)]) for name in names}
    return "; ".join(f"{name}: {said}" for name, said in told.items() if said)


def _told(values: Sequence[Any]) -> str:
    """What one note says in every run that has it: numbers from the least to the most, and of spreads the worst."""
    match values:
        case []:
            return ""
        case [{"count": _, "p50": _, "p95": _, "most": _}, *_]:
            return _spread(_worst(values))
        case [dict(), *_]:
            names = dict.fromkeys(name for value in values for name in value)
            return ", ".join(f"{name} {_told([value[name] for value in values if name in value])}" for name in names)
        case [[int(), *_], *_]:
            return ", ".join(map(str, sorted({one for value in values for one in value})))
        case [list(), *_]:
            return _told([one for value in values for one in value])
        case [int() | float(), *_]:
            return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"
        case _:
            return ", ".join(dict.fromkeys(str(value).replace("|", "/") for value in values))


def _worst(spreads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The longest of each; of nothing, nothing."""
    return {
        name: max((one[name] for one in spreads if one[name] is not None), default=None)
        for name in ("p50", "p95", "most")
    }


def _spread(one: Mapping[str, Any]) -> str:
    if one["most"] is None:
        return "-"
    return " / ".join(f"{one[name]:.1f}" for name in ("p50", "p95", "most")) + " s"
