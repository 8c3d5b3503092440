"""Growth in a process of its own, on an empty database: `python -m benchmarks.growing SERIES... --actions N`.

DATABASE_URL says where. Prints one JSON line for each size.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import batched, count
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402

from actions import dispatch  # noqa: E402
from actions.models import Action  # noqa: E402
from benchmarks.growth import BATCH, SAMPLES_EACH, SWEPT  # noqa: E402
from metrics import rows, series  # noqa: E402
from metrics.formats.reading import Reading  # noqa: E402
from policies import authoring, intake, sweep  # noqa: E402
from vigil.access import keys  # noqa: E402
from vigil.kernel import clock, database  # noqa: E402

METRIC = "growth"
EVERY = timedelta(minutes=30)
TURNS = 15
FEW_TURNS = 5
"""Of what leaves much behind."""
SERIES_COLUMNS = "name, tags, tags_hash, target, created_at, last_value, last_at, last_sample_id"
FILLED_AT_ONCE = 10_000
NUMBERS = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < %s)"
UNIQUE = {"postgresql": "gen_random_uuid()", "sqlite": "lower(hex(randomblob(16)))"}


def main() -> None:
    """Grow, and measure at each size."""
    split = sys.argv.index("--actions")
    sizes, actions = list(map(int, sys.argv[1:split])), int(sys.argv[split + 1])
    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    _, plain = keys.create(name="growth", scopes=["read"], actor="benchmark")
    ask = Client(headers={"Authorization": f"Bearer {plain}", "Host": "localhost"})
    authoring.create(raw=_policy(), actor="benchmark", at=clock.now())
    there = 0
    for size in sizes:
        per_sample = _add(there, size, clock.now())
        there = size
        print(json.dumps({"bytes": per_sample, **_measured(size, ask)}), flush=True)
    _order(2)
    print(json.dumps({"actions": 2, "list": _list(ask, "actions")}), flush=True)
    if actions:
        _clone(actions, clock.now())
        print(json.dumps({"actions": actions, "list": _list(ask, "actions")}), flush=True)


def _policy() -> dict[str, object]:
    return {
        "name": "growth",
        "severity": "info",
        "target": "h-0000*",
        "condition": f"avg({METRIC}, 5m) > 1000",
        "action": "scale-up",
        "params": {"replicas": 2},
    }


def _host(number: int) -> str:
    return f"h-{number:07}"


def _add(first: int, last: int, at: datetime) -> float:
    """Series from `first` to before `last`, each with its samples, straight into the tables; bytes for each sample."""
    before = _asked("SELECT coalesce(max(id), 0) FROM metrics_series")
    with _unhurried() as cursor:
        _add_series(cursor, (_series(number, at - EVERY) for number in range(first, last)))
        without = _bytes()
        _add_samples(cursor, before, [at - EVERY * number for number in range(SAMPLES_EACH, 0, -1)])
        taken = _bytes() - without
    _settle()
    return taken / (last - first) / SAMPLES_EACH


def _add_series(cursor: Any, made: Iterator[tuple[object, ...]]) -> None:
    if rows.is_postgres():
        with cursor.copy(f"COPY metrics_series ({SERIES_COLUMNS}) FROM STDIN") as copy:
            for row in made:
                copy.write_row(row)
        return
    marks = ", ".join(["%s"] * len(SERIES_COLUMNS.split(", ")))
    for some in batched(made, FILLED_AT_ONCE):
        cursor.executemany(f"INSERT INTO metrics_series ({SERIES_COLUMNS}) VALUES ({marks})", some)  # noqa: S608


def _add_samples(cursor: Any, before: int, moments: list[datetime]) -> None:
    """One at each moment for the series after `before`, in the order of the key: so its index grows at the end."""
    stamps = [rows.stamp(moment) for moment in moments]
    many = (
        "unnest(%s::timestamptz[]) AS moment" if rows.is_postgres() else "(SELECT value AS moment FROM json_each(%s))"
    )
    cursor.execute(
        f"""
        INSERT INTO metrics_sample (series_id, value, at, received_at)
        SELECT id, 50 + id %% 10, moment, moment
        FROM (SELECT id FROM metrics_series WHERE id > %s ORDER BY id) AS made CROSS JOIN {many}
        """,  # noqa: S608
        [before, stamps if rows.is_postgres() else json.dumps(stamps)],
    )


def _series(number: int, last_at: datetime) -> tuple[object, ...]:
    tags, moment = {"host": _host(number)}, rows.stamp(last_at)
    return METRIC, json.dumps(tags), series.digest(series.key_of(METRIC, tags)), _host(number), moment, 50.0, moment, 1


def _settle() -> None:
    """Nothing of the filling is left to be done while something is measured."""
    with _unhurried() as cursor:
        cursor.execute("ANALYZE")
        if rows.is_postgres():
            cursor.execute("CHECKPOINT")


@contextmanager
def _unhurried() -> Iterator[Any]:
    """Filling takes longer than any statement of Vigil's may."""
    with database.patience(seconds=900), transaction.atomic(), connection.cursor() as cursor:
        if rows.is_postgres():
            cursor.execute("SET LOCAL statement_timeout = 0")
        yield cursor


