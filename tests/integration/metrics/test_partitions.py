"""Samples in parts by day: made ahead, dropped whole, never in anybody's way."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from metrics import ingest, partitions, queries, ranges, retention
from metrics.formats.reading import Reading
from metrics.models import Sample, Series
from metrics.ranges import Range
from tests.integration.metrics.cast import NOON, sample

pytestmark = [pytest.mark.django_db, pytest.mark.postgres_only]

DAY = timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0)
BEFORE = [("metrics", "0005_series_room_on_page")]
AFTER = [key for key in MigrationLoader(None).graph.leaf_nodes() if key[0] == "metrics"]


def ensure(at: datetime = NOON, *, days: int = 2) -> int:
    return partitions.ensure(partitions.SAMPLES, kept_from=at - days * DAY, at=at)


def ask(sql: str, *parameters: Any) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def where_samples_are() -> list[tuple[object, ...]]:
    return ask("SELECT tableoid::regclass::text, value FROM metrics_sample ORDER BY value")


def test_the_parts_of_what_is_kept_and_of_the_next_three_days_are_made() -> None:
    assert ensure() == 6
    days = [
        part.since for part in partitions.parts(partitions.SAMPLES) if part.name.startswith("metrics_sample_202601")
    ]
    assert days == [MIDNIGHT + number * DAY for number in range(-2, 4)]
    assert ensure() == 0
    assert ensure(NOON + DAY) == 1


def test_however_long_samples_are_kept_few_parts_are_made_of_the_past() -> None:
    assert ensure(days=3_650) == 31 + 4


def test_a_sample_goes_into_the_part_of_its_own_day() -> None:
    ensure()
    sample(1.0, at=MIDNIGHT - timedelta(microseconds=1))
    sample(2.0, at=MIDNIGHT)
    assert where_samples_are() == [("metrics_sample_20260118", 1.0), ("metrics_sample_20260119", 2.0)]


def test_a_sample_that_no_part_is_there_for_is_stored_and_moved_when_there_is_one() -> None:
    sample(1.0)
    sample(2.0, at=NOON - 5 * DAY)
    assert [part for part, _ in where_samples_are()] == ["metrics_sample_default"] * 2
    ensure()
    assert [part for part, _ in where_samples_are()] == ["metrics_sample_20260119", "metrics_sample_default"]


def test_what_would_take_long_to_move_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "MOVED_MOST", 2)
    for value in (1.0, 2.0, 3.0):
        sample(value)
    assert ensure() == 5
    assert {part for part, _ in where_samples_are()} == {"metrics_sample_default"}
    assert partitions.lacks_next(partitions.SAMPLES, at=NOON - DAY)


def test_a_part_is_dropped_when_its_whole_day_is_older_than_the_retention() -> None:
    at = NOON + 13 * DAY
    ensure()
    sample(1.0, at=NOON - 2 * DAY)
    sample(2.0, at=NOON - DAY)
    retention.prune(at=at)
    assert where_samples_are() == [("metrics_sample_20260118", 2.0)]
    retention.prune(at=at + DAY)
    assert where_samples_are() == []
    assert not Series.objects.exists()


def test_it_is_told_when_the_next_part_lacks() -> None:
    assert partitions.lacks_next(partitions.SAMPLES, at=NOON)
    ensure()
    assert not partitions.lacks_next(partitions.SAMPLES, at=NOON)
    assert partitions.lacks_next(partitions.SAMPLES, at=NOON + 3 * DAY)


def test_a_recent_window_is_read_from_the_parts_of_its_time_alone() -> None:
    ensure()
    sample()
    plans = _plans(lambda: queries.window(metrics=["cpu_usage"], since=NOON - timedelta(minutes=5), until=NOON))
    plans += _plans(lambda: queries.summaries(metrics=["cpu_usage"], since=NOON - timedelta(minutes=5), until=NOON))
    plans += _plans(lambda: ranges.read(_last_five_minutes()))
    assert len(plans) == 3
    for plan in plans:
        assert "metrics_sample_20260119" in plan
        assert "metrics_sample_20260118" not in plan
        assert "metrics_sample_default" not in plan


def _last_five_minutes() -> Range:
    since = NOON - timedelta(minutes=5)
    return Range(
        metric="cpu_usage", target="", since=since, until=NOON, step=timedelta(minutes=1), aggregate="avg", at=NOON
    )


def _plans(read: Callable[[], object]) -> list[str]:
    """How PostgreSQL goes about the statements on samples that `read` sends."""
    found: list[str] = []

    def explain(execute: Callable[..., object], sql: str, parameters: Any, many: bool, context: object) -> object:
        if "FROM metrics_sample" in sql:
            with psycopg.ClientCursor(connection.connection) as cursor:
                cursor.execute(f"EXPLAIN {sql}", parameters)
                found.append("\n".join(row[0] for row in cursor))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        read()
    return found


@pytest.fixture
def restored() -> Iterator[None]:
    """However a test leaves the tables, the next one finds them as they should be."""
    yield
    MigrationExecutor(connection).migrate(AFTER)
    Sample.objects.all().delete()
    Series.objects.all().delete()


def _migrate(to: list[tuple[str, str]]) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(to)


@pytest.mark.django_db(transaction=True)
def test_a_table_that_holds_samples_becomes_the_first_part(restored: None) -> None:
    _migrate(BEFORE)
    with connection.schema_editor() as editor:  # in the words of migration 0002, which PostgreSQL compares
        [finite] = Sample._meta.constraints
        editor.remove_constraint(Sample, finite)
        editor.add_constraint(Sample, finite)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics_sample (series_id, value, at, received_at) SELECT n % 7, n, t, t "
            "FROM (SELECT n, now() - n * interval '1 minute' AS t FROM generate_series(1, 5000) AS n) AS sent"
        )
        # An earlier try came as far as this.
        cursor.execute("CREATE INDEX metrics_sample_legacy_key ON metrics_sample (id)")
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'metrics_sample_legacy_key'::regclass"
        )
    [(file,)] = ask("SELECT pg_relation_filenode('metrics_sample')")
    _migrate(AFTER)
    assert ask("SELECT pg_relation_filenode('metrics_sample_legacy')") == [(file,)]
    assert ask("SELECT count(*), sum(value) FROM metrics_sample") == [(5000, 12_502_500.0)]
    now = ingest.store(readings=[Reading("a", 1.0)], at=_now()).samples[0]
    assert now.id > 5_000
    assert ask("SELECT tableoid::regclass::text FROM metrics_sample WHERE id = %s", now.id) == [
        ("metrics_sample_legacy",)
    ]
    ensure(_now(), days=14)
    late = ingest.store(readings=[Reading("a", 1.0, {}, _now() + 2 * DAY)], at=_now() + 2 * DAY).samples[0]
    name = f"metrics_sample_{late.at:%Y%m%d}"
    assert ask("SELECT tableoid::regclass::text FROM metrics_sample WHERE id = %s", late.id) == [(name,)]
    retention.prune(at=_now() + 14 * DAY - timedelta(minutes=60))
    [(left,)] = ask("SELECT count(*) FROM metrics_sample_legacy")
    assert 50 < int(str(left)) < 62
    retention.prune(at=_now() + 17 * DAY)
    assert ask("SELECT to_regclass('metrics_sample_legacy')") == [(None,)]


def _now() -> datetime:
    [(now,)] = ask("SELECT now()")
    assert isinstance(now, datetime)
    return now


@pytest.mark.django_db(transaction=True)
def test_somebody_who_reads_for_long_stops_neither_retention_nor_ingest(restored: None) -> None:
    ensure()
    sample(1.0, at=NOON - 2 * DAY)
    sample(2.0, at=NOON)
    reading, done = threading.Event(), threading.Event()

    def read_for_long() -> None:
        with transaction.atomic():
            list(Sample.objects.all())
            reading.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=read_for_long)
    thread.start()
    reading.wait(10)
    try:
        retention.prune(at=NOON + 15 * DAY)
        sample(3.0, at=NOON)
        assert ask("SELECT to_regclass('metrics_sample_20260117') IS NULL") == [(False,)]
    finally:
        done.set()
        thread.join()
    retention.prune(at=NOON + 15 * DAY)
    assert ask("SELECT to_regclass('metrics_sample_20260117') IS NULL") == [(True,)]
