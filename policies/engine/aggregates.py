"""Aggregates: many numbers of one window, or of several series, become one."""

import math
import string
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise

from policies.engine import counters
from policies.engine.counters import Span
from policies.engine.values import Sample

type Aggregate = Callable[[Sequence[Sample]], float | None]
type Movement = Callable[[Sequence[Sample], Span], float | None]
_MOST_PERCENT_CHARACTERS = 7
_PERCENT_CHARACTERS = frozenset(string.digits + ".")


def known(name: str) -> bool:
    return name in _BY_NAME or name in _MOVEMENTS or _percent(name) is not None


def names() -> tuple[str, ...]:
    """Every aggregate by name, percentiles by three examples."""
    return (*_BY_NAME, *_MOVEMENTS, "p50", "p90", "p99")


def over_window(name: str, samples: Sequence[Sample], *, span: Span | None = None) -> float | None:
    """The aggregate of samples that are oldest first and not NaN; None when they are too few to say.

    `span` is the whole window, up to whose edges increase, rate and delta are drawn; without it, to the outer samples.
    """
    if not samples:
        return None
    if name in _MOVEMENTS:
        return _MOVEMENTS[name](samples, span or Span(start=samples[0].at, end=samples[-1].at))
    percent = _percent(name)
    if percent is not None:
        return percentile([sample.value for sample in samples], percent)
    return _BY_NAME[name](samples)


def quantile_name(share: str) -> str | None:
    """The aggregate of a share written in decimals, `0.975` being p97.5; None unless it is between 0 and 1."""
    if not share or not set(share) <= _PERCENT_CHARACTERS or share.count(".") > 1 or share == ".":
        return None
    percent = Decimal(share) * 100
    name = f"p{percent.normalize():f}"
    return name if 0 < percent < 100 and known(name) else None


def mean(values: Sequence[float]) -> float:
    return total(values) / len(values)


def total(values: Sequence[float]) -> float:
    """The exact sum; infinite when it is too large for a float."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.inf


def percentile(values: Sequence[float], percent: float) -> float:
    """Between two neighbours the value lies on the straight line that joins them."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _percent(name: str) -> float | None:
    """`p95` and `p99.9`, in one spelling each: no zero that could be left out."""
    digits = name[1:]
    if not name.startswith("p") or not digits or len(digits) > _MOST_PERCENT_CHARACTERS:
        return None
    if not set(digits) <= _PERCENT_CHARACTERS or digits.count(".") > 1 or digits == ".":
        return None
    percent = float(digits)
    return percent if 0 < percent < 100 and digits == f"{Decimal(digits).normalize():f}" else None


def _values(samples: Sequence[Sample]) -> list[float]:
    return [sample.value for sample in samples]


def _stddev(samples: Sequence[Sample]) -> float:
    """Of the whole population, since a window is all there is, not a draw from it."""
    values = _values(samples)
    middle = mean(values)
    return math.sqrt(mean([(value - middle) * (value - middle) for value in values]))


def _changes(samples: Sequence[Sample]) -> float:
    return float(sum(before != now for before, now in pairwise(_values(samples))))


_BY_NAME: dict[str, Aggregate] = {
    "avg": lambda samples: mean(_values(samples)),
    "min": lambda samples: min(_values(samples)),
    "max": lambda samples: max(_values(samples)),
    "sum": lambda samples: total(_values(samples)),
    "count": lambda samples: float(len(samples)),
    "last": lambda samples: samples[-1].value,
    "stddev": _stddev,
    "changes": _changes,
}
_MOVEMENTS: dict[str, Movement] = {
    "increase": counters.increase,
    "rate": counters.rate,
    "delta": counters.delta,
}
