"""Drops what is older than the retention, in batches small enough to disturb nobody."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection
from django.db.models import Model, Q, QuerySet

from metrics import partitions, resolutions, rows
from metrics.models import Event, IngestReceipt, NewSeries, Sample, Series
from vigil.kernel import database

RECEIPTS_FOR = timedelta(days=1)
"""How long a batch may be sent again under its key."""


PATIENCE = timedelta(seconds=10)
"""How long one call goes on: well below the time limit of a task, and a sweep may be waiting behind it."""


def prune(*, at: datetime, batch: int = 5_000, max_batches: int = 100, patience: timedelta = PATIENCE) -> int:
    """Drop old receipts, events, samples and rollups, then series that are left without samples; rows dropped.

    Where samples are in parts by time, those whose time is over go first, whole, and count as no rows. Of the rest at
    most `max_batches` transactions of at most `batch` rows for each, and no new one after `patience`, but one of each
    kind in any case: however many samples there are, the rest gets its turn. The next call goes on.
    """
    kept_from = at - timedelta(days=settings.VIGIL_RETENTION_DAYS)
    old: list[QuerySet[Model]] = [
        IngestReceipt.objects.filter(created_at__lt=at - RECEIPTS_FOR).order_by("created_at"),
        Event.objects.filter(at__lt=kept_from).order_by("at"),
        NewSeries.objects.filter(day__lt=(at - RECEIPTS_FOR).date()).order_by("day"),
    ]
    by_time = [
        (partitions.SAMPLES, kept_from),
        *((one.table, at - one.kept_for) for one in resolutions.FINEST_FIRST),
    ]
    for table, kept in by_time:
        partitions.drop_before(table, kept_from=kept)
    drops: list[Callable[[], int]] = [
        *(partial(_drop, rows_, batch) for rows_ in old),
        *(drop for table, kept in by_time for drop in _drops_of(table, kept, batch)),
        partial(_drop_silent_series, kept_from, batch),
    ]
    until = time.monotonic() + patience.total_seconds()
    return sum(_repeated(drop, batch, max_batches, until) for drop in drops)


def _repeated(drop: Callable[[], int], batch: int, max_batches: int, until: float) -> int:
    total = 0
    for _ in range(max_batches):
        dropped = database.tx(drop)
        total += dropped
        if dropped < batch or time.monotonic() > until:
            break
    return total


def _drops_of(table: partitions.Table, kept_from: datetime, batch: int) -> list[Callable[[], int]]:
    """Of rows that go one by one."""
    loose = partitions.loose(table, kept_from=kept_from) if rows.is_postgres() else [table.name]
    return [partial(_drop_rows, table, name, kept_from, batch) for name in loose]


def _drop_rows(table: partitions.Table, name: str, kept_from: datetime, batch: int) -> int:
    """Of a table, or of a part of it. These have an index on their time."""
    row = "ctid" if rows.is_postgres() else "rowid"
    before = f"{table.column} < {table.bound(kept_from) if rows.is_postgres() or table.step else '%s'}"
    old = f"SELECT {row} FROM {name} WHERE {before} ORDER BY {table.column} LIMIT {batch}"  # noqa: S608
    among = f"= ANY(ARRAY({old}))" if rows.is_postgres() else f"IN ({old})"
    with connection.cursor() as cursor:
        sql = f"DELETE FROM {name} WHERE {row} {among}"  # noqa: S608
        cursor.execute(sql, [rows.stamp(kept_from)] if "%s" in before else None)
        return int(cursor.rowcount)


def _drop(old: QuerySet[Model], batch: int) -> int:
    return old.model._default_manager.filter(pk__in=old.values("pk")[:batch]).delete()[0]


def _drop_silent_series(kept_from: datetime, batch: int) -> int:
    """Series that were silent for the whole retention. Locked first: `ingest` may be about to write to one."""
    silent = Q(last_at__lt=kept_from) | Q(last_at__isnull=True, created_at__lt=kept_from)
    ids = list(Series.objects.filter(silent).order_by("id").values_list("id", flat=True)[:batch])
    rows.lock_series(ids)
    # Asked again under the lock, in a statement that sees what was committed before we had it.
    spoken = Sample.objects.filter(series_id__in=ids).values_list("series_id", flat=True)
    gone = Series.objects.filter(silent, id__in=ids).exclude(id__in=spoken)
    return gone.delete()[0]
