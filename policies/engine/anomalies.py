"""Judge an anomaly: how many usual spreads the newest value of each series is away from what is usual."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from policies.engine import baselines, comparing, durations, measuring, numerals, sentences
from policies.engine.baselines import Usual
from policies.engine.bounds import Threshold
from policies.engine.conditions import Anomaly, Comparison, Direction
from policies.engine.measuring import Found, Measured, Missing
from policies.engine.values import Sample, Series, TargetData, Verdict

_FLAT = 1e-9
"""A spread below this share of the centre is only how floats round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """One series, how far its newest value is away, and from what."""

    series: Series
    newest: Sample
    usual: Usual
    sigmas: float

    def found(self) -> Found:
        return Found(series=self.series, value=self.sigmas, newest_at=self.newest.at)


def anomaly(condition: Anomaly, data: TargetData, *, at: datetime, staleness: timedelta, was_violated: bool) -> Verdict:
    """The verdict of one anomaly; its own `for` is not looked at."""
    bound = Threshold(comparison=Comparison.EXCEEDS, threshold=condition.sigma)
    chosen = measuring.selected(condition.metric, condition.tags, data)
    read = [_read(condition, series, at, staleness) for series in chosen]
    scored = {id(one.series): one for one in read if isinstance(one, _Scored)}
    measured = Measured(
        found=tuple(one.found() for one in scored.values()),
        missing=tuple(one for one in read if isinstance(one, Missing)),
    )
    name = sentences.selector(condition.metric, condition.tags)
    if not measured.found:
        return comparing.nothing(f"{data.target} has never sent {name}", f"{name} sigma", bound, measured)

    def heard(missing: Missing) -> float | None:
        then = None if missing.last is None else _read(condition, missing.series, missing.last.at, staleness)
        return then.sigmas if isinstance(then, _Scored) else None

    def label(found: Found) -> str:
        tags = comparing.telling_tags(measured, found) if len(scored) > 1 else condition.tags
        return _label(condition, sentences.selector(condition.metric, tags), scored[id(found.series)])

    silent = comparing.fell_silent(bound, measured, heard, at=at, staleness=staleness) if was_violated else ()
    verdict = comparing.judged(bound, measured, label=label, silent=silent)
    worst = max(scored.values(), key=lambda one: one.sigmas)
    numbers = {"usual": worst.usual.centre, "spread": worst.usual.spread, "sigma": worst.sigmas}
    return replace(verdict, numbers={name: worst.newest.value, **numbers, "threshold": condition.sigma})


def _read(condition: Anomaly, series: Series, at: datetime, staleness: timedelta) -> _Scored | Missing:
    """How unusual the newest value is; what is usual is told from the samples before it."""
    last = measuring.newest(series, at)
    if last is None or at - last.at > staleness or not math.isfinite(last.value):
        return Missing(series=series, reason=_unread(condition, last, at, staleness), last=last)
    start, end = measuring.until(series.samples, last.at - condition.window), measuring.until(series.samples, last.at)
    earlier = [sample for sample in series.samples[start : end - 1] if math.isfinite(sample.value)]
    usual = baselines.usual(condition, earlier, last)
    if isinstance(usual, str):
        return Missing(series=series, reason=f"{condition.metric} {usual}", last=last)
    return _scored(condition, series, last, usual)


def _unread(condition: Anomaly, last: Sample | None, at: datetime, staleness: timedelta) -> str:
    if last is None:
        return f"{condition.metric} has no sample yet"
    if at - last.at <= staleness:
        return f"{condition.metric} is not a number"
    age, limit = durations.spell(at - last.at), durations.spell(staleness)
    return f"{condition.metric} was last seen {age} ago and counts for {limit}"


def _scored(condition: Anomaly, series: Series, newest: Sample, usual: Usual) -> _Scored | Missing:
    """Like a ratio without a denominator, a past that never moved cannot say how far is too far."""
    away = newest.value - usual.centre
    rounding = _FLAT * abs(usual.centre)
    if usual.spread <= rounding and abs(away) > rounding:
        reason = f"{condition.metric} never moved before, so nothing says how much is unusual"
        return Missing(series=series, reason=reason, last=newest)
    sigmas = 0.0 if usual.spread <= rounding else away / usual.spread
    if not math.isfinite(sigmas) or not math.isfinite(usual.spread):
        return Missing(series=series, reason=f"{condition.metric} is too wild to say what is usual", last=newest)
    counted = {Direction.BOTH: abs(sigmas), Direction.HIGH: sigmas, Direction.LOW: -sigmas}[condition.direction]
    return _Scored(series=series, newest=newest, usual=usual, sigmas=counted)


def _label(condition: Anomaly, name: str, scored: _Scored) -> str:
    """`latency_ms 480 against a usual 120 over 1h, sigma`, to which the comparison is added."""
    value, centre = numerals.shown(scored.newest.value), numerals.shown(scored.usual.centre)
    return f"{name} {value} against a usual {centre} over {durations.text(condition.window)}, sigma"
