"""What is usual for a number, told from its past: a centre and a spread, in three ways."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from policies.engine import aggregates
from policies.engine.conditions import Anomaly, Method
from policies.engine.values import Sample

FEWEST = 10
"""With fewer earlier samples nothing is usual yet."""
FEWEST_PERIODS = 2
_MAD_TO_SIGMA = 1.482602218505602
"""The median deviation of a normal distribution times this is its standard deviation."""
_MEAN_TO_SIGMA = math.sqrt(math.pi / 2)
_HALVES_IN_WINDOW = 4
_SAME_TIME = 48
"""A sample belongs to the same time of an earlier period when it is within a 48th of it: half an hour of a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    centre: float
    spread: float
    """What one sigma is; zero when the past never moved."""


def usual(condition: Anomaly, earlier: Sequence[Sample], newest: Sample) -> Usual | str:
    """What is usual at the time of the newest sample, or why that cannot be said. Earlier samples are oldest first."""
    if condition.method is Method.SEASONAL:
        return _seasonal(condition, earlier, newest)
    if len(earlier) < FEWEST:
        return f"has {len(earlier)} earlier samples, and at least {FEWEST} say what is usual"
    if condition.method is Method.EWMA:
        return _fading(earlier, newest, condition.window / _HALVES_IN_WINDOW)
    return _robust([sample.value for sample in earlier])


def _robust(values: Sequence[float]) -> Usual:
    """Median and median deviation, which a few wild values cannot move; the mean one when over half are equal."""
    centre = aggregates.percentile(values, 50)
    deviations = [abs(value - centre) for value in values]
    spread = aggregates.percentile(deviations, 50) * _MAD_TO_SIGMA
    return Usual(centre=centre, spread=spread or aggregates.mean(deviations) * _MEAN_TO_SIGMA)


def _fading(earlier: Sequence[Sample], newest: Sample, half_life: timedelta) -> Usual:
    """A mean and a deviation in which a sample counts half as much for each half-life of its age."""
    weights = [0.5 ** ((newest.at - sample.at) / half_life) for sample in earlier]
    centre = _weighted(weights, [sample.value for sample in earlier])
    squares = [(sample.value - centre) * (sample.value - centre) for sample in earlier]
    return Usual(centre=centre, spread=math.sqrt(_weighted(weights, squares)))


def _weighted(weights: Sequence[float], values: Sequence[float]) -> float:
    return aggregates.total([one * value for one, value in zip(weights, values, strict=True)]) / math.fsum(weights)


def _seasonal(condition: Anomaly, earlier: Sequence[Sample], newest: Sample) -> Usual | str:
    """What was usual at the same time of the earlier periods in the window."""
    near = condition.period / _SAME_TIME
    periods: set[int] = set()
    values: list[float] = []
    for sample in earlier:
        back = round((newest.at - sample.at) / condition.period)
        if back and abs(newest.at - back * condition.period - sample.at) <= near:
            periods.add(back)
            values.append(sample.value)
    if len(periods) < FEWEST_PERIODS or len(values) < FEWEST:
        said = f"{len(values)} samples from {len(periods)} earlier periods at this time"
        return f"has {said}, and at least {FEWEST} from {FEWEST_PERIODS} say what is usual"
    return _robust(values)
