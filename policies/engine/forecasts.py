"""Judge a forecast: the straight line of least squares through a window, read off at a time to come."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.engine import aggregates, comparing, durations, measuring, numerals, sentences
from policies.engine.bounds import Threshold
from policies.engine.conditions import Forecast, Measure
from policies.engine.measuring import Found, Measured, Missing
from policies.engine.values import Sample, Series, TargetData, Verdict

_HOUR = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    now: float
    """Where the line stands at the time it was drawn for."""
    slope: float
    """Per second."""

    def after(self, passed: timedelta) -> float:
        return self.now + self.slope * passed.total_seconds()


def forecast(
    condition: Forecast, data: TargetData, *, at: datetime, staleness: timedelta, was_violated: bool
) -> Verdict:
    """The verdict of one forecast; its own `for` is not looked at."""
    bound = Threshold(comparison=condition.comparison, threshold=condition.threshold)
    measured, lines = _measure(condition, data, at, staleness)
    name = sentences.selector(condition.metric, condition.tags)
    if not measured.found:
        never = f"{data.target} has never sent {name}"
        return comparing.nothing(never, f"{name} in {durations.text(condition.within)}", bound, measured)

    def heard(missing: Missing) -> float | None:
        if missing.last is None:
            return None
        then, _ = _measure(condition, data, missing.last.at, staleness)
        return next((one.value for one in then.found if one.series is missing.series), None)

    def label(found: Found) -> str:
        tags = comparing.telling_tags(measured, found) if len(measured.found) > 1 else condition.tags
        hourly = numerals.shown(lines[id(found.series)].slope * _HOUR)
        named = sentences.selector(condition.metric, tags)
        return f"{named} moves {hourly} an hour; in {durations.text(condition.within)}"

    silent = comparing.fell_silent(bound, measured, heard, at=at, staleness=staleness) if was_violated else ()
    return comparing.judged(bound, measured, label=label, silent=silent)


def fit(samples: Sequence[Sample], at: datetime) -> Line | None:
    """The line of least squares, read at `at`; None for fewer than two moments."""
    times = [(sample.at - at).total_seconds() for sample in samples]
    values = [sample.value for sample in samples]
    if len(samples) < 2 or times[0] == times[-1]:
        return None
    middle, mean = aggregates.mean(times), aggregates.mean(values)
    spread = aggregates.total([(moment - middle) ** 2 for moment in times])
    together = [(moment - middle) * (value - mean) for moment, value in zip(times, values, strict=True)]
    slope = aggregates.total(together) / spread
    return Line(now=mean - slope * middle, slope=slope)


def _measure(
    condition: Forecast, data: TargetData, at: datetime, staleness: timedelta
) -> tuple[Measured, dict[int, Line]]:
    """The number of each series at the time to come, with its line by the identity of the series."""
    wanted = Measure(metric=condition.metric, tags=condition.tags, aggregate="last", window=condition.window)
    inside = measuring.measure(wanted, data, at=at, staleness=staleness)
    lines = {id(one.series): _line(condition, one.series, at) for one in inside.found}
    found: list[Found] = []
    missing = list(inside.missing)
    for one in inside.found:
        line = lines[id(one.series)]
        value = math.nan if line is None else line.after(condition.within)
        if math.isfinite(value):
            found.append(Found(series=one.series, value=value, newest_at=one.newest_at))
        else:
            missing.append(_crooked(condition, one.series, at))
    return Measured(found=tuple(found), missing=tuple(missing)), {key: line for key, line in lines.items() if line}


def _line(condition: Forecast, series: Series, at: datetime) -> Line | None:
    start, end = measuring.until(series.samples, at - condition.window), measuring.until(series.samples, at)
    return fit([sample for sample in series.samples[start:end] if math.isfinite(sample.value)], at)


def _crooked(condition: Forecast, series: Series, at: datetime) -> Missing:
    reason = f"a forecast needs two samples of {condition.metric} at different times"
    return Missing(series=series, reason=reason, last=measuring.newest(series, at))