def _measured(size: int, ask: Client) -> dict[str, object]:
    chance = random.Random(size)

    def ingest() -> None:
        numbers = chance.sample(range(size), BATCH)
        readings = [Reading(METRIC, 50.5, {"host": _host(number)}) for number in numbers]
        intake.accept(readings=readings, at=clock.now())

    def known() -> None:
        readings = [Reading(METRIC, 50.5, {"host": _host(number)}) for number in range(BATCH)]
        intake.accept(readings=readings, at=clock.now())

    def query() -> None:
        host = _host(chance.randrange(size))
        _get(ask, "/api/v1/metrics/query", {"metric": METRIC, "target": host, "since": _ago(6), "step": "5m"})

    fresh = count(size * 1_000)

    def new() -> None:
        readings = [Reading(METRIC, 50.5, {"host": f"n-{next(fresh)}"}) for _ in range(BATCH)]
        intake.accept(readings=readings, at=clock.now())

    return {
        "series": size,
        "samples": _asked("SELECT count(*) FROM metrics_sample"),
        "ingest of known series": _seconds(known) / BATCH,
        "ingest of any series": _seconds(ingest) / BATCH,
        "sweep": _seconds(lambda: sweep.run(at=clock.now(), hand_out=lambda _: None)) / SWEPT,
        "query": _seconds(query),
        "list": _list(ask, "metrics"),
        "ingest of new series": _seconds(new, turns=FEW_TURNS) / BATCH,
    }


def _bytes() -> int:
    """Of the samples' tables and their indexes; on SQLite, of everything."""
    if not rows.is_postgres():
        return _asked("PRAGMA page_count") * _asked("PRAGMA page_size")
    parts = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'metrics_sample'::regclass"
    return _asked(f"SELECT sum(pg_total_relation_size(inhrelid)) FROM ({parts}) AS part")  # noqa: S608


def _ago(hours: int) -> str:
    return (clock.now() - timedelta(hours=hours)).isoformat()


def _list(ask: Client, what: str) -> float:
    return _seconds(lambda: _get(ask, f"/api/v1/{what}", {"limit": "50"}))


def _get(ask: Client, path: str, query: dict[str, str]) -> None:
    answer = ask.get(path, query)
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.content!r}")


def _order(count: int) -> None:
    for number in range(count):
        dispatch.order_by_hand(
            kind="scale-up",
            target=_host(number),
            params={"replicas": 2},
            reason="to grow from",
            actor="benchmark",
            at=clock.now(),
        )


def _clone(number: int, at: datetime) -> None:
    """So many finished actions more, each like the first but for what is unique."""
    unlike = {"id", "uid", "request_key", "dedup_key", "state", "created_at", "finished_at", "deadline"}
    same = ", ".join(str(field.column) for field in Action._meta.fields if field.column not in unlike)
    moment, deadline = rows.stamp(at), rows.stamp(at + timedelta(minutes=1))
    with _unhurried() as cursor:
        cursor.execute(
            f"""
            {NUMBERS}
            INSERT INTO actions_action (uid, dedup_key, state, created_at, finished_at, deadline, {same})
            SELECT {UNIQUE[connection.vendor]}, 'clone-' || number, 'cancelled', %s, %s, %s, {same}
            FROM numbers CROSS JOIN (SELECT * FROM actions_action ORDER BY id LIMIT 1) AS first
            """,  # noqa: S608
            [number, moment, moment, deadline],
        )
    _settle()


def _asked(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def _seconds(work: Callable[[], object], *, turns: int = TURNS) -> float:
    """The median of some turns."""
    work()
    taken = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2]


if __name__ == "__main__":
    main()
