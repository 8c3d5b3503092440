"""The only reader others use: plain values, and one query for any number of series."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import msgspec
from django.db import connection

from metrics import rows, selections
from metrics.models import Event, Series
from metrics.selections import Selection
from vigil.kernel.database import one_of

type Among = Mapping[str, Selection]
"""By metric: the targets whose series are to be read; of a metric that is not there, all."""

EVERYWHERE: Among = MappingProxyType({})

SUMMABLE = 1e290
"""Samples larger than this are left out of sums."""


# Structs, untracked by the garbage collector: a sweep reads hundreds of thousands.
class Point(msgspec.Struct, frozen=True, gc=False):
    """One sample."""

    id: int
    at: datetime
    value: float


class SeriesData(msgspec.Struct, frozen=True):
    """A series with some of its samples, oldest first."""

    series_id: int
    name: str
    tags: Mapping[str, str]
    target: str
    points: tuple[Point, ...]


class Kept(msgspec.Struct, frozen=True, gc=False):
    """One stored sample, and when it came in."""

    id: int
    at: datetime
    value: float
    received_at: datetime


class Recorded(msgspec.Struct, frozen=True):
    """A series over a stretch of time, oldest sample first, with the newest one before the stretch."""

    name: str
    tags: Mapping[str, str]
    target: str
    samples: tuple[Kept, ...]


class Summary(msgspec.Struct, frozen=True, gc=False):
    """What the samples of one series in a window come to."""

    count: int
    total: float
    """Up to rounding, and without samples beyond `SUMMABLE`: their sum might be too large for the database."""
    low: float
    high: float


class EventData(msgspec.Struct, frozen=True):
    """One event, without its payload."""

    id: int
    name: str
    severity: str
    target: str
    tags: Mapping[str, str]
    at: datetime


def latest(
    *, metrics: Collection[str], targets: Collection[str] | None = None, among: Among = EVERYWHERE
) -> list[SeriesData]:
    """Every series of these metrics that has a sample, with its newest one, however old that is; one query."""
    where, parameters = _of(metrics, targets, among)
    columns = f"id, name, tags, target, last_sample_id, {rows.moment('last_at')}, last_value"
    # Not by `id` as it stands: to have them in that order a database would go through all series there are.
    sql = f"SELECT {columns} FROM metrics_series WHERE {where} AND last_at IS NOT NULL ORDER BY id + 0"  # noqa: S608
    read = rows.moment_reader()
    return [
        SeriesData(number, name, _tags(tags), target, (Point(sample, read(at), value),))
        for number, name, tags, target, sample, at, value in _fetch(sql, parameters)
    ]


def latest_until(
    *, metrics: Collection[str], until: datetime, targets: Collection[str] | None = None, among: Among = EVERYWHERE
) -> list[SeriesData]:
    """As `latest` would have answered at `until`, as far as retention has kept it: for looking back, not for sweeps."""
    where, parameters = _of(metrics, targets, among)
    sql = f"""
        SELECT series.id, name, tags, target, sample.id, {rows.moment("sample.at")}, sample.value
        FROM (SELECT id, name, tags, target FROM metrics_series WHERE {where}) AS series {_join_newest()}
        ORDER BY series.id + 0
    """  # noqa: S608
    read = rows.moment_reader()
    return [
        SeriesData(number, name, _tags(tags), target, (Point(sample, read(at), value),))
        for number, name, tags, target, sample, at, value in _fetch(sql, [*parameters, rows.stamp(until)])
    ]


def window(
    *,
    metrics: Collection[str],
    since: datetime,
    until: datetime,
    targets: Collection[str] | None = None,
    among: Among = EVERYWHERE,
) -> list[SeriesData]:
    """The series of these metrics with samples in `since < at <= until`, oldest first; two queries in all."""
    where, parameters = _of(metrics, targets, among)
    kin = f"SELECT id, name, tags, target FROM metrics_series WHERE {where}"  # noqa: S608
    about = {row[0]: row for row in _fetch(kin, parameters)}
    if selections.is_some(metrics, among):
        of_these, ids = rows.of_series(about)
    else:
        of_these, ids = _of_series(where), parameters
    points = _points(of_these, ids, since=since, until=until) if about else {}
    return [
        SeriesData(number, about[number][1], _tags(about[number][2]), about[number][3], found)
        for number, found in points.items()
        if number in about  # made between the two queries
    ]


def recorded(
    *, metrics: Collection[str], since: datetime, until: datetime, targets: Collection[str] | None = None
) -> list[Recorded]:
    """The series of these metrics that had a sample by `until`, with those in `since < at <= until`; three queries."""
    where, parameters = _of(metrics, targets)
    kin = _fetch(f"SELECT id, name, tags, target FROM metrics_series WHERE {where} ORDER BY id", parameters)  # noqa: S608
    found: dict[int, list[Kept]] = defaultdict(list)
    for number, one in (*_kept_before(where, parameters, since), *_kept_within(where, parameters, since, until)):
        found[number].append(one)
    return [
        Recorded(name, _tags(tags), target, tuple(found[number]))
        for number, name, tags, target in kin
        if number in found
    ]


def recorded_events(*, names: Collection[str], since: datetime, until: datetime) -> list[tuple[EventData, datetime]]:
    """Events of these names in `since < at <= until`, oldest first, each with the time it came in; one query."""
    where, parameters = _of(names, None)
    columns = f"id, name, severity, target, tags, {rows.moment('at')}, {rows.moment('received_at')}"
    sql = f"SELECT {columns} FROM metrics_event WHERE {where} AND at > %s AND at <= %s ORDER BY at, id"  # noqa: S608
    read = rows.moment_reader()
    return [
        (EventData(number, name, severity, target, _tags(tags), read(at)), read(received))
        for number, name, severity, target, tags, at, received in _fetch(
            sql, [*parameters, rows.stamp(since), rows.stamp(until)]
        )
    ]


def samples_total(*, metrics: Collection[str], since: datetime, until: datetime) -> int:
    """How many samples these metrics have in `since < at <= until`."""
    where, parameters = _of(metrics, None)
    sql = f"""
        SELECT count(*) FROM metrics_sample
        WHERE series_id IN (SELECT id FROM metrics_series WHERE {where}) AND at > %s AND at <= %s
    """  # noqa: S608
    [(total,)] = _fetch(sql, [*parameters, rows.stamp(since), rows.stamp(until)])
    return int(total)


def summaries(
    *,
    metrics: Collection[str],
    since: datetime,
    until: datetime,
    targets: Collection[str] | None = None,
    among: Among = EVERYWHERE,
) -> dict[int, Summary]:
    """Samples in `since < at <= until`, summed up by the database; by series, one query, none for an empty series.

    `among` some targets, their series are asked for before: two queries.
    """
    where, parameters = _of(metrics, targets, among)
    of_these = _of_series(where)
    if selections.is_some(metrics, among):
        kin = f"SELECT id FROM metrics_series WHERE {where}"  # noqa: S608
        of_these, parameters = rows.of_series([number for (number,) in _fetch(kin, parameters)])
    sums = "sum(value) FILTER (WHERE value BETWEEN %s AND %s)"
    sql = f"""
        SELECT series_id, count(*), coalesce({sums}, 0.0), min(value), max(value) FROM metrics_sample
        WHERE {of_these} AND at > %s AND at <= %s
        GROUP BY series_id
    """  # noqa: S608
    found = _fetch(sql, [-SUMMABLE, SUMMABLE, *parameters, rows.stamp(since), rows.stamp(until)])
    return {number: Summary(*numbers) for number, *numbers in found}


def events(
    *, names: Collection[str], since: datetime, until: datetime, targets: Collection[str] | None = None
) -> list[EventData]:
    """Events of these names in `since < at <= until`, oldest first; one query."""
    where, parameters = _of(names, targets)
    columns = f"id, name, severity, target, tags, {rows.moment('at')}"
    span = "at > %s AND at <= %s"
    sql = f"SELECT {columns} FROM metrics_event WHERE {where} AND {span} ORDER BY at, id"  # noqa: S608
    read = rows.moment_reader()
    return [
        EventData(number, name, severity, target, _tags(tags), read(at))
        for number, name, severity, target, tags, at in _fetch(sql, [*parameters, rows.stamp(since), rows.stamp(until)])
    ]


def event_names(*, since: datetime, until: datetime) -> list[str]:
    """Names of the events in `since < at <= until`, sorted."""
    return sorted(Event.objects.filter(at__gt=since, at__lte=until).values_list("name", flat=True).distinct())


def targets(*, metrics: Collection[str], among: Among = EVERYWHERE) -> list[str]:
    """Every target that ever sent one of these metrics, sorted."""
    where, parameters = _of(metrics, None, among)
    sql = f"SELECT DISTINCT target FROM metrics_series WHERE {where} AND last_at IS NOT NULL"  # noqa: S608
    return sorted(target for (target,) in _fetch(sql, parameters))


def known_targets(*, since: datetime) -> list[str]:
    """Targets with a sample or an event at or after `since`, sorted."""
    measured = Series.objects.filter(last_at__gte=since).values_list("target", flat=True)
    happened = Event.objects.filter(at__gte=since).values_list("target", flat=True)
    return sorted(set(measured.distinct()) | set(happened.distinct()))


def series_total() -> int:
    """How many series there are."""
    return Series.objects.count()


def _of(names: Collection[str], targets: Collection[str] | None, among: Among = EVERYWHERE) -> tuple[str, list[Any]]:
    """The condition on name and target, with its parameters."""
    where, parameters = selections.condition(names, among)
    if targets is None:
        return where, parameters
    named, also = one_of("target", targets)
    return f"{where} AND {named}", [*parameters, also]


def _of_series(where: str) -> str:
    """That a sample is of a series of which this holds."""
    return f"series_id IN (SELECT id FROM metrics_series WHERE {where})"  # noqa: S608


def _points(of_these: str, parameters: list[Any], *, since: datetime, until: datetime) -> dict[int, tuple[Point, ...]]:
    """The samples of these series, by series."""
    sql = f"""
        SELECT series_id, id, {rows.moment("at")}, value FROM metrics_sample
        WHERE {of_these} AND at > %s AND at <= %s
        ORDER BY series_id, at, id
    """  # noqa: S608
    found = _fetch(sql, [*parameters, rows.stamp(since), rows.stamp(until)])
    read = rows.moment_reader()
    return {
        number: tuple([Point(sample, read(at), value) for _, sample, at, value in group])
        for number, group in groupby(found, key=itemgetter(0))
    }


def _kept_within(where: str, parameters: list[Any], since: datetime, until: datetime) -> list[tuple[int, Kept]]:
    sql = f"""
        SELECT series_id, id, {rows.moment("at")}, value, {rows.moment("received_at")} FROM metrics_sample
        WHERE series_id IN (SELECT id FROM metrics_series WHERE {where}) AND at > %s AND at <= %s
        ORDER BY series_id, at, id
    """  # noqa: S608
    return _kept(_fetch(sql, [*parameters, rows.stamp(since), rows.stamp(until)]))


def _kept_before(where: str, parameters: list[Any], since: datetime) -> list[tuple[int, Kept]]:
    """Of each series the newest sample before the stretch."""
    columns = f"series.id, sample.id, {rows.moment('sample.at')}, sample.value, {rows.moment('sample.received_at')}"
    sql = f"""
        SELECT {columns}
        FROM (SELECT id FROM metrics_series WHERE {where}) AS series {_join_newest()}
    """  # noqa: S608
    return _kept(_fetch(sql, [*parameters, rows.stamp(since)]))


def _join_newest() -> str:
    """Each series' newest sample until a moment that is the parameter."""
    newest = "FROM metrics_sample WHERE series_id = series.id AND at <= %s ORDER BY at DESC, id DESC LIMIT 1"
    if rows.is_postgres():
        return f"CROSS JOIN LATERAL (SELECT * {newest}) AS sample"
    return f"JOIN metrics_sample AS sample ON sample.id = (SELECT id {newest})"


def _kept(found: Iterable[tuple[Any, ...]]) -> list[tuple[int, Kept]]:
    read = rows.moment_reader()
    return [(number, Kept(sample, read(at), value, read(received))) for number, sample, at, value, received in found]


def _fetch(sql: str, parameters: Iterable[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))
        return list(cursor.fetchall())


def _tags(stored: str | dict[str, str]) -> dict[str, str]:
    """A raw cursor gives JSON as text."""
    return stored if isinstance(stored, dict) else msgspec.json.decode(stored)
