"""Tell for a whole fleet at once which targets are surely healthy, from one range of numbers for each series.

A sweep over 100 policies and 10,000 targets has a million answers to give, nearly all of them "healthy". This finds the
few targets that need a real evaluation. It may doubt too much, which costs time; it never calls a target healthy or
unknown that `evaluation.evaluate` would judge otherwise. It knows nothing of `recover` and of time: pairs with a live
incident, or with anything else to remember, are not to be screened at all.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple, Protocol

from policies.engine import aggregates, comparing, conditions, tags
from policies.engine.conditions import (
    Absent,
    Across,
    AllOf,
    AnyOf,
    Compare,
    Comparison,
    Condition,
    Measure,
    Outside,
)
from policies.engine.counters import Span
from policies.engine.values import Sample

SUMMARIZED = frozenset({"avg", "min", "max", "sum", "count", "last"})
"""Aggregates that a summary of the window says enough about."""
HUGE = 1e290
"""Sums of larger numbers may overflow; series that have any are left to the real evaluation."""
_ROUNDING = 2.3e-16
"""More than what one addition may be wrong by, as a share of the result."""
_TINY = 1e-300
"""Numbers so small that a share of them says nothing."""


class Summary(Protocol):
    """What a series' samples in one window come to."""

    @property
    def count(self) -> int: ...
    @property
    def total(self) -> float:
        """Their sum up to rounding; may be anything when one is larger than `HUGE`."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


type Windowed = tuple[str, timedelta, str]
"""A metric, a window of it, and an aggregate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What to read before a condition can be screened, beside the newest sample of each series."""

    windows: frozenset[tuple[str, timedelta]]
    """Metrics and windows to summarize."""
    samples: frozenset[Windowed]
    """Aggregates that only the samples themselves tell."""


class Heard(NamedTuple):
    """A series and its newest sample."""

    id: int
    target: str
    tags: Mapping[str, str]
    at: datetime
    value: float


type _Range = tuple[float, float]
"""The lowest and the highest that a number can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """The answer for all targets of a policy; those in neither set are surely healthy."""

    suspect: frozenset[str]
    """To be evaluated."""
    unknown: frozenset[str]
    """Surely without the data to say."""


@dataclass(frozen=True, kw_only=True)
class _Vector:
    """One number for each target: where it lies, sorted both ways, and the targets about which nothing is sure."""

    lows: Mapping[str, float]
    highs: Mapping[str, float]
    """The same object as `lows` when every number is exact."""
    unsure: frozenset[str]
    _unsaid: dict[frozenset[str], frozenset[str]] = field(default_factory=dict)

    @cached_property
    def _by_low(self) -> tuple[list[float], list[str]]:
        return _in_order(self.lows)

    @cached_property
    def _by_high(self) -> tuple[list[float], list[str]]:
        return self._by_low if self.highs is self.lows else _in_order(self.highs)

    def unsaid(self, targets: frozenset[str]) -> frozenset[str]:
        """Those of the targets that surely have no number; many policies ask about the same ones."""
        if targets not in self._unsaid:
            self._unsaid[targets] = targets.difference(self.lows, self.unsure)
        return self._unsaid[targets]

    def reaching(self, limit: float, *, itself: bool) -> list[str]:
        """Targets whose number may be over the limit, or the limit `itself`."""
        highs, targets = self._by_high
        return targets[(bisect_left if itself else bisect_right)(highs, limit) :]

    def falling(self, limit: float, *, itself: bool) -> list[str]:
        """Targets whose number may be under the limit, or the limit `itself`."""
        lows, targets = self._by_low
        return targets[: (bisect_right if itself else bisect_left)(lows, limit)]


