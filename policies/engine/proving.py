"""How well fresh data shows that something helped: on how many samples, and since when without a break."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.engine import evaluation
from policies.engine.conditions import Condition
from policies.engine.values import Outcome, Series, TargetData

MOST_MOMENTS = 200
"""So many moments are looked at; of more, as many at even distances. Each reading is judged when it comes besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """What the samples since an action show."""

    samples: int
    """Of the series that has the most: those of several series at one time are not several looks."""
    healthy_since: datetime | None
    """The first moment of the calm that still lasts; None without any."""


def calm(condition: Condition, fresh: TargetData, *, at: datetime, staleness: timedelta) -> Calm:
    """Judge the condition at each moment that `fresh` has a sample of, up to `at`; it was violated before."""
    violated, since = True, None
    for moment in _moments(fresh, at):
        verdict = evaluation.evaluate(
            condition, _until(fresh, moment), at=moment, staleness=staleness, was_violated=violated
        )
        if verdict.outcome is Outcome.HEALTHY:
            violated, since = False, since or moment
        else:
            violated, since = violated or verdict.violated, None
    return Calm(samples=_samples(fresh), healthy_since=since)


def _samples(fresh: TargetData) -> int:
    return max((len(one.samples) for many in fresh.series.values() for one in many), default=0)


def _moments(fresh: TargetData, at: datetime) -> list[datetime]:
    found = {sample.at for many in fresh.series.values() for one in many for sample in one.samples if sample.at <= at}
    moments = sorted(found)
    if len(moments) <= MOST_MOMENTS:
        return moments
    last = len(moments) - 1
    return [moments[place * last // (MOST_MOMENTS - 1)] for place in range(MOST_MOMENTS)]


def _until(data: TargetData, moment: datetime) -> TargetData:
    return TargetData(
        target=data.target,
        series={metric: tuple(_cut(one, moment) for one in many) for metric, many in data.series.items()},
        events=tuple(event for event in data.events if event.at <= moment),
        answers=data.answers,
        since=data.since,
    )


def _cut(series: Series, moment: datetime) -> Series:
    kept = tuple(sample for sample in series.samples if sample.at <= moment)
    return Series(name=series.name, tags=series.tags, samples=kept)
