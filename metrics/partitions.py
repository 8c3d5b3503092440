"""Tables in parts by time, on PostgreSQL: made ahead, and dropped whole when their time is over.

What no part is there for goes into the table's default part, so nothing is ever refused for the lack of one. On SQLite
there are no parts, and these functions find nothing to do; `metrics.retention` deletes row by row there, as it does in
the default part and in what was stored before there were parts.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from metrics import rows

log = structlog.get_logger(__name__)

AHEAD = timedelta(days=3)
"""How long before its time a part is made: periodic work may stand still that long, and nothing is slower for it."""
BEHIND_MOST = 31
"""How many parts of the past are made: older ones are there because they were made in their time, or not at all."""
MOVED_MOST = 50_000
"""Rows that are moved from the default part into a new one, while nobody else can write to the default one."""
LOCK_FOR = "200ms"
"""How long making or dropping a part may wait for its lock, once a minute: ingest waits behind it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Table(NamedTuple):
    """A table in parts."""

    name: str
    column: str
    part: timedelta
    """How much time a part holds."""
    step: timedelta | None = None
    """Of a column that counts steps since 1970; None for one that holds times."""

    def bound(self, moment: datetime) -> str:
        """`moment` as the column's value in SQL."""
        return f"'{moment}'" if self.step is None else str((moment - _EPOCH) // self.step)

    def start_of(self, moment: datetime) -> datetime:
        """The beginning of the part that `moment` belongs to."""
        return _EPOCH + (moment - _EPOCH) // self.part * self.part


class Part(NamedTuple):
    """A part there is: rows of `since` to before `until`. None: open, and `is_default` for the rest."""

    name: str
    since: datetime | None
    until: datetime | None
    is_default: bool


SAMPLES = Table("metrics_sample", "at", timedelta(days=1))


def ensure(table: Table, *, kept_from: datetime, at: datetime) -> int:
    """Make the parts that lack from `kept_from`, or `BEHIND_MOST` parts ago, to `AHEAD` of `at`; how many were made.

    One that cannot have its lock soon, or for which too much lies in the default part already, is left for later.
    """
    if not rows.is_postgres():
        return 0
    return sum(_made(table, start) for start in _lacking(table, kept_from=kept_from, at=at))


def lacks_next(table: Table, *, at: datetime) -> bool:
    """Whether there is no part for what is stored a day from `at`."""
    tomorrow = at + timedelta(days=1)
    return rows.is_postgres() and any(_lacking(table, kept_from=tomorrow, at=tomorrow - AHEAD))


def drop_before(table: Table, *, kept_from: datetime) -> int:
    """Drop every part whose whole time lies before `kept_from`; how many went. One in use is left for later."""
    old = [part for part in parts(table) if part.until is not None and part.until <= kept_from]
    return sum(_changed(f'DROP TABLE "{part.name}"', part.name, "metrics.partition.dropped") for part in old)


def loose(table: Table, *, kept_from: datetime) -> list[str]:
    """Parts too long to be waited for, which may have rows from before `kept_from`: these have to be deleted."""
    return [
        part.name
        for part in parts(table)
        if part.is_default or (part.since is None and part.until is not None and part.until > kept_from)
    ]


def parts(table: Table) -> list[Part]:
    """The parts there are, by name; none on SQLite."""
    if not rows.is_postgres():
        return []
    sql = """
        SELECT part.relname, pg_get_expr(part.relpartbound, part.oid)
        FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
        WHERE inhparent = %s::regclass ORDER BY part.relname
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [table.name])
        return [_part(table, name, bounds) for name, bounds in cursor.fetchall()]


def _part(table: Table, name: str, bounds: str) -> Part:
    found = re.fullmatch(r"FOR VALUES FROM \((.+)\) TO \((.+)\)", bounds)
    if found is None:
        return Part(name, None, None, is_default=True)
    since, until = (_moment(table, text) for text in found.groups())
    return Part(name, since, until, is_default=False)


def _moment(table: Table, text: str) -> datetime | None:
    if text in ("MINVALUE", "MAXVALUE"):
        return None
    if table.step is not None:
        return _EPOCH + int(text.strip("'")) * table.step
    return datetime.fromisoformat(text.strip("'")).astimezone(UTC)


def _lacking(table: Table, *, kept_from: datetime, at: datetime) -> Iterator[datetime]:
    """Beginnings of parts that are not there; those of now and later first."""
    there = [part for part in parts(table) if not part.is_default]
    since = max(kept_from, at - BEHIND_MOST * table.part)
    starts = _starts(table, table.start_of(since), at + AHEAD)
    for start in sorted(starts, key=lambda start: (start + table.part <= at, start)):
        if not any(_overlap(part, start, start + table.part) for part in there):
            yield start


def _starts(table: Table, first: datetime, last: datetime) -> list[datetime]:
    return [first + number * table.part for number in range((last - first) // table.part + 1)]


def _overlap(part: Part, since: datetime, until: datetime) -> bool:
    return (part.since is None or part.since < until) and (part.until is None or part.until > since)


def _made(table: Table, start: datetime) -> bool:
    name = f"{table.name}_{start:%Y%m%d}"
    since, until = table.bound(start), table.bound(start + table.part)
    stray = f"{table.column} >= {since} AND {table.column} < {until}"
    # The new part is made beside the table and attached: that stops nobody but those who use the default part.
    return _changed(
        f"""
        LOCK TABLE {table.name}_default IN ACCESS EXCLUSIVE MODE;
        CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
        WITH moved AS (DELETE FROM {table.name}_default WHERE {stray} RETURNING *)
            INSERT INTO {name} SELECT * FROM moved;
        ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ({since}) TO ({until})
        """,  # noqa: S608
        name,
        "metrics.partition.made",
        unless=f"SELECT count(*) > {MOVED_MOST} FROM (SELECT FROM {table.name}_default WHERE {stray} LIMIT "  # noqa: S608
        f"{MOVED_MOST + 1}) AS stray",
    )


def _changed(sql: str, name: str, event: str, *, unless: str = "") -> bool:
    """Whether `sql` was done, in a transaction of its own that waits for its locks as long as ingest can bear."""

    def change() -> bool:
        with connection.cursor() as cursor:
            if unless and _is_true(cursor, unless):
                log.warning("metrics.partition.too_much_to_move", partition=name)
                return False
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_FOR}'")
            for statement in sql.split(";"):
                cursor.execute(statement)
            cursor.execute("SET LOCAL lock_timeout = DEFAULT")
        return True

    try:
        with transaction.atomic():
            done = change()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != "55P03":
            raise
        log.info("metrics.partition.busy", partition=name)
        return False
    if done:
        log.info(event, partition=name)
    return done


def _is_true(cursor: CursorWrapper, sql: str) -> bool:
    cursor.execute(sql)
    row: Sequence[bool] = cursor.fetchone()
    return row[0]
