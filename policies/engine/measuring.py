"""Read the number a measure means, for each series of the target, as it stood at a given time."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from policies.engine import aggregates, durations, sentences, tags
from policies.engine.conditions import Measure
from policies.engine.counters import Span
from policies.engine.values import Sample, Series, TargetData


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The number of one series."""

    series: Series
    value: float
    newest_at: datetime
    samples: int | None = None
    """How many its window holds; None without a window, or where it is the number that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A series that cannot say: silent for too long, too few samples, or not a number."""

    series: Series
    reason: str
    last: Sample | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    found: tuple[Found, ...]
    missing: tuple[Missing, ...]

    @property
    def newest_at(self) -> datetime | None:
        times = [found.newest_at for found in self.found]
        times += [missing.last.at for missing in self.missing if missing.last is not None]
        return max(times, default=None)


def measure(wanted: Measure, data: TargetData, *, at: datetime, staleness: timedelta) -> Measured:
    """The number of every series that the measure selects; samples later than `at` do not exist yet."""
    chosen = selected(wanted.metric, wanted.tags, data)
    read = [_read(wanted, series, at, staleness, since=data.since) for series in chosen]
    return Measured(
        found=tuple(one for one in read if isinstance(one, Found)),
        missing=tuple(one for one in read if isinstance(one, Missing)),
    )


def selected(metric: str, matchers: Iterable[tags.TagMatcher], data: TargetData) -> list[Series]:
    """The target's series of that metric whose tags fit."""
    return [series for series in data.series.get(metric, ()) if tags.match(matchers, series.tags)]


def when_heard(wanted: Measure, missing: Missing, *, staleness: timedelta) -> float | None:
    """The number a silent series gave at the time of its last sample; None when it gave none even then."""
    if missing.last is None:
        return None
    then = _read(wanted, missing.series, missing.last.at, staleness)
    return then.value if isinstance(then, Found) else None


def until(samples: Sequence[Sample], at: datetime) -> int:
    """How many of these samples, oldest first, are not later than `at`."""
    if samples and samples[-1].at <= at:
        return len(samples)
    return bisect_right(samples, at, key=_time)


def newest(series: Series, at: datetime) -> Sample | None:
    """The last sample of the series at or before `at`."""
    end = until(series.samples, at)
    return series.samples[end - 1] if end else None


def newest_number(series: Series, at: datetime) -> Sample | None:
    """The last sample at or before `at` that is a number: what is none, such as a staleness marker, says nothing."""
    inside = series.samples[: until(series.samples, at)]
    return next((sample for sample in reversed(inside) if not math.isnan(sample.value)), None)


def _time(sample: Sample) -> datetime:
    return sample.at


def _read(
    wanted: Measure, series: Series, at: datetime, staleness: timedelta, *, since: datetime | None = None
) -> Found | Missing:
    last = newest(series, at)
    if last is None:
        return Missing(series=series, reason=f"{wanted.metric} has no sample yet", last=None)
    if wanted.aggregate is None or wanted.window is None:
        return _latest(wanted, series, last, at, staleness)
    start = at - wanted.window
    span = Span(start=start if since is None else max(start, min(since, at)), end=at)
    return _windowed(wanted, wanted.aggregate, wanted.window, series, last, span)


def _latest(wanted: Measure, series: Series, last: Sample, at: datetime, staleness: timedelta) -> Found | Missing:
    if at - last.at > staleness:
        age, limit = durations.spell(at - last.at), durations.spell(staleness)
        reason = f"{wanted.metric} was last seen {age} ago and counts for {limit}"
        return Missing(series=series, reason=reason, last=last)
    return _found(wanted, series, last.value, last)


def _windowed(
    wanted: Measure, aggregate: str, window: timedelta, series: Series, last: Sample, span: Span
) -> Found | Missing:
    start, end = until(series.samples, span.start), until(series.samples, span.end)
    inside = [sample for sample in series.samples[start:end] if not math.isnan(sample.value)]
    if not inside:
        age = durations.spell(span.end - last.at)
        reason = f"no {wanted.metric} in the last {durations.text(window)}, the newest is {age} old"
        return Missing(series=series, reason=reason, last=last)
    value = aggregates.over_window(aggregate, inside, span=span)
    if value is None:
        reason = f"{sentences.measure_text(wanted)} needs two samples at different times"
        return Missing(series=series, reason=reason, last=last)
    found = _found(wanted, series, value, last)
    return replace(found, samples=len(inside)) if isinstance(found, Found) and aggregate != "count" else found


def _found(wanted: Measure, series: Series, value: float, last: Sample) -> Found | Missing:
    if not math.isfinite(value):
        return Missing(series=series, reason=f"{sentences.measure_text(wanted)} is not a number", last=last)
    return Found(series=series, value=value, newest_at=last.at)
