"""Keeps the rollups: of each series and minute, five minutes and hour what the samples come to.

Ingest does next to nothing for it. `advance` runs every few seconds:

1. it announces the minute up to which it is about to roll up; who stores a sample of an earlier minute from now on
   notes a `LateSample` in the same transaction (`rows.lock_series` tells the announced minute to whoever writes);
2. it waits until every transaction that may have read the minute announced before has ended, so that all their samples
   are seen;
3. it makes the rollups of the minutes announced from the samples, of five minutes from those of minutes, and so on;
4. it makes those anew that late samples belong to;
5. it makes those of earlier times, hour by hour back to the oldest samples, for a database that had samples before.

A rollup is made from all its samples each time and never added to, so whatever was interrupted is simply done again.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import connection

from metrics import resolutions, rows
from metrics.models import LateSample, RollupProgress, Series
from metrics.resolutions import FINEST_FIRST, Resolution
from vigil.kernel import database

log = structlog.get_logger(__name__)

LAG = timedelta(minutes=2)
"""How old a minute's end has to be before it is rolled up: what comes later is worth a note."""
PATIENCE = timedelta(seconds=5)
_SETTLE_SECONDS = 2.0
_SERIES_AT_ONCE = 1_000
_HOURS_AT_ONCE = 24
_LATE_AT_ONCE = 500
_ROW = 1


def advance(*, at: datetime, patience: timedelta = PATIENCE) -> None:
    """Go on with the rollups; what takes longer than `patience` is left to the next call."""
    end = time.monotonic() + patience.total_seconds()
    announced = database.tx(partial(_announce, at))
    if not _settled():
        log.info("metrics.rollups.waiting", announced=announced)
        return
    oldest = oldest_minute(at)
    # Each as long as there is something to do and time to do it.
    while _caught_up_some(oldest) and time.monotonic() < end:
        pass
    while database.tx(partial(_made_late_ones_anew, oldest)) and time.monotonic() < end:
        pass
    while time.monotonic() < end and _filled_back_some(oldest):
        pass


def rebuild(*, since: datetime, at: datetime) -> int:
    """Make all rollups from `since` on anew, as far as there are samples; how many minutes that were."""
    first = max(resolutions.number(since, 60), oldest_minute(at))
    progress = RollupProgress.objects.filter(pk=_ROW).first()
    if progress is None or progress.until <= first:
        return 0
    span = _minutes_at_once()
    for begin in range(first, progress.until, span):
        _roll_up(begin, min(begin + span, progress.until), known_until=progress.until)
    RollupProgress.objects.filter(pk=_ROW, since__gt=first).update(since=first)
    return progress.until - first


def oldest_minute(at: datetime) -> int:
    """The first minute of the first hour that retention has surely left whole, and will for another hour."""
    return 60 * (resolutions.number(at - timedelta(days=settings.VIGIL_RETENTION_DAYS), 3_600) + 2)


def covered() -> tuple[int, int]:
    """From which minute to before which one the rollups say all that the samples say."""
    progress = RollupProgress.objects.filter(pk=_ROW).first()
    return (0, 0) if progress is None else (progress.since, progress.until)


def _announce(at: datetime) -> int:
    minute = resolutions.number(at - LAG, 60)
    progress, _ = RollupProgress.objects.get_or_create(
        pk=_ROW, defaults={"since": minute, "until": minute, "announced": minute}
    )
    RollupProgress.objects.filter(pk=_ROW, announced__lt=minute).update(announced=minute)
    return max(minute, progress.announced)


def _settled() -> bool:
    """Whether all have ended who were writing to series when we asked: on SQLite there was nobody else."""
    if not rows.is_postgres():
        return True
    until = time.monotonic() + _SETTLE_SECONDS
    writing = _writers()
    while writing and time.monotonic() < until:
        time.sleep(0.02)
        writing &= _writers()
    return not writing


def _writers() -> set[str]:
    """Transactions that locked series, or wait for it: by the lock on the table, which comes before their snapshot."""
    sql = """
        SELECT virtualtransaction FROM pg_locks
        WHERE relation = 'metrics_series'::regclass AND mode = 'RowShareLock' AND pid <> pg_backend_pid()
    """
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return {row[0] for row in cursor.fetchall()}


def _caught_up_some(oldest: int) -> bool:
    progress = RollupProgress.objects.get(pk=_ROW)
    begin, end = progress.until, min(progress.announced, progress.until + _minutes_at_once())
    if end > oldest:  # else it stood still for longer than samples are kept
        _roll_up(max(begin, oldest), end, known_until=end)
    RollupProgress.objects.filter(pk=_ROW, until=begin).update(until=end)
    return end < progress.announced