def _in_order(numbers: Mapping[str, float]) -> tuple[list[float], list[str]]:
    targets = sorted(numbers, key=numbers.__getitem__)
    return [numbers[target] for target in targets], targets


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What is known of all targets at one time; the numbers of one measure are worked out once for all policies."""

    series: Mapping[str, Sequence[Heard]]
    """By metric: every series that has a sample at all."""
    summaries: Mapping[tuple[str, timedelta], Mapping[int, Summary]]
    """By metric and window, then by series; a series without a sample in the window has none."""
    exact: Mapping[Windowed, Mapping[int, float]] = field(default_factory=dict)
    """What `exactly` says, by series; one without a number is left out."""
    at: datetime
    staleness: timedelta
    _vectors: dict[Measure, _Vector] = field(default_factory=dict)
    _targets: dict[str, frozenset[str]] = field(default_factory=dict)
    _silences: dict[tuple[str, tuple[tags.TagMatcher, ...]], _Vector] = field(default_factory=dict)

    def targets(self, metrics: Iterable[str]) -> frozenset[str]:
        """Every target that has ever sent one of the metrics."""
        return frozenset().union(*(self._targets_of(metric) for metric in metrics))

    def _targets_of(self, metric: str) -> frozenset[str]:
        if metric not in self._targets:
            self._targets[metric] = frozenset(one.target for one in self.series.get(metric, ()))
        return self._targets[metric]

    def vector(self, measure: Measure) -> _Vector:
        """The number of the measure for every target."""
        if measure not in self._vectors:
            self._vectors[measure] = _vector(measure, self)
        return self._vectors[measure]

    def silences(self, condition: Absent) -> _Vector:
        """For how many seconds every target has been silent."""
        key = (condition.metric, condition.tags)
        if key not in self._silences:
            self._silences[key] = _silences(condition, self)
        return self._silences[key]


def reads(condition: Condition) -> Reads | None:
    """What `screen` needs for this condition; None when it cannot be screened."""
    windows: set[tuple[str, timedelta]] = set()
    samples: set[Windowed] = set()
    for node in conditions.walk(condition):
        match node:
            case Compare(measure=measure) | Outside(measure=measure):
                if measure.by:
                    return None
                if measure.window is None or measure.aggregate is None:
                    continue
                if measure.aggregate in SUMMARIZED:
                    windows.add((measure.metric, measure.window))
                else:
                    samples.add((measure.metric, measure.window, measure.aggregate))
            case Absent() | AllOf() | AnyOf():
                continue
            case _:
                return None
    return Reads(windows=frozenset(windows), samples=frozenset(samples))


def exactly(aggregate: str, samples: Sequence[Sample], *, window: timedelta, at: datetime) -> float | None:
    """The aggregate of the samples in a window that ends at `at`, as an evaluation has it; None when it has none."""
    value = aggregates.over_window(aggregate, samples, span=Span(start=at - window, end=at))
    return value if value is not None and math.isfinite(value) else None


def screen(condition: Condition, fleet: Fleet, *, targets: frozenset[str]) -> Screened:
    """Sort these targets into suspect, unknown and (the rest) healthy. `reads` said that the condition can be."""
    match condition:
        case Compare() | Outside():
            vector = fleet.vector(condition.measure)
            return _sorted_out(_broken(condition, vector), vector, targets)
        case Absent():
            vector = fleet.silences(condition)
            return _sorted_out(vector.reaching(condition.silent_for.total_seconds(), itself=True), vector, targets)
        case AllOf():
            return _all([screen(child, fleet, targets=targets) for child in condition.conditions])
        case AnyOf():
            return _any([screen(child, fleet, targets=targets) for child in condition.conditions])
        case _:
            return Screened(suspect=targets, unknown=frozenset())


def _sorted_out(broken: Iterable[str], vector: _Vector, targets: frozenset[str]) -> Screened:
    return Screened(
        suspect=targets.intersection(broken) | (vector.unsure & targets),
        unknown=vector.unsaid(targets),
    )


def _all(parts: Sequence[Screened]) -> Screened:
    """One healthy answer settles it; with nothing but unknown answers it is unknown."""
    unsettled = frozenset.intersection(*(part.suspect | part.unknown for part in parts))
    unknown = frozenset.intersection(*(part.unknown for part in parts))
    return Screened(suspect=unsettled - unknown, unknown=unknown)


def _any(parts: Sequence[Screened]) -> Screened:
    """Healthy only if all are; one unknown answer among healthy ones leaves it unknown."""
    suspect = frozenset().union(*(part.suspect for part in parts))
    return Screened(suspect=suspect, unknown=frozenset().union(*(part.unknown for part in parts)) - suspect)


def _broken(condition: Compare | Outside, vector: _Vector) -> Iterable[str]:
    """Targets whose number may be on the wrong side."""
    if isinstance(condition, Outside):
        low, high = condition.band.low, condition.band.high
        return {*vector.falling(low, itself=False), *vector.reaching(high, itself=False)}
    limit = condition.threshold
    match condition.comparison:
        case Comparison.EXCEEDS:
            return vector.reaching(limit, itself=False)
        case Comparison.AT_LEAST:
            return vector.reaching(limit, itself=True)
        case Comparison.BELOW:
            return vector.falling(limit, itself=False)
        case Comparison.AT_MOST:
            return vector.falling(limit, itself=True)
        case Comparison.EQUALS:
            return [target for target in vector.reaching(limit, itself=True) if vector.lows[target] <= limit]
        case Comparison.NOT_EQUALS:
            return {*vector.reaching(limit, itself=False), *vector.falling(limit, itself=False)}


def _vector(measure: Measure, fleet: Fleet) -> _Vector:
    """The ranges of a target's series, joined to one; in doubt about a series it is in doubt about the target."""
    found: dict[str, list[_Range]] = defaultdict(list)
    unsure: set[str] = set()
    read = _reader(measure, fleet)
    for one in fleet.series.get(measure.metric, ()):
        if measure.tags and not tags.match(measure.tags, one.tags):
            continue
        span = read(one)
        if span is None:
            continue
        if span[0] > -HUGE and span[1] < HUGE:
            found[one.target].append(span)
        else:
            unsure.add(one.target)
    lows, highs = {}, {}
    for target, spans in found.items():
        if target not in unsure:
            lows[target], highs[target] = _joined(measure.across, spans)
    return _Vector(lows=lows, highs=lows if lows == highs else highs, unsure=frozenset(unsure))


