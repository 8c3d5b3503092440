"""Many rows in one statement, on PostgreSQL and on SQLite: what the ORM would do row by row or 999 values at a time."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import batched
from typing import Any, NamedTuple

from django.db import connection

from metrics import columns
from vigil.kernel import statements
from vigil.kernel.database import one_of

_SQLITE_ROWS = 2_000
"""Rows a statement on SQLite, which takes 32,766 values in all."""
COPY_FROM = 100
"""Samples from which on PostgreSQL takes them quicker by COPY than by INSERT, though that is two statements."""


class NewSample(NamedTuple):
    """A sample about to be stored."""

    series_id: int
    value: float
    at: datetime
    received_at: datetime


class Newest(NamedTuple):
    """What a series has to remember of its newest sample."""

    series_id: int
    value: float
    at: datetime
    sample_id: int


class Locked(NamedTuple):
    """A series that no other transaction writes to or drops until ours ends."""

    id: int
    tags_hash: str
    last_at: datetime | None
    announced: int | None = None
    """The minute since 1970 before which a new sample is late for `metrics.rollups`; None: for none."""


def is_postgres() -> bool:
    """Whether the database is PostgreSQL; else it is SQLite."""
    return connection.vendor == "postgresql"


def stamp(at: datetime) -> datetime | str:
    """`at` as a parameter."""
    return at if is_postgres() else _sqlite_stamp(at)


def _sqlite_stamp(at: datetime) -> str:
    return str(at.astimezone(UTC).replace(tzinfo=None))


def moment(column: str) -> str:
    """`column` such that `moment_reader` reads it, exact to the microsecond."""
    # Django has psycopg read times in Python, at five microseconds each; a number is read in C.
    return f"date_part('epoch', {column})" if is_postgres() else f"{column} || '+00:00'"


def moment_reader() -> Callable[[Any], datetime]:
    """What turns a value that was selected with `moment` into an aware time in UTC."""
    return partial(datetime.fromtimestamp, tz=UTC) if is_postgres() else datetime.fromisoformat


def lock_series(ids: Collection[int]) -> dict[int, Locked]:
    """Lock these series in one order, so that two batches cannot wait for each other; those that exist, by id."""
    where, parameter = ("id = ANY(%s::bigint[])", _array(ids)) if is_postgres() else one_of("id", ids)
    # On SQLite the transaction holds the only write lock there is.
    lock = "FOR NO KEY UPDATE" if is_postgres() else ""
    # Asked here, where the lock on the table of series comes first: `rollups` waits for those who hold that.
    announced = "(SELECT announced FROM metrics_rollupprogress)"
    wanted = f"id, tags_hash, {moment('last_at')}, {announced}"
    sql = f"SELECT {wanted} FROM metrics_series WHERE {where} ORDER BY id {lock}"  # noqa: S608
    read = moment_reader()
    with statements.planned(connection) as cursor:
        cursor.execute(sql, [parameter])
        return {
            row[0]: Locked(row[0], row[1], None if row[2] is None else read(row[2]), row[3])
            for row in cursor.fetchall()
        }


def of_series(ids: Collection[int]) -> tuple[str, list[Any]]:
    """That a sample is of one of these series, with the parameters.

    Where they are few among many: asked in one statement which series it is about, PostgreSQL may look at all of them,
    or at all samples, since it cannot know how few of either that leaves.
    """
    if is_postgres():
        return "series_id = ANY(%s::bigint[])", [_array(ids)]
    where, parameter = one_of("series_id", ids)
    return where, [parameter]


def insert_samples(samples: Sequence[NewSample]) -> Sequence[int]:
    """Store them; their ids, in the same order."""
    if is_postgres():
        return _insert_samples_postgres(samples) if len(samples) < COPY_FROM else _copy_samples(samples)
    return [number for rows in batched(samples, _SQLITE_ROWS) for number in _insert_samples_sqlite(rows)]


class Placed(NamedTuple):
    """A sample that is stored."""

    id: int
    before: datetime | None
    """The time of the newest sample of its series until then."""


_AT_ONCE = """
    WITH sent AS (
        SELECT * FROM unnest(
            %s::bigint[], %s::text[], %s::double precision[], %s::double precision[], %s::double precision[]
        ) WITH ORDINALITY AS sent (series_id, tags_hash, value, at, received_at, place)
    ), locked AS MATERIALIZED (
        SELECT id, tags_hash, last_at, (SELECT announced FROM metrics_rollupprogress) AS announced
        FROM metrics_series WHERE id = ANY(ARRAY(SELECT series_id FROM sent)) ORDER BY id FOR NO KEY UPDATE
    ), known AS MATERIALIZED (
        SELECT sent.*, last_at, announced FROM sent JOIN locked ON id = series_id AND locked.tags_hash = sent.tags_hash
    ), whole AS MATERIALIZED (
        SELECT * FROM known WHERE (SELECT count(*) FROM known) = (SELECT count(*) FROM sent)
    ), stored AS (
        INSERT INTO metrics_sample (series_id, value, at, received_at)
        SELECT series_id, value, to_timestamp(at), to_timestamp(received_at) FROM whole ORDER BY place
        RETURNING id
    ), placed AS MATERIALIZED (
        SELECT id, row_number() OVER (ORDER BY id) AS place FROM stored
    ), newest AS (
        SELECT DISTINCT ON (series_id) series_id, value, at, id
        FROM whole JOIN placed USING (place) ORDER BY series_id, at DESC, place DESC
    ), advanced AS (
        UPDATE metrics_series AS series
        SET last_value = newest.value, last_at = to_timestamp(newest.at), last_sample_id = newest.id
        FROM newest
        WHERE series.id = series_id AND (series.last_at IS NULL OR series.last_at <= to_timestamp(newest.at))
    ), late AS (
        INSERT INTO metrics_latesample (series_id, minute)
        SELECT DISTINCT series_id, floor(at / 60)::integer FROM whole WHERE at < announced * 60.0
    )
    SELECT id, date_part('epoch', last_at) FROM whole JOIN placed USING (place) ORDER BY place
