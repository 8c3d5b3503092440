"""What the engine is given (samples and events of one target) and what it answers (a verdict)."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of a series at one time."""

    id: int
    at: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A metric name with one set of tags; samples are oldest first."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to the target."""

    name: str
    severity: str
    tags: Mapping[str, str] = field(default_factory=dict)
    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Question:
    """A query for a configured server."""

    source: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One element of the answer."""

    labels: Mapping[str, str] = field(default_factory=dict)
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said, or why it said nothing; the two are never mixed up."""

    at: datetime
    """The time the query was asked for."""
    results: tuple[Answered, ...] = ()
    failure: str | None = None

    def about(self, concerns: Callable[[Mapping[str, str]], bool]) -> "Answer":
        """The same answer with only those results whose labels concern somebody; a failure stays one."""
        return replace(self, results=tuple(one for one in self.results if concerns(one.labels)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetData:
    """Everything the engine may look at for one target; series are grouped by metric name."""

    target: str
    series: Mapping[str, tuple[Series, ...]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    """To each query of the condition, with the results that concern this target only."""
    since: datetime | None = None
    """Set when samples up to this moment were left out on purpose: a rate is then one since this moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetData:
    """Everything the engine may look at for all targets together, for conditions that group with `by`."""

    targets: tuple[TargetData, ...] = ()
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    """To each query of the condition, whole."""


class Outcome(enum.StrEnum):
    """The three answers; no data is unknown, never healthy."""

    VIOLATED = "violated"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"


type Numbers = Mapping[str, float | str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer of a condition, with the statement that decided it."""

    outcome: Outcome
    reason: str
    numbers: Numbers = field(default_factory=dict)
    """Every number that went into the answer; inside a compound condition they are prefixed with `1.`, `2.`, ..."""
    value: float | None = None
    """The number that decided; None when there was none."""
    newest_at: datetime | None = None
    """Time of the newest sample or event looked at, stale ones included."""
    fewest: int | None = None
    """How many samples the emptiest window holds that was looked at; None when no window was."""

    @property
    def violated(self) -> bool:
        return self.outcome is Outcome.VIOLATED
