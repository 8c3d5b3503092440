"""What an item costs as Vigil grows: ingest, sweep, query and the list of actions, and bytes for each sample.

`python -m benchmarks.growth`; with a million series and ten million samples, as without arguments, it takes more
than ten minutes; `--series 10000 100000` a minute and a half.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Figure, tell
from benchmarks.scene import environment
from tests.servers import postgres

BATCH = 1_000
SAMPLES_EACH = 10
SWEPT = 1_000
"""Targets of the policy: the same few, however many there are beside them."""
SERIES = (10_000, 100_000, 1_000_000)
ACTIONS = 1_000_000
COSTS = (
    ("ingest of known series", 1e6, "µs", f"a reading, in batches of {BATCH:,} of the same series"),
    ("ingest of any series", 1e6, "µs", f"a reading, in batches of {BATCH:,} of series picked among all"),
    ("sweep", 1e6, "µs", f"a target, of a policy on {SWEPT:,} of them"),
    ("query", 1e3, "ms", "a query of one series over six hours"),
)


def run(sizes: Sequence[int] = SERIES, actions: int = ACTIONS) -> list[Figure]:
    """Each cost at each size, beside what it was at the first."""
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder:
        server = postgres.start(Path(folder) / "postgres", durable=True)
        try:
            lines = _grown(server.create_database("growth"), Path(folder), sizes, actions)
        finally:
            server.stop()
    grown = [line for line in lines if "series" in line]
    figures = [figure for line in grown for figure in _costs(line, grown[0])]
    few, *many = [line for line in lines if "list" in line]
    return figures + [
        Figure(
            what=f"the first page of {line['actions']:,} actions",
            value=line["list"] * 1e3,
            unit="ms",
            beside=f"of {few['actions']}: {few['list'] * 1e3:.1f} ms",
            ratio=line["list"] / few["list"],
        )
        for line in many
    ]


def _costs(line: dict[str, Any], first: dict[str, Any]) -> list[Figure]:
    where = f"{line['series']:,} series, {line['samples']:,} samples"
    per_sample = line["bytes"] / line["samples"]
    return [
        Figure(
            what=f"{what}: {name}",
            value=line[name] * scale,
            unit=unit,
            beside=where,
            ratio=line[name] / first[name],
        )
        for name, scale, unit, what in COSTS
    ] + [Figure(what="a sample on disk, index included", value=per_sample, unit="bytes", beside=where)]


def _grown(url: str, folder: Path, sizes: Sequence[int], actions: int) -> list[dict[str, Any]]:
    env = environment(url, folder, VIGIL_NEW_SERIES_PER_KEY="0", VIGIL_CARDINALITY_MAX=str(2 * max(sizes)))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growing", *map(str, sizes), "--actions", str(actions)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> int:
    """Print how costs grow."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--series", nargs="+", type=int, default=SERIES, help="sizes, smallest first")
    parser.add_argument("--actions", type=int, default=ACTIONS)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    figures = run(given.series, given.actions)
    about = f"Each series has {SAMPLES_EACH} samples, half an hour apart, and what was stored while measuring."
    tell(figures, as_json=given.json, about=about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
