"""What an item costs as Vigil grows: ingest, sweep, query and lists, and bytes for each sample.

`python -m benchmarks.growth` goes to a million series with ten million samples on PostgreSQL and to a tenth of it on
SQLite, which takes some minutes; `--database sqlite`, `--series 10000 100000` and `--actions 0` less.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.report import Figure, tell
from benchmarks.scene import environment
from tests.servers import postgres

BATCH = 1_000
SAMPLES_EACH = 10
SWEPT = 1_000
"""Targets of the policy: the same few, however many there are beside them."""
SIZES = {"postgres": ((10_000, 100_000, 1_000_000), 1_000_000), "sqlite": ((10_000, 100_000), 100_000)}
"""By database: how many series, and then how many actions."""
COSTS = (
    ("ingest of known series", 1e6, "µs", f"a reading, in batches of {BATCH:,} of the same series"),
    ("ingest of any series", 1e6, "µs", f"a reading, in batches of {BATCH:,} of series picked among all"),
    ("ingest of new series", 1e6, "µs", f"a reading of a series that was not there, in batches of {BATCH:,}"),
    ("sweep", 1e6, "µs", f"a target, of a policy on {SWEPT:,} of them"),
    ("query", 1e3, "ms", "one series over six hours"),
    ("list", 1e3, "ms", "the first page of all series"),
)


def run(database: str, sizes: Sequence[int], actions: int) -> list[Figure]:
    """Each cost at each size, beside what it was at the first."""
    lines = _grown(database, sizes, actions)
    grown = [line for line in lines if "series" in line]
    few, *many = [line for line in lines if "actions" in line]
    return [figure for line in grown for figure in _costs(database, line, grown[0])] + [
        Figure(
            what=f"{database}, list: the first page of actions",
            value=line["list"] * 1e3,
            unit="ms",
            beside=f"{line['actions']:,} actions; {few['list'] * 1e3:.1f} ms of {few['actions']}",
            ratio=line["list"] / few["list"],
        )
        for line in many
    ]


def _costs(database: str, line: dict[str, Any], first: dict[str, Any]) -> list[Figure]:
    where = f"{line['series']:,} series, {line['samples']:,} samples"
    return [
        Figure(
            what=f"{database}, {name}: {what}",
            value=line[name] * scale,
            unit=unit,
            beside=where,
            ratio=line[name] / first[name],
        )
        for name, scale, unit, what in COSTS
    ] + [Figure(what=f"{database}: a sample on disk, index included", value=line["bytes"], unit="bytes", beside=where)]


def _grown(database: str, sizes: Sequence[int], actions: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder, _database(database, Path(folder)) as url:
        more = {"VIGIL_NEW_SERIES_PER_KEY": "0", "VIGIL_CARDINALITY_MAX": str(10 * max(sizes))}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growing", *map(str, sizes), "--actions", str(actions)],
            env=environment(url, Path(folder), **more),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@contextmanager
def _database(which: str, folder: Path) -> Iterator[str]:
    """The address of an empty one; PostgreSQL syncs, and does not stop for checkpoints while it is filled."""
    if which == "sqlite":
        yield ""
        return
    server = postgres.start(folder / "postgres", durable=True)
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
            connection.execute("ALTER SYSTEM SET checkpoint_timeout = '1h'")
            connection.execute("SELECT pg_reload_conf()")
        yield server.create_database("growth")
    finally:
        server.stop()


def main() -> int:
    """Print how costs grow."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--database", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--series", nargs="+", type=int, help="sizes, smallest first")
    parser.add_argument("--actions", type=int)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    figures = []
    for database in given.database:
        sizes, actions = SIZES[database]
        figures += run(database, given.series or sizes, actions if given.actions is None else given.actions)
    about = f"Each series has {SAMPLES_EACH} samples, half an hour apart, and what was stored while measuring."
    tell(figures, as_json=given.json, about=about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
