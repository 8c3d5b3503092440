"""How values are spread: what cannot be put together from parts. The same as the aggregates of policies mean it."""

import math
from collections.abc import Sequence


def of(name: str, ordered: Sequence[float]) -> float:
    """`stddev`, of the whole population, or a percentile such as `p95`; of values in ascending order, at least one."""
    if name == "stddev":
        return _stddev(ordered)
    return _percentile(ordered, float(name.removeprefix("p")))


def _stddev(values: Sequence[float]) -> float:
    try:
        middle = math.fsum(values) / len(values)
        return math.sqrt(math.fsum((value - middle) * (value - middle) for value in values) / len(values))
    except (OverflowError, ValueError):
        return math.inf


def _percentile(ordered: Sequence[float], percent: float) -> float:
    """Between two neighbours the value lies on the straight line that joins them."""
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
