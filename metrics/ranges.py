"""A metric over a stretch of time, gathered into steps by the database: from rollups where these fit, or samples."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DataError, connection
from django.db.models import Q

from metrics import resolutions, rollups, rows, spreads
from metrics.models import Series
from metrics.resolutions import Resolution
from vigil.kernel.database import one_of
from vigil.kernel.errors import FieldError, Invalid

FROM_ROLLUPS = ("avg", "min", "max", "sum", "count", "last")
FROM_SAMPLES = ("stddev", "p50", "p90", "p95", "p99")
"""What rollups cannot tell."""
AGGREGATES = (*FROM_ROLLUPS, *FROM_SAMPLES)
SAMPLES_MOST = 200_000
"""Samples that are looked at one by one for an answer."""
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
    at: datetime
    """Now: it tells what is still kept."""
    within: Q = field(default_factory=Q)
    """Which series may be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRange:
    """One series' answer."""

    tags: dict[str, str]
    target: str
    points: tuple[tuple[datetime, float], ...]
    """Each with the beginning of its step; steps without a sample are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found, and in what."""

    resolution: timedelta
    """The length of the coarsest rollups it was read from; zero: from samples alone."""
    missing_before: datetime | None
    """Since when what was asked for is kept, if that is not all of it."""
    series: list[SeriesRange]


class _Stretch(NamedTuple):
    """From `since` to before `until` is read from rollups of one resolution, or from samples."""

    source: Resolution | None
    since: datetime
    until: datetime
    and_until: bool = False


