"""The steps that rollups are kept in, and the SQL that gathers samples, or finer rollups, into coarser ones."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from metrics import rows
from metrics.partitions import Table
from metrics.queries import SUMMABLE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Resolution(NamedTuple):
    """One of the tables of rollups."""

    seconds: int
    table: Table
    setting: str
    """Which setting says how many days it is kept."""

    @property
    def kept_for(self) -> timedelta:
        """How long a rollup is kept."""
        return timedelta(days=getattr(settings, self.setting))


def _resolution(name: str, seconds: int, part: timedelta) -> Resolution:
    table = Table(f"metrics_rollup_{name.lower()}", "bucket", part, timedelta(seconds=seconds))
    return Resolution(seconds, table, f"VIGIL_ROLLUP_{name}_DAYS")


MINUTE = _resolution("1M", 60, timedelta(days=7))
FIVE_MINUTES = _resolution("5M", 300, timedelta(days=30))
HOUR = _resolution("1H", 3_600, timedelta(days=90))
FINEST_FIRST = (MINUTE, FIVE_MINUTES, HOUR)


# Expressions over the rows of `pieces`, grouped by series and step.
COUNT = "sum(count)"
TOTAL = "CASE WHEN count(total) = count(*) THEN sum(total) END"
LOW = "min(low)"
HIGH = "max(high)"
LAST_AT = "max(last_at)"


def last() -> str:
    """The value of the latest piece; on SQLite `placed` has told which that is."""
    if rows.is_postgres():
        return "(array_agg(last ORDER BY last_at DESC, tie DESC))[1]"
    return "max(CASE WHEN place = 1 THEN last END)"


def pieces(source: Resolution | None, *, of: str, step: int) -> str:
    """Columns of one row per rollup of `source`, or per sample, by steps of `step` seconds; `of` names the series."""
    if source is not None:
        bucket = f"bucket / {step // source.seconds}"
        return f"{of} AS series_id, {bucket} AS step, count, total, low, high, last, last_at, bucket AS tie"
    summable = f"CASE WHEN value BETWEEN {-SUMMABLE!r} AND {SUMMABLE!r} THEN value END"
    return (
        f"{of} AS series_id, {_step(step)} AS step, 1 AS count, {summable} AS total, value AS low, value AS high, "
        "value AS last, at AS last_at, id AS tie"
    )


def placed(found: str) -> str:
    """`found` as a table to gather from."""
    if rows.is_postgres():
        return f"({found}) AS pieces"
    place = "row_number() OVER (PARTITION BY series_id, step ORDER BY last_at DESC, tie DESC)"
    return f"(SELECT *, {place} AS place FROM ({found}))"  # noqa: S608


def number(moment: datetime, seconds: int) -> int:
    """The number since 1970 of the step that `moment` is in."""
    return (moment - EPOCH) // timedelta(seconds=seconds)


def start(bucket: int, seconds: int) -> datetime:
    """When a step begins."""
    return EPOCH + timedelta(seconds=bucket * seconds)


def _step(step: int) -> str:
    if rows.is_postgres():
        # Twice as quick as extract(), whose numeric is exact; a microsecond before a step is still before it.
        return f"CAST(floor(date_part('epoch', at) / {step}) AS bigint)"
    return f"CAST(strftime('%%s', at) AS integer) / {step}"
