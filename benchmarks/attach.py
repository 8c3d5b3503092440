"""How long a large table of samples takes to become a partition, and how long others wait for it meanwhile.

`python -m benchmarks.attach` fills the table as it was before partitions (migration 0005 of `metrics`), then migrates
while two connections write and read samples without a pause.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.processor import Meter
from benchmarks.report import Figure, tell
from benchmarks.scene import environment
from tests.servers import postgres

SAMPLES = 5_000_000
SERIES = 1_000
BEFORE = "0005_series_room_on_page"
STEPS = ("0006_partitions_and_rollups", "")
"""Migrations of `metrics` that are timed, each with all before it; "" is the newest."""
WRITE = "INSERT INTO metrics_sample (series_id, value, at, received_at) VALUES (1, 50, now(), now())"
READ = "SELECT sum(value) FROM metrics_sample WHERE series_id = 1 AND at > now() - interval '5 minutes'"
PAUSE = 0.005


def run(samples: int) -> list[Figure]:
    """What the migration costs, and whom it holds up."""
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder:
        server = postgres.start(Path(folder) / "postgres", durable=True)
        try:
            url = server.create_database("attach")
            meter = Meter({"database": lambda: [server.process.pid]})
            return list(_measured(url, Path(folder), samples, meter))
        finally:
            server.stop()


def _measured(url: str, folder: Path, samples: int, meter: Meter) -> Iterator[Figure]:
    os.environ.update(environment(url, folder))
    _migrate("metrics", BEFORE)
    with psycopg.connect(url, autocommit=True) as connection:
        _fill(connection, samples)
        yield Figure(what="the table before, indexes included", value=_megabytes(connection), unit="MB")
        for step in STEPS:
            name = step or "what follows"
            with _others(url) as waits, meter.measured("here") as spent:
                began = time.monotonic()
                _migrate("metrics", *([step] if step else []))
                seconds = time.monotonic() - began
            yield Figure(what=f"{name}: from beginning to end", value=seconds, unit="s", beside=f"{samples:,} samples")
            yield Figure(what=f"{name}: processor time of the database", value=spent["database"], unit="s")
            for who, longest in waits.longest.items():
                beside = f"{waits.count[who]:,} statements"
                yield Figure(what=f"{name}: longest wait of who {who}", value=longest * 1e3, unit="ms", beside=beside)
        yield Figure(what="the table afterwards, indexes included", value=_megabytes(connection), unit="MB")


def _migrate(*arguments: str) -> None:
    """In this process, whose database is known only now."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", *arguments, verbosity=0)


def _fill(connection: "psycopg.Connection[tuple[object, ...]]", samples: int) -> None:
    """As they come: every series in turn, over the time until now."""
    connection.execute(
        """
        INSERT INTO metrics_sample (series_id, value, at, received_at)
        SELECT 1 + number %% %(series)s::int, 50 + number %% 10, moment, moment
        FROM generate_series(1, %(samples)s::int) AS number,
             LATERAL (
                 SELECT now() - (%(samples)s::int - number) / %(series)s::int * interval '15 seconds' AS moment
             ) AS past
        """,
        {"samples": samples, "series": SERIES},
    )
    connection.execute("VACUUM ANALYZE metrics_sample")
    connection.execute("CHECKPOINT")


def _megabytes(connection: "psycopg.Connection[tuple[object, ...]]") -> float:
    [(size,)] = connection.execute(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'metrics\\_sample%'"
    ).fetchall()
    return float(str(size)) / 1e6


@dataclass(slots=True)
class _Waits:
    """How long the slowest statement of each took, and how many there were."""

    longest: dict[str, float] = field(default_factory=lambda: {"writes": 0.0, "reads": 0.0})
    count: dict[str, int] = field(default_factory=lambda: {"writes": 0, "reads": 0})


@contextmanager
def _others(url: str) -> Iterator[_Waits]:
    """Connections that write and read for as long as this lasts."""
    waits, over = _Waits(), threading.Event()

    def go_on(who: str, statement: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not over.wait(PAUSE):
                began = time.monotonic()
                connection.execute(statement)
                waits.longest[who] = max(waits.longest[who], time.monotonic() - began)
                waits.count[who] += 1

    threads = [threading.Thread(target=go_on, args=each) for each in (("writes", WRITE), ("reads", READ))]
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        over.set()
        for thread in threads:
            thread.join()


def main() -> int:
    """Print what attaching costs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attach", description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    tell(run(given.samples), as_json=given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
