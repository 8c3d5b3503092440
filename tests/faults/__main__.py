"""Runs rows of the fault table: `python -m tests.faults --profile full --seeds 1,2,3 --database both --rows F1,F3`.

Rows run one after the other, or `--jobs` at a time, each on a Vigil of its own. The quick profile takes some minutes,
the full one hours. `--markdown FILE` writes a table of all figures kept in `--out`.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from tests.faults import history, report
from tests.faults.rows import ROWS, Plan, Result, Row, SkipRow
from vigil.runner import deathsig

OUT = Path("var") / "faults"


def main(arguments: list[str]) -> int:
    """1 when a promise was broken or a run failed."""
    options = _parser().parse_args(arguments)
    names = options.rows.split(",") if options.rows else _all(options.profile)
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"There are no rows {', '.join(unknown)}; there are {', '.join(ROWS)}.", file=sys.stderr)
        return 2
    began = time.monotonic()
    plans = _plans(options, names)
    out = Path(options.out)
    for name, _, _ in plans:
        _file(out, name).unlink(missing_ok=True)
    good = _side_by_side(options, plans) if options.jobs > 1 else _one_by_one(plans, out)
    if options.without_table:
        return 0 if good else 1
    told = [(name, report.verdict(kept)) for name, _, _ in plans if (kept := _kept(out, name)) is not None]
    print()
    print(history.table(told))
    print(f"== in all, {time.monotonic() - began:.0f} s: {'every promise held' if good else 'BROKEN, see above'}")
    if options.markdown:
        Path(options.markdown).write_text(report.markdown(out))
    return 0 if good else 1


def _one_by_one(plans: list[tuple[str, Row, Plan]], out: Path) -> bool:
    good = True
    for plan in plans:
        good = _run(*plan, out) and good
    return good


def _run(name: str, row: Row, plan: Plan, out: Path) -> bool:
    """One run, told and kept; True when every promise held, or it cannot be run here."""
    print(f"== {name}: {row.what} ({plan.actions} actions, {plan.faults} faults)", flush=True)
    try:
        return _tell(name, row, plan, row.run(plan), out)
    except SkipRow as reason:
        print(f"   NOT SHOWN: {reason}", flush=True)
        return True
    except Exception:
        traceback.print_exc()
        return False


def _side_by_side(options: argparse.Namespace, plans: list[tuple[str, Row, Plan]]) -> bool:
    """Each run in a process of its own, `--jobs` at a time; what each says is printed when it is over."""
    waiting, good = list(plans), True
    under_way: list[_Job] = []
    with tempfile.TemporaryDirectory(prefix="vigil-faults-said-") as folder:
        try:
            while waiting or under_way:
                while waiting and len(under_way) < options.jobs:
                    under_way.append(_Job(options, *waiting.pop(0), folder=Path(folder)))
                for job in [job for job in under_way if job.process.poll() is not None]:
                    under_way.remove(job)
                    print(job.said.read_text(), end="", flush=True)
                    good = good and job.process.returncode == 0
                time.sleep(0.2)
        finally:
            for job in under_way:
                job.process.terminate()
            for job in under_way:
                job.process.wait(120)
    return good


class _Job:
    """A run in a process of its own."""

    def __init__(self, options: argparse.Namespace, name: str, row: Row, plan: Plan, *, folder: Path) -> None:
        self.said = folder / name.replace(" ", "-")
        what = ["--rows", row.name, "--database", plan.database, "--seeds", str(plan.seed), "--out", options.out]
        size = ["--profile", options.profile, "--actions", str(plan.actions), "--faults", str(plan.faults)]
        with self.said.open("wb") as said:
            argv = [sys.executable, "-m", "tests.faults", *what, *size, "--without-table"]
            self.process = subprocess.Popen(
                argv, stdout=said, stderr=subprocess.STDOUT, preexec_fn=deathsig.tie_to_parent()
            )


def _kept(out: Path, name: str) -> dict[str, Any] | None:
    """What this run kept of `name`; None when it did not come to that."""
    file = _file(out, name)
    return json.loads(file.read_text()) if file.exists() else None


def _file(out: Path, name: str) -> Path:
    return out / f"{name.replace(' ', '-')}.json"


def _all(profile: str) -> list[str]:
    """In the order of the table: F1, F3, F10, and those without a number last."""
    named = sorted(ROWS, key=lambda name: (int(name[1:]) if name[1:].isdigit() else 1000, name))
    rows = [name for name in named if not ROWS[name].alone]
    return [name for name in rows if profile == "full" or ROWS[name].quick is not None]


def _plans(options: argparse.Namespace, names: list[str]) -> list[tuple[str, Row, Plan]]:
    plans = []
    for number, name in enumerate(names):
        row = ROWS[name]
        size = row.quick if options.profile == "quick" else row.full
        if size is None:
            continue
        for database in _databases(options, row, number):
            for seed in map(int, options.seeds.split(",")):
                sizes = {"actions": options.actions or size[0], "faults": options.faults or size[1]}
                plan = Plan(database=database, seed=seed, minutes=options.minutes, **sizes)
                plans.append((f"{name} {database} seed {seed}", row, plan))
    return plans


def _databases(options: argparse.Namespace, row: Row, number: int) -> tuple[str, ...]:
    """Both: each row on each that it has something to say about, and in the quick profile the rows take turns."""
    asked = ("postgres", "sqlite") if options.database == "both" else (options.database,)
    possible = tuple(database for database in asked if database in row.databases)
    if options.profile == "quick" and len(possible) > 1:
        return (possible[number % 2],)
    return possible


def _tell(name: str, row: Row, plan: Plan, result: Result, out: Path) -> bool:
    """Print the figures and keep them; True when every promise held."""
    verdict = result.verdict
    print(history.table([(name, verdict)]), flush=True)
    print(f"   {dict(verdict.figures)} {dict(result.notes)}", flush=True)
    for violation in verdict.violations[:20]:
        print(f"   VIOLATION {violation.what}: {violation.subject}: {violation.says}", flush=True)
    for says in result.broken:
        print(f"   VIOLATION {says}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    told = {"at": time.strftime("%Y-%m-%d %H:%M:%S"), "holds": result.holds, "broken": result.broken}
    kept = {"name": name, "row": row.name, "what": row.what, "plan": asdict(plan), **told}
    kept |= {"notes": dict(result.notes), **asdict(verdict)}
    _file(out, name).write_text(json.dumps(kept, indent=2, default=asdict) + "\n")
    return result.holds


def _parser() -> argparse.ArgumentParser:
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, formatter_class=how)
    parser.add_argument("--profile", choices=("quick", "full"), default="full")
    parser.add_argument("--seeds", default="1", help="whole numbers, with commas between them")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--rows", default="", help="F1,F3 and so on; all of them when not given")
    parser.add_argument("--actions", type=int, default=0, help="another number of actions than the row's own")
    parser.add_argument("--faults", type=int, default=0, help="another number of faults than the row's own")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long F26 goes on; four hours when not given")
    parser.add_argument("--out", default=str(OUT), help="where the figures are kept as JSON")
    parser.add_argument("--jobs", type=int, default=1, help="so many runs at a time, each in a process of its own")
    parser.add_argument("--without-table", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--markdown", default="", help="write the figures of all runs kept in --out to this file")
    return parser


def _leave(number: int, frame: FrameType | None) -> None:
    """Asked to stop: by way of every `finally`, so that nothing stays behind. Asked again, it is on its way."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    sys.exit(main(sys.argv[1:]))