def _filled_back_some(oldest: int) -> bool:
    progress = RollupProgress.objects.get(pk=_ROW)
    end = progress.since
    span = _minutes_at_once()
    begin = max((end - 1) // span * span, oldest)
    if begin >= end:
        return False
    _roll_up(begin, end, known_until=progress.until)
    RollupProgress.objects.filter(pk=_ROW, since=end).update(since=begin)
    return True


def _minutes_at_once() -> int:
    """Whole hours: more of them where there are few series."""
    return 60 * max(1, min(_HOURS_AT_ONCE, _SERIES_AT_ONCE // max(1, Series.objects.count())))


def _roll_up(begin: int, end: int, *, known_until: int) -> None:
    """The minutes of `begin` to before `end`, and the coarser steps that they complete or are part of."""
    # A series may be silent now, and the hour that it last spoke in is only now complete.
    for first, last in _chunks(resolutions.start(begin // 60 * 60, 60)):
        database.tx(partial(_roll_up_series, first, last, begin, end, known_until))


def _chunks(since: datetime) -> Iterator[tuple[int, int]]:
    """Ranges of ids of series, with those that have samples from `since` on."""
    last = 0
    while True:
        ids = Series.objects.filter(id__gt=last, last_at__gte=since).order_by("id").values_list("id", flat=True)
        found = list(ids[:_SERIES_AT_ONCE])
        if not found:
            return
        yield found[0], found[-1]
        last = found[-1]


def _roll_up_series(first: int, last: int, begin: int, end: int, known_until: int) -> None:
    _take_turn()
    active = "SELECT id, %s, %s FROM metrics_series WHERE id BETWEEN %s AND %s AND last_at >= %s"
    since = rows.stamp(resolutions.start(begin // 60 * 60, 60))
    source: Resolution | None = None
    for target in FINEST_FIRST:
        length = target.seconds // 60
        low, high = begin // length, min(-(-end // length), known_until // length)
        if low < high:
            _make(target, source, _Wanted(active, [low, high, first, last, since], low, high))
        source = target


def _made_late_ones_anew(oldest: int) -> bool:
    """Whether there may be more."""
    until = _take_turn()
    notes = list(LateSample.objects.order_by("id").values_list("id", "series_id", "minute")[:_LATE_AT_ONCE])
    wanted = {(series_id, minute) for _, series_id, minute in notes if minute >= oldest}
    source: Resolution | None = None
    for target in FINEST_FIRST:
        length = target.seconds // 60
        steps = {(series_id, minute // length) for series_id, minute in wanted if minute // length < until // length}
        if steps:
            marks = ", ".join(["(%s, %s, %s)"] * len(steps))
            parameters = [part for one, step in sorted(steps) for part in (one, step, step + 1)]
            low, high = min(step for _, step in steps), max(step for _, step in steps) + 1
            _make(target, source, _Wanted(f"VALUES {marks}", parameters, low, high))
        source = target
    LateSample.objects.filter(pk__in=[number for number, _, _ in notes]).delete()
    return len(notes) == _LATE_AT_ONCE


def _take_turn() -> int:
    """Until this transaction ends nobody else makes rollups, or what one saw would overwrite what another saw later."""
    with connection.cursor() as cursor:
        lock = "FOR UPDATE" if rows.is_postgres() else ""
        cursor.execute(f"SELECT until FROM metrics_rollupprogress WHERE id = {_ROW} {lock}")  # noqa: S608
        return int(cursor.fetchone()[0])


class _Wanted(NamedTuple):
    """Rollups to be made: rows of a series, its first step, and the one after its last; all within `low` to `high`."""

    sql: str
    parameters: Sequence[str | int | datetime]
    low: int
    high: int


def _make(target: Resolution, source: Resolution | None, wanted: _Wanted) -> None:
    columns = resolutions.pieces(source, of="wanted.series_id", step=target.seconds)
    found = f"SELECT {columns} FROM {_joined(target, source, wanted)}"  # noqa: S608
    sql = f"""
        WITH wanted (series_id, first, beyond) AS ({wanted.sql})
        INSERT INTO {target.table.name} (series_id, bucket, count, total, low, high, last, last_at)
        SELECT series_id, step, {resolutions.COUNT}, {resolutions.TOTAL}, {resolutions.LOW}, {resolutions.HIGH},
               {resolutions.last()}, {resolutions.LAST_AT}
        FROM {resolutions.placed(found)} GROUP BY series_id, step
        ON CONFLICT (series_id, bucket) DO UPDATE SET
            count = excluded.count, total = excluded.total, low = excluded.low, high = excluded.high,
            last = excluded.last, last_at = excluded.last_at
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, wanted.parameters)


def _joined(target: Resolution, source: Resolution | None, wanted: _Wanted) -> str:
    """Each series wanted with its pieces, by the key of their table: never through a whole part of it."""
    if source is not None:
        length = target.seconds // source.seconds
        table = source.table.name
        span = f"bucket >= wanted.first * {length} AND bucket < wanted.beyond * {length}"
        hull = f"bucket >= {wanted.low * length} AND bucket < {wanted.high * length}"
    else:
        table = "metrics_sample"
        span = f"at >= {_time('wanted.first', target)} AND at < {_time('wanted.beyond', target)}"
        since, until = (resolutions.start(step, target.seconds) for step in (wanted.low, wanted.high))
        hull = f"at >= '{since}' AND at < '{until}'"
    if rows.is_postgres():
        # The hull tells which parts of the table to plan for, and OFFSET 0 keeps it a loop over series.
        inner = f"SELECT * FROM {table} WHERE series_id = wanted.series_id AND {span} AND {hull} OFFSET 0"  # noqa: S608
        return f"wanted CROSS JOIN LATERAL ({inner}) AS piece"
    return f"wanted CROSS JOIN {table} AS piece ON piece.series_id = wanted.series_id AND {span}"


def _time(step: str, target: Resolution) -> str:
    if rows.is_postgres():
        return f"to_timestamp({step} * {target.seconds}::double precision)"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', {step} * {target.seconds}, 'unixepoch')"