def step_for(*, since: datetime, until: datetime) -> timedelta:
    """A step that gives about 300 points, for those who name none; a long one such that rollups fit."""
    seconds = max(1, math.ceil((until - since).total_seconds() / _POINTS_WHEN_NOT_ASKED))
    for resolution in reversed(resolutions.FINEST_FIRST):
        if seconds > resolution.seconds:
            return timedelta(seconds=-(-seconds // resolution.seconds) * resolution.seconds)
    return timedelta(seconds=seconds)


def read(asked: Range) -> Answer:
    """The answer; Invalid (422) when the span is empty or would give too many points or numbers too large."""
    if asked.since >= asked.until:
        raise _invalid("since", "must be before until")
    samples_from = asked.at - _samples_kept_for()
    if asked.aggregate in FROM_SAMPLES and asked.until < samples_from:
        raise _invalid(
            "aggregate",
            f"{asked.aggregate} needs samples, which are kept since {samples_from:%Y-%m-%dT%H:%M:%SZ}; for earlier "
            f"times ask for one of {', '.join(FROM_ROLLUPS)}",
        )
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
    stretches = _stretches(asked)
    points = _points(asked, stretches, list(about)) if about else {}
    return Answer(
        resolution=timedelta(seconds=max(one.source.seconds if one.source else 0 for one in stretches)),
        missing_before=_missing_before(asked),
        series=[
            SeriesRange(tags=one.tags, target=one.target, points=points.get(number, ()))
            for number, one in about.items()
        ],
    )


def _stretches(asked: Range) -> list[_Stretch]:
    """Where to read what: whole rollups as coarse as the step allows, and what they leave over at both ends finer."""
    fitting = [one for one in reversed(resolutions.FINEST_FIRST) if _fits(asked, one)]
    found = list(_split(asked, asked.since, asked.until, fitting, rollups.covered()))
    *before, last = found
    return [*before, last._replace(and_until=True)]


def _split(
    asked: Range, since: datetime, until: datetime, fitting: list[Resolution], covered: tuple[int, int]
) -> list[_Stretch]:
    if not fitting:
        return [_Stretch(None, since, until)]
    source, *finer = fitting
    first, beyond = _whole(asked, since, until, source, covered)
    if first >= beyond:
        return _split(asked, since, until, finer, covered)
    begin, end = resolutions.start(first, source.seconds), resolutions.start(beyond, source.seconds)
    before = _split(asked, since, begin, finer, covered) if since < begin else []
    return [*before, _Stretch(source, begin, end), *_split(asked, end, until, finer, covered)]


def _whole(
    asked: Range, since: datetime, until: datetime, source: Resolution, covered: tuple[int, int]
) -> tuple[int, int]:
    """The first rollup to be read, and the one after the last."""
    length = source.seconds // 60
    kept = max(-(-covered[0] // length), resolutions.number(asked.at - source.kept_for, source.seconds))
    first = resolutions.number(since, source.seconds)
    # Half a rollup at the beginning comes from samples; when these are gone, the whole of it is better than nothing.
    if resolutions.start(first, source.seconds) < since and since >= asked.at - _samples_kept_for():
        first += 1
    beyond = min(resolutions.number(until, source.seconds), covered[1] // length)
    return max(first, kept), beyond


def _fits(asked: Range, resolution: Resolution) -> bool:
    return asked.aggregate in FROM_ROLLUPS and asked.step % timedelta(seconds=resolution.seconds) == timedelta(0)


def _missing_before(asked: Range) -> datetime | None:
    fitting = [one.kept_for for one in resolutions.FINEST_FIRST if _fits(asked, one)]
    kept_from = asked.at - max([_samples_kept_for(), *fitting])
    return kept_from if asked.since < kept_from else None


def _samples_kept_for() -> timedelta:
    return timedelta(days=settings.VIGIL_RETENTION_DAYS)


def _points(asked: Range, stretches: list[_Stretch], ids: list[int]) -> dict[int, tuple[tuple[datetime, float], ...]]:
    seconds = int(asked.step.total_seconds())
    parts, parameters = [], []
    for stretch in stretches:
        where, values = _within(stretch, ids)
        columns = resolutions.pieces(stretch.source, of="series_id", step=seconds)
        table = stretch.source.table.name if stretch.source else "metrics_sample"
        parts.append(f"SELECT {columns} FROM {table} WHERE {where}")  # noqa: S608
        parameters += values
    found = " UNION ALL ".join(parts)
    gathered = _spread(asked, found, parameters) if asked.aggregate in FROM_SAMPLES else _sql(asked, found, parameters)
    return {
        number: tuple((datetime.fromtimestamp(row[1] * seconds, UTC), _finite(row[2])) for row in group)
        for number, group in groupby(gathered, key=itemgetter(0))
    }


def _sql(asked: Range, found: str, parameters: list[Any]) -> list[tuple[int, int, float | None]]:
    pieces = resolutions.placed(found) if asked.aggregate == "last" else f"({found}) AS pieces"
    columns = f"series_id, step, {_expression(asked.aggregate)}"
    return _fetch(f"SELECT {columns} FROM {pieces} GROUP BY series_id, step ORDER BY 1, 2", parameters)  # noqa: S608


def _spread(asked: Range, found: str, parameters: list[Any]) -> list[tuple[int, int, float | None]]:
    """Of samples one by one: the databases differ in what they know of statistics."""
    sql = f"SELECT series_id, step, low FROM ({found}) AS pieces ORDER BY series_id, step, low LIMIT {SAMPLES_MOST + 1}"  # noqa: S608
    values = _fetch(sql, parameters)
    if len(values) > SAMPLES_MOST:
        raise _invalid(
            "aggregate",
            f"{asked.aggregate} would look at more than {SAMPLES_MOST} samples; ask for a shorter time or one target",
        )
    return [
        (*key, spreads.of(asked.aggregate, [_finite(value) for _, _, value in group]))
        for key, group in groupby(values, key=itemgetter(0, 1))
    ]


def _within(stretch: _Stretch, ids: list[int]) -> tuple[str, list[Any]]:
    among, parameter = one_of("series_id", ids)
    if stretch.source is None:
        before = "<=" if stretch.and_until else "<"
        return f"{among} AND at >= %s AND at {before} %s", [
            parameter,
            rows.stamp(stretch.since),
            rows.stamp(stretch.until),
        ]
    first, beyond = (resolutions.number(one, stretch.source.seconds) for one in (stretch.since, stretch.until))
    return f"{among} AND bucket >= %s AND bucket < %s", [parameter, first, beyond]


def _expression(aggregate: str) -> str:
    return {
        # Not PostgreSQL's avg(), which also adds up squares: these overflow much earlier.
        "avg": f"{resolutions.TOTAL} / {resolutions.COUNT}",
        "min": resolutions.LOW,
        "max": resolutions.HIGH,
        "sum": resolutions.TOTAL,
        "count": resolutions.COUNT,
        "last": resolutions.last(),
    }[aggregate]


def _fetch(sql: str, parameters: list[Any]) -> list[tuple[int, int, float | None]]:
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql, parameters)
        except DataError:
            raise _too_large() from None
        return [(row[0], row[1], row[2]) for row in cursor.fetchall()]


def _finite(value: float | None) -> float:
    if value is None or not math.isfinite(value):
        raise _too_large()
    return value


def _too_large() -> Invalid:
    return _invalid("aggregate", "cannot add values this large up; ask for min, max, last or count")


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(f"{path} {message}.", errors=[FieldError(path=path, message=message)])
