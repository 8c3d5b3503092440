"""Growth in a process of its own, on an empty PostgreSQL: `python -m benchmarks.growing SERIES... --actions N`.

DATABASE_URL says where. Prints one JSON line for each size.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from actions import dispatch  # noqa: E402
from actions.models import Action  # noqa: E402
from benchmarks.growth import BATCH, SAMPLES_EACH, SWEPT  # noqa: E402
from metrics import series  # noqa: E402
from metrics.formats.reading import Reading  # noqa: E402
from policies import authoring, intake, sweep  # noqa: E402
from vigil.access import keys  # noqa: E402
from vigil.kernel import clock, database  # noqa: E402

METRIC = "growth"
EVERY = timedelta(minutes=30)
TURNS = 15


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
        _add(there, size, clock.now())
        there = size
        print(json.dumps(_measured(size, ask)), flush=True)
    _order(2)
    print(json.dumps({"actions": 2, "list": _list(ask)}), flush=True)
    if actions:
        _clone(actions)
        print(json.dumps({"actions": actions, "list": _list(ask)}), flush=True)


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


def _add(first: int, last: int, at: datetime) -> None:
    """Series from `first` to before `last`, each with its samples, straight into the tables."""
    with _unhurried() as cursor:
        with cursor.copy("COPY metrics_series (name, tags, tags_hash, target, created_at) FROM STDIN") as copy:
            for number in range(first, last):
                tags = {"host": _host(number)}
                code = series.digest(series.key_of(METRIC, tags))
                copy.write_row((METRIC, json.dumps(tags), code, _host(number), at))
        cursor.execute(
            """
            INSERT INTO metrics_sample (series_id, value, at, received_at)
            SELECT series.id, 50 + series.id %% 10, moment, moment
            FROM metrics_series AS series,
                 generate_series(%s::timestamptz, %s::timestamptz, make_interval(secs => %s)) AS moment
            WHERE series.last_at IS NULL
            """,
            [at - EVERY * SAMPLES_EACH, at - EVERY, EVERY.total_seconds()],
        )
        cursor.execute(
            "UPDATE metrics_series SET last_value = 50, last_at = %s, last_sample_id = 1 WHERE last_at IS NULL",
            [at - EVERY],
        )
        cursor.execute("ANALYZE")
        cursor.execute("CHECKPOINT")


@contextmanager
def _unhurried() -> Iterator[Any]:
    """Filling takes longer than any statement of Vigil's may."""
    with database.patience(seconds=900), connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        yield cursor
        cursor.execute("RESET statement_timeout")


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

    return {
        "series": size,
        "samples": _asked("SELECT count(*) FROM metrics_sample"),
        "bytes": _asked(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'metrics_sample'::regclass"
        ),
        "ingest of known series": _seconds(known) / BATCH,
        "ingest of any series": _seconds(ingest) / BATCH,
        "sweep": _seconds(lambda: sweep.run(at=clock.now(), hand_out=lambda _: None)) / SWEPT,
        "query": _seconds(query),
    }


def _ago(hours: int) -> str:
    return (clock.now() - timedelta(hours=hours)).isoformat()


def _list(ask: Client) -> float:
    return _seconds(lambda: _get(ask, "/api/v1/actions", {"limit": "50"}))


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


def _clone(count: int) -> None:
    """So many finished actions more, each like the first but for what is unique."""
    unlike = {"id", "uid", "request_key", "dedup_key", "state", "created_at", "finished_at", "deadline"}
    same = [str(field.column) for field in Action._meta.fields if field.column not in unlike]
    with _unhurried() as cursor:
        cursor.execute(
            f"""
            INSERT INTO actions_action (uid, dedup_key, state, created_at, finished_at, deadline, {", ".join(same)})
            SELECT gen_random_uuid(), 'clone-' || number, 'cancelled', moment, moment, moment + interval '1 minute',
                   {", ".join(same)}
            FROM actions_action, generate_series(1, %s) AS number, LATERAL (
                SELECT now() - number * interval '1 second' AS moment
            ) AS past
            WHERE id = (SELECT min(id) FROM actions_action)
            """,  # noqa: S608
            [count],
        )
        cursor.execute("ANALYZE")


def _asked(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def _seconds(work: Callable[[], object]) -> float:
    """The median of some turns."""
    work()
    turns = []
    for _ in range(TURNS):
        began = time.perf_counter()
        work()
        turns.append(time.perf_counter() - began)
    return sorted(turns)[len(turns) // 2]


if __name__ == "__main__":
    main()
