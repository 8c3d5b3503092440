"""The figures that runs have kept, as a table for docs/reliability.md: no figure there is typed by hand."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.faults.history import COUNTED, Spread, Verdict, Violation
from tests.faults.rows.table import NEVER

HEADS = ("row", "what", "database", "seed", "actions, faults", "wrong", "recovery", "freed", "besides")
DATABASES = {"postgres": "PostgreSQL", "sqlite": "SQLite"}
LEFT_OUT = frozenset({"refused"})
"""Notes that say nothing to a reader who was not there."""


def markdown(folder: Path) -> str:
    """A line for each run whose figures lie in `folder`, by row, database and seed."""
    runs = sorted((json.loads(path.read_text()) for path in folder.glob("*.json")), key=_place)
    lines = [HEADS, ("---",) * len(HEADS), *(_cells(run) for run in runs)]
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


def _cells(run: Mapping[str, Any]) -> tuple[str, ...]:
    plan = run["plan"]
    size = f"{plan['actions']:,}, {plan['faults'] or '-'}"
    spans = (_spread(run["recovery"]), _spread(run["freed"]))
    notes = "; ".join(_notes({name: value for name, value in run["notes"].items() if name not in NEVER}))
    return (run["row"], run["what"], DATABASES[plan["database"]], str(plan["seed"]), size, _wrong(run), *spans, notes)


def _wrong(run: Mapping[str, Any]) -> str:
    """0, or everything that may not be."""
    counted = [f"{what} {run['figures'][what]}" for what in COUNTED if run["figures"][what]]
    return "; ".join([*counted, *run["broken"]]) or "0"


def _notes(notes: Mapping[str, object]) -> Iterator[str]:
    for name, value in notes.items():
        if value and name not in LEFT_OUT:
            yield f"{name}: {_value(value)}"


def _value(value: Any) -> str:
    match value:
        case {"count": _, "p50": _, "p95": _, "most": _}:
            return _spread(value)
        case dict():
            return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
        case list():
            return ", ".join(map(_value, value))
        case _:
            return str(value).replace("|", "/")


def _spread(one: Mapping[str, Any]) -> str:
    if one["most"] is None:
        return "-"
    return " / ".join(f"{one[name]:.1f}" for name in ("p50", "p95", "most")) + " s"