def _reader(measure: Measure, fleet: Fleet) -> Callable[[Heard], _Range | None]:
    """How to tell where the number of one series lies; None for one that surely has none."""
    if measure.window is None or measure.aggregate is None:
        return lambda one: _newest(one, fleet)
    if measure.aggregate in SUMMARIZED:
        summaries = fleet.summaries.get((measure.metric, measure.window), {})
        return lambda one: _windowed(measure, summaries.get(one.id))
    exact = fleet.exact.get((measure.metric, measure.window, measure.aggregate), {})
    return lambda one: None if (value := exact.get(one.id)) is None else (value, value)


_ANYTHING = (-math.inf, math.inf)


def _newest(one: Heard, fleet: Fleet) -> _Range | None:
    if one.at > fleet.at:
        return _ANYTHING  # from an agent whose clock is ahead: the sample before it is not at hand
    return (one.value, one.value) if fleet.at - one.at <= fleet.staleness else None


def _windowed(measure: Measure, summary: Summary | None) -> _Range | None:
    if summary is None:
        return None
    largest = max(abs(summary.low), abs(summary.high))
    if largest >= HUGE:
        return _ANYTHING
    wrong = (summary.count + 4) * _ROUNDING * largest + _TINY
    match measure.aggregate:
        case "min":
            return (summary.low, summary.low)
        case "max":
            return (summary.high, summary.high)
        case "count":
            return (float(summary.count), float(summary.count))
        case "avg":
            return _around(summary.total / summary.count, wrong)
        case "sum":
            return _around(summary.total, wrong * summary.count)
        case _:
            return (summary.low, summary.high)


def _joined(across: Across, spans: Sequence[_Range]) -> _Range:
    """For any, all, min and max the whole stretch that the series cover: coarse, but never wrong."""
    if len(spans) == 1 and across is not Across.COUNT:
        return spans[0]
    if across not in (Across.AVG, Across.SUM, Across.COUNT):
        return (min(low for low, _ in spans), max(high for _, high in spans))
    low = comparing.combined(across, [low for low, _ in spans])
    high = comparing.combined(across, [high for _, high in spans])
    wrong = 4 * _ROUNDING * len(spans) * max(max(abs(low), abs(high)) for low, high in spans) + _TINY
    return (low - wrong, high + wrong) if across is not Across.COUNT else (low, high)


def _around(middle: float, wrong: float) -> _Range:
    return (middle - wrong, middle + wrong)


def _silences(condition: Absent, fleet: Fleet) -> _Vector:
    last: dict[str, datetime] = {}
    unsure: set[str] = set()
    for one in fleet.series.get(condition.metric, ()):
        if condition.tags and not tags.match(condition.tags, one.tags):
            continue
        if one.at > fleet.at:
            unsure.add(one.target)
        elif one.target not in last or one.at > last[one.target]:
            last[one.target] = one.at
    seconds = {target: (fleet.at - at).total_seconds() for target, at in last.items() if target not in unsure}
    return _Vector(lows=seconds, highs=seconds, unsure=frozenset(unsure))
