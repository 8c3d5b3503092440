"""Which targets cannot be bad, told from single values: a replay passes over them without judging.

It may doubt too much and never too little. The mean, an extreme, a percentile of values that all lie on the good side
of a line lies there too; sums, rates and counts need not, so conditions with those are never passed over.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.engine import aggregates, bounds, conditions
from policies.engine.conditions import Across, AllOf, AnyOf, Compare, Condition, Measure, Outside
from policies.engine.rehearsal.stage import Subject
from policies.engine.rehearsal.timeline import Arrival
from policies.engine.values import Sample

_WITHIN_THE_VALUES = ("avg", "min", "max", "last")
_JOINED_WITHIN = (Across.ANY, Across.ALL, Across.AVG, Across.MIN, Across.MAX)
_ROUNDING = 1e-9
"""A mean may come out beyond its values by the last digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    low: float
    high: float
    """A value at or beyond either end may be bad."""
    counts_for: timedelta
    """How long a value has a say."""


class Watch:
    """Remembers of each target of a policy until when a bad value may have a say."""

    def __init__(self, subject: Subject, *, staleness: timedelta) -> None:
        self._subject = subject
        longest = conditions.needs(subject.condition, staleness=staleness).metrics
        self._leaves = _leaves(subject.condition, longest, staleness) or {}
        self.skims = bool(self._leaves) and str(subject.timings.on_no_data) != "open"
        """Whether anything may be passed over at all."""
        self._until: dict[str, datetime] = {}

    def take(self, arrival: Arrival) -> None:
        """Look at a value that came."""
        if not isinstance(arrival.what, Sample):
            return
        for leaf in self._leaves.get(arrival.metric or "", ()):
            if not leaf.low < arrival.what.value < leaf.high:
                target = self._subject.target_of(arrival.tags, arrival.target)
                until = arrival.what.at + leaf.counts_for
                self._until[target] = max(until, self._until.get(target, until))

    def may_be_bad(self, target: str, at: datetime) -> bool:
        """False only for a target that cannot be violated now."""
        until = self._until.get(target)
        return until is not None and at <= until

    def suspects(self, at: datetime) -> set[str]:
        """Every target that may be bad now and that the policy covers."""
        self._until = {target: until for target, until in self._until.items() if at <= until}
        return {target for target in self._until if self._subject.covers(target)}


def _leaves(
    condition: Condition, spans: Mapping[str, timedelta | None], staleness: timedelta
) -> dict[str, list[_Leaf]] | None:
    """The comparisons of which at least one must see a bad value for the whole to be violated; None if there are none
    such."""
    match condition:
        case Compare() | Outside() if _is_within(condition.measure) and _has_sides(condition):
            metric = condition.measure.metric
            low, high = _calm(condition)
            return {metric: [_Leaf(low=low, high=high, counts_for=max(spans.get(metric) or staleness, staleness))]}
        case AllOf():
            found = (_leaves(child, spans, staleness) for child in condition.conditions)
            return next((one for one in found if one is not None), None)
        case AnyOf():
            return _merged([_leaves(child, spans, staleness) for child in condition.conditions])
        case _:
            return None


def _merged(several: list[dict[str, list[_Leaf]] | None]) -> dict[str, list[_Leaf]] | None:
    merged: dict[str, list[_Leaf]] = {}
    for one in several:
        if one is None:
            return None
        for metric, leaves in one.items():
            merged.setdefault(metric, []).extend(leaves)
    return merged


def _is_within(measure: Measure) -> bool:
    name = measure.aggregate
    inside = name is None or name in _WITHIN_THE_VALUES or (name.startswith("p") and aggregates.known(name))
    return inside and measure.across in _JOINED_WITHIN


def _has_sides(condition: Compare | Outside) -> bool:
    return isinstance(condition, Outside) or condition.comparison in (*bounds.UPWARD, *bounds.DOWNWARD)


def _calm(condition: Compare | Outside) -> tuple[float, float]:
    """Between which ends a value surely lies on the good side, rounding included."""
    if isinstance(condition, Outside):
        return condition.band.low + _near(condition.band.low), condition.band.high - _near(condition.band.high)
    line = condition.threshold
    if condition.comparison in bounds.UPWARD:
        return -math.inf, line - _near(line)
    return line + _near(line), math.inf


def _near(line: float) -> float:
    return _ROUNDING * max(abs(line), 1.0)
