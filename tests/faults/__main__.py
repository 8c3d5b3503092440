"""Runs rows of the fault table: `python -m tests.faults --profile full --seeds 1,2,3 --database both --rows F1,F3`.

Rows run one after the other, each on a Vigil of its own. The quick profile takes some minutes, the full one about an
hour and a half for each seed on both databases. `--markdown FILE` writes a table of all figures kept in `--out`.
"""

import argparse
import json
import signal
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from tests.faults import history, report
from tests.faults.rows import ROWS, Plan, Result, Row, SkipRow

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
    results: list[tuple[str, Result]] = []
    good = True
    for plan_name, row, plan in _plans(options, names):
        print(f"== {plan_name}: {row.what} ({plan.actions} actions, {plan.faults} faults)", flush=True)
        try:
            result = row.run(plan)
        except SkipRow as reason:
            print(f"   NOT SHOWN: {reason}", flush=True)
            continue
        except Exception:
            traceback.print_exc()
            good = False
            continue
        results.append((plan_name, result))
        good = _tell(plan_name, row, plan, result, Path(options.out)) and good
    print()
    print(history.table([(name, result.verdict) for name, result in results]))
    print(f"== in all, {time.monotonic() - began:.0f} s: {'every promise held' if good else 'BROKEN, see above'}")
    if options.markdown:
        Path(options.markdown).write_text(report.markdown(Path(options.out)))
    return 0 if good else 1


def _all(profile: str) -> list[str]:
    """In the order of the table: F1, F3, F10, and those without a number last."""
    named = sorted(ROWS, key=lambda name: (int(name[1:]) if name[1:].isdigit() else 1000, name))
    return [name for name in named if profile == "full" or ROWS[name].quick is not None]


def _plans(options: argparse.Namespace, names: list[str]) -> list[tuple[str, Row, Plan]]:
    plans = []
    for number, name in enumerate(names):
        row = ROWS[name]
        size = row.quick if options.profile == "quick" else row.full
        if size is None:
            continue
        for database in _databases(options, number):
            for seed in map(int, options.seeds.split(",")) if database in row.databases else ():
                plan = Plan(database=database, seed=seed, actions=options.actions or size[0], faults=size[1])
                plans.append((f"{name} {database} seed {seed}", row, plan))
    return plans


def _databases(options: argparse.Namespace, number: int) -> tuple[str, ...]:
    """Both: each row on each, and in the quick profile the rows take turns."""
    if options.database != "both":
        return (options.database,)
    both = ("postgres", "sqlite")
    return (both[number % 2],) if options.profile == "quick" else both


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
    (out / f"{name.replace(' ', '-')}.json").write_text(json.dumps(kept, indent=2, default=asdict) + "\n")
    return result.holds


def _parser() -> argparse.ArgumentParser:
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, formatter_class=how)
    parser.add_argument("--profile", choices=("quick", "full"), default="full")
    parser.add_argument("--seeds", default="1", help="whole numbers, with commas between them")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--rows", default="", help="F1,F3 and so on; all of them when not given")
    parser.add_argument("--actions", type=int, default=0, help="another number of actions than the row's own")
    parser.add_argument("--out", default=str(OUT), help="where the figures are kept as JSON")
    parser.add_argument("--markdown", default="", help="write the figures of all runs kept in --out to this file")
    return parser


def _leave(number: int, frame: FrameType | None) -> None:
    """Asked to stop: by way of every `finally`, so that nothing stays behind."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    sys.exit(main(sys.argv[1:]))
