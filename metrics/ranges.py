"""A metric over a stretch of time, gathered into steps by the database."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import DataError, connection
from django.db.models import Q

from metrics import rows
from metrics.models import Series
from vigil.kernel.database import one_of
from vigil.kernel.errors import FieldError, Invalid

AGGREGATES = ("avg", "min", "max", "sum", "count", "last")
POINTS_MOST = 20_000
"""Points of one answer, over all its series."""
_POINTS_WHEN_NOT_ASKED = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is asked for."""

    metric: str
    target: str
    """Empty: every target."""
    since: datetime
    until: datetime
    step: timedelta
    aggregate: str
    within: Q = field(default_factory=Q)
    """Which series may be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRange:
    """One series' answer."""

    tags: dict[str, str]
    target: str
    points: tuple[tuple[datetime, float], ...]
    """Each with the beginning of its step; steps without a sample are left out."""


def step_for(*, since: datetime, until: datetime) -> timedelta:
    """A step that gives about 300 points, for those who name none."""
    return timedelta(seconds=max(1, math.ceil((until - since).total_seconds() / _POINTS_WHEN_NOT_ASKED)))


def read(asked: Range) -> list[SeriesRange]:
    """The answer; Invalid (422) when the span is empty or would give too many points or numbers too large."""
    if asked.since >= asked.until:
        raise _invalid("since", "must be before until")
    series = Series.objects.filter(asked.within, name=asked.metric).order_by("id")
    if asked.target:
        series = series.filter(target=asked.target)
    steps = math.ceil((asked.until - asked.since) / asked.step) + 1
    # One more than could be answered is enough to know, however many there are.
    about = {one.pk: one for one in series[: POINTS_MOST // steps + 1]}
    if len(about) * steps > POINTS_MOST:
        raise _invalid(
            "step", f"would give more than {POINTS_MOST} points; ask for a longer step, a shorter time or one target"
        )
    points = _points(asked, list(about)) if about else {}
    return [
        SeriesRange(tags=one.tags, target=one.target, points=points.get(number, ())) for number, one in about.items()
    ]


def _points(asked: Range, ids: list[int]) -> dict[int, tuple[tuple[datetime, float], ...]]:
    where, parameter = one_of("series_id", ids)
    seconds = int(asked.step.total_seconds())
    sql = f"""
        SELECT series_id, {_bucket()} AS bucket, {_expression(asked.aggregate)} FROM metrics_sample
        WHERE {where} AND at >= %s AND at <= %s GROUP BY series_id, bucket ORDER BY series_id, bucket
    """  # noqa: S608
    found = _fetch(sql, [seconds, parameter, rows.stamp(asked.since), rows.stamp(asked.until)])
    return {
        number: tuple((datetime.fromtimestamp(row[1] * seconds, UTC), _finite(row[2])) for row in group)
        for number, group in groupby(found, key=itemgetter(0))
    }


def _bucket() -> str:
    if rows.is_postgres():
        return "CAST(floor(extract(epoch FROM at) / %s) AS bigint)"
    return "CAST(strftime('%%s', at) AS integer) / %s"


def _expression(aggregate: str) -> str:
    if aggregate == "avg":
        return "sum(value) / count(*)"  # PostgreSQL's avg() also adds up squares, which overflow much earlier
    if aggregate != "last":
        return {"min": "min(value)", "max": "max(value)", "sum": "sum(value)", "count": "count(*)"}[aggregate]
    if rows.is_postgres():
        return "(array_agg(value ORDER BY at DESC, id DESC))[1]"
    # SQLite takes a bare column from the row that max() chose; the third column is what chooses it.
    # A space sorts before the point of a fraction: a whole second is the earliest of its second.
    return "value, max(at || ' ' || printf('%%020d', id))"


def _fetch(sql: str, parameters: list[Any]) -> list[tuple[int, int, float]]:
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql, parameters)
        except DataError:
            raise _too_large() from None
        return [(row[0], row[1], row[2]) for row in cursor.fetchall()]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise _too_large()
    return value


def _too_large() -> Invalid:
    return _invalid("aggregate", "cannot add values this large up; ask for min, max, last or count")


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(f"{path} {message}.", errors=[FieldError(path=path, message=message)])