"""


def store_at_once(samples: Sequence[NewSample], tags_hashes: Sequence[str]) -> list[Placed]:
    """On PostgreSQL: lock the series, store the samples and let the series remember the newest, in one statement.

    It does what `lock_series`, `insert_samples`, `note_late` and `advance_series` do in a transaction, for less than
    half of what those cost the server for a handful of samples. Nothing is stored, and [] comes back, unless every
    series is there with its digest.
    """
    series_ids, values, ats, received = zip(*samples, strict=True)
    sent = [
        _array(series_ids), "{" + ",".join(tags_hashes) + "}", _array(values), _array_of_moments(ats),
        _array_of_moments(received),
    ]  # fmt: skip
    read = moment_reader()
    with statements.planned(connection) as cursor:
        cursor.execute(_AT_ONCE, sent)
        return [Placed(number, None if before is None else read(before)) for number, before in cursor.fetchall()]


def note_late(minutes: Collection[tuple[int, int]]) -> None:
    """Let the rollups of these series and minutes be made anew."""
    for part in batched(sorted(minutes), _SQLITE_ROWS):
        marks = ", ".join(["(%s, %s)"] * len(part))
        with connection.cursor() as cursor:
            sql = f"INSERT INTO metrics_latesample (series_id, minute) VALUES {marks}"  # noqa: S608
            cursor.execute(sql, [number for pair in part for number in pair])


def advance_series(newest: Collection[Newest]) -> None:
    """Let each series remember its newest sample, never an older one."""
    if is_postgres():
        _advance_postgres(newest)
        return
    for rows in batched(newest, _SQLITE_ROWS):
        _advance_sqlite(rows)


def _insert_samples_postgres(samples: Sequence[NewSample]) -> list[int]:
    sql = """
        INSERT INTO metrics_sample (series_id, value, at, received_at)
        SELECT series_id, value, to_timestamp(at), to_timestamp(received_at)
        FROM unnest(%s::bigint[], %s::double precision[], %s::double precision[], %s::double precision[])
             WITH ORDINALITY AS sent (series_id, value, at, received_at, place)
        ORDER BY place
        RETURNING id
    """
    series_ids, values, ats, received = zip(*samples, strict=True)
    sent = [_array(series_ids), _array(values), _array_of_moments(ats), _array_of_moments(received)]
    with statements.planned(connection) as cursor:
        cursor.execute(sql, sent)
        return sorted(row[0] for row in cursor.fetchall())


def _copy_samples(samples: Sequence[NewSample]) -> Sequence[int]:
    ids = columns.take_ids(len(samples))
    series_ids, values, ats, received = zip(*samples, strict=True)
    columns.copy(ids, series_ids, values, [at.timestamp() for at in ats], [at.timestamp() for at in received])
    return ids


def _insert_samples_sqlite(samples: Sequence[NewSample]) -> list[int]:
    stamps = {moment: _sqlite_stamp(moment) for row in samples for moment in (row.at, row.received_at)}
    values = [part for row in samples for part in (row.series_id, row.value, stamps[row.at], stamps[row.received_at])]
    marks = ", ".join(["(%s, %s, %s, %s)"] * len(samples))
    sql = f"INSERT INTO metrics_sample (series_id, value, at, received_at) VALUES {marks} RETURNING id"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        # Ids rise in the order of the rows; the order in which RETURNING tells them is not promised.
        return sorted(row[0] for row in cursor.fetchall())


def _advance_postgres(newest: Collection[Newest]) -> None:
    series_ids, values, ats, sample_ids = zip(*newest, strict=True)
    columns.advance(series_ids, values, [at.timestamp() for at in ats], sample_ids)


def _array(numbers: Iterable[float]) -> str:
    """PostgreSQL's text for an array of numbers, made several times faster than psycopg makes it."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _array_of_moments(ats: Iterable[datetime]) -> str:
    # Epoch seconds: rounded to the microsecond a double is exact until the year 2242.
    return _array([at.timestamp() for at in ats])


def _advance_sqlite(newest: Sequence[Newest]) -> None:
    marks = ", ".join(["(%s, %s, %s, %s)"] * len(newest))
    sql = f"""
        WITH sent (series_id, value, at, sample_id) AS (VALUES {marks})
        UPDATE metrics_series
        SET last_value = sent.value, last_at = sent.at, last_sample_id = sent.sample_id
        FROM sent
        WHERE metrics_series.id = sent.series_id
              AND (metrics_series.last_at IS NULL OR metrics_series.last_at <= sent.at)
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [part for row in newest for part in (row[0], row[1], _sqlite_stamp(row.at), row.sample_id)])
