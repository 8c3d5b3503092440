"""The condition tree: what is wrong, as frozen data, and the plain questions one can ask about it."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from policies.engine.tags import TagMatcher
from policies.engine.values import Question

ZERO = timedelta(0)
USUAL_STALENESS = timedelta(minutes=5)
SEVERITIES = ("info", "warning", "critical")
"""Of policies, incidents and events."""
DEFAULT_EVENT_WINDOW = timedelta(minutes=5)
DEFAULT_SIGMA = 4.0
DEFAULT_PERIOD = timedelta(days=1)
DEFAULT_SOURCE = "prometheus"


class Comparison(enum.StrEnum):
    """Ways to compare a number with a threshold, by their JSON type."""

    EXCEEDS = "metric_exceeds"
    BELOW = "metric_below"
    AT_LEAST = "metric_at_least"
    AT_MOST = "metric_at_most"
    EQUALS = "metric_equals"
    NOT_EQUALS = "metric_not_equals"


class Across(enum.StrEnum):
    """How the several series of one target become one answer."""

    ANY = "any"
    ALL = "all"
    AVG = "avg"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    COUNT = "count"

    @property
    def is_number(self) -> bool:
        return self not in (Across.ANY, Across.ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Which number to look at: a metric's newest value, or an aggregate over a window."""

    metric: str
    tags: tuple[TagMatcher, ...] = ()
    aggregate: str | None = None
    window: timedelta | None = None
    """Set together with `aggregate`, or not at all."""
    across: Across = Across.ANY
    by: tuple[str, ...] = ()
    """Names of tags: judged for every group of series, of all targets, that agree on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    measure: Measure
    comparison: Comparison
    threshold: float
    recover: float | None = None
    """Once violated, healthy only beyond this number."""
    hold_for: timedelta = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Violated below `band.low` or above `band.high`; the ends themselves are inside."""

    measure: Measure
    band: Band
    recover: Band | None = None
    hold_for: timedelta = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One measure divided by another; dividing by nothing or by zero is no data, never infinity."""

    over: Measure
    under: Measure
    comparison: Comparison = Comparison.EXCEEDS
    threshold: float
    recover: float | None = None
    across: Across = Across.ANY
    """Any or all: how the quotients of several series become one answer."""
    hold_for: timedelta = ZERO


class Method(enum.StrEnum):
    """Ways to know what is usual for a metric."""

    ROBUST_Z = "robust_z"
    EWMA = "ewma"
    SEASONAL = "seasonal"


class Direction(enum.StrEnum):
    """Which deviations count."""

    BOTH = "both"
    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Violated when the newest value is more than `sigma` usual spreads away from what is usual in the window."""

    metric: str
    tags: tuple[TagMatcher, ...] = ()
    window: timedelta
    sigma: float = DEFAULT_SIGMA
    method: Method = Method.ROBUST_Z
    direction: Direction = Direction.BOTH
    period: timedelta = DEFAULT_PERIOD
    """Of `seasonal` alone: how long it takes until the same is usual again."""
    hold_for: timedelta = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Violated when the straight line through the window stands beyond the threshold `within` from now."""

    metric: str
    tags: tuple[TagMatcher, ...] = ()
    comparison: Comparison = Comparison.EXCEEDS
    """`EXCEEDS` or `BELOW`."""
    threshold: float
    window: timedelta
    within: timedelta
    hold_for: timedelta = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class PromQL:
    """Violated when a configured server answers this query with anything about the target."""

    query: str
    source: str = DEFAULT_SOURCE
    hold_for: timedelta = ZERO

    @property
    def question(self) -> Question:
        return Question(self.source, self.query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Violated when a metric the target used to send has been silent for `silent_for`."""

    metric: str
    silent_for: timedelta
    tags: tuple[TagMatcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedBy:
    """Which later event takes earlier ones back."""

    event: str | None = None
    """A name or a glob; None for the event itself, which then says so in its tags."""
    tags: tuple[TagMatcher, ...] = ()
    same: tuple[str, ...] = ()
    """Names of tags on which the two must agree; without any, it takes back everything before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMatches:
    event: str
    """A name or a glob."""
    severity: str | None = None
    tags: tuple[TagMatcher, ...] = ()
    count: int = 1
    window: timedelta = DEFAULT_EVENT_WINDOW
    resolved_by: ResolvedBy | None = None
    hold_for: timedelta = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    conditions: "tuple[Condition, ...]"
    hold_for: timedelta = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    conditions: "tuple[Condition, ...]"
    hold_for: timedelta = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    condition: "Condition"
    hold_for: timedelta = ZERO


type Leaf = Compare | Outside | Ratio | Anomaly | Forecast | PromQL | Absent | EventMatches
type Condition = Leaf | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What must be read to judge a condition.

    The newest sample of every metric named here is wanted whatever its age (silence is measured from it);
    where a length is given, all samples of that last stretch are wanted too.
    """

    metrics: Mapping[str, timedelta | None] = field(default_factory=dict)
    events: Mapping[str, timedelta] = field(default_factory=dict)
    """By name or glob, how far back."""
    questions: frozenset[Question] = frozenset()
    """What to ask of configured servers; the answers go into TargetData."""


def children(condition: Condition) -> tuple[Condition, ...]:
    """The conditions directly inside this one; none for a leaf."""
    match condition:
        case AllOf() | AnyOf():
            return condition.conditions
        case Not():
            return (condition.condition,)
        case _:
            return ()


def walk(condition: Condition) -> Iterator[Condition]:
    """The condition and everything inside it, outer before inner."""
    yield condition
    for child in children(condition):
        yield from walk(child)


def hold_of(condition: Condition) -> timedelta:
    """How long this very condition must stay violated; zero for metric_absent, whose `for` is its silence."""
    return ZERO if isinstance(condition, Absent) else condition.hold_for


def top_level_hold(condition: Condition) -> timedelta:
    """The `for` that the incident lifecycle keeps, since only it knows since when the condition was violated."""
    return hold_of(condition)


def has_absence(condition: Condition) -> bool:
    """Whether silence alone can violate it; then a target must be judged even when nothing arrives."""
    return any(isinstance(node, Absent) for node in walk(condition))


def metrics_of(condition: Condition) -> frozenset[str]:
    return frozenset(metric for node in walk(condition) for metric in _metric(node))


def events_of(condition: Condition) -> frozenset[str]:
    """The names and globs of events it looks at, those that resolve others included."""
    return frozenset(name for node in walk(condition) if isinstance(node, EventMatches) for name in event_names(node))


def questions_of(condition: Condition) -> frozenset[Question]:
    return frozenset(node.question for node in walk(condition) if isinstance(node, PromQL))


def grouping(condition: Condition) -> tuple[str, ...]:
    """The tags after `by`, for a condition to be judged with `evaluate_groups`; empty for one judged per target."""
    if isinstance(condition, Compare | Outside):  # by far the most, and asked at every evaluation
        return condition.measure.by
    named = (measure.by for node in walk(condition) for measure in measures_of(node) if measure.by)
    return next(named, ())


def measures_of(node: Condition) -> tuple[Measure, ...]:
    """The numbers of metrics that this very condition compares."""
    match node:
        case Compare() | Outside():
            return (node.measure,)
        case Ratio():
            return (node.over, node.under)
        case _:
            return ()


def event_names(node: EventMatches) -> tuple[str, ...]:
    resolving = None if node.resolved_by is None else node.resolved_by.event
    return (node.event,) if resolving is None else (node.event, resolving)


def _metric(node: Condition) -> tuple[str, ...]:
    match node:
        case Absent() | Anomaly() | Forecast():
            return (node.metric,)
        case _:
            return tuple(measure.metric for measure in measures_of(node))


def needs(condition: Condition, *, staleness: timedelta = USUAL_STALENESS) -> Needs:
    """What to read for this condition; a nested `for` looks that much further back."""
    metrics: dict[str, timedelta | None] = {}
    events: dict[str, timedelta] = {}
    for node, hold in _leaves(condition, ZERO, is_root=True):
        for metric, back in _stretches(node, hold, staleness):
            _widen(metrics, metric, back)
        if isinstance(node, EventMatches):
            for name in event_names(node):
                events[name] = max(events.get(name, ZERO), node.window + hold)
    return Needs(metrics=metrics, events=events, questions=questions_of(condition))


def _stretches(node: Condition, hold: timedelta, staleness: timedelta) -> Iterator[tuple[str, timedelta | None]]:
    """Each metric of a leaf with how far back it looks; None where the newest sample is enough."""
    for measure in measures_of(node):
        back = measure.window or (staleness if hold else None)
        yield measure.metric, None if back is None else back + hold
    match node:
        case Absent():
            yield node.metric, node.silent_for + hold if hold else None
        case Forecast():
            yield node.metric, node.window + hold
        case Anomaly():
            yield node.metric, node.window + staleness + hold
        case _:
            return


def _leaves(condition: Condition, hold: timedelta, *, is_root: bool) -> Iterator[tuple[Condition, timedelta]]:
    """Every leaf with the history its own and its surrounding nested `for` ask for."""
    hold = hold if is_root else hold + hold_of(condition)
    inner = children(condition)
    if not inner:
        yield condition, hold
    for child in inner:
        yield from _leaves(child, hold, is_root=False)


def _widen(metrics: dict[str, timedelta | None], metric: str, back: timedelta | None) -> None:
    lengths = [length for length in (metrics.get(metric), back) if length is not None]
    metrics[metric] = max(lengths, default=None)
