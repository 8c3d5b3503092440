"""What arrives when, and what has arrived by a moment of a test."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from policies.engine.rehearsal.script import Happening, Input, Script
from policies.engine.values import Event, Sample, Series

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
"""When every test begins, so that a time of day in a reason is the time since the beginning."""

type Namer = Callable[[Mapping[str, str]], str]
"""The target that tags name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One sample or event at the time it comes in."""

    at: datetime
    target: str
    tags: Mapping[str, str]
    metric: str | None
    """None for an event."""
    late: bool
    """It corrects history; nothing is judged on its coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Vigil has stored by some moment, each series and event with the target it belongs to."""

    series: Mapping[str, tuple[tuple[str, Series], ...]]
    """By metric."""
    events: tuple[tuple[str, Event], ...]

    @property
    def targets(self) -> set[str]:
        """Every target that was ever heard of."""
        return {target for many in self.series.values() for target, _ in many} | {target for target, _ in self.events}


class _Line:
    """One series of the input; several entries may name it, each with its own delay."""

    def __init__(self, *, target: str, name: str, tags: Mapping[str, str]) -> None:
        self.target, self.name, self.tags = target, name, tags
        self.coming: list[tuple[datetime, Sample]] = []
        """When each sample arrives, in that order once `sort` was called."""
        self._known: tuple[int, Series | None] = (0, None)

    def sort(self) -> None:
        self.coming.sort(key=lambda one: (one[0], one[1].at, one[1].id))

    def by(self, at: datetime) -> Series | None:
        """The series as it is known then, oldest sample first; None while nothing has come."""
        count = bisect_right(self.coming, at, key=lambda one: one[0])
        if count != self._known[0]:
            samples = sorted((sample for _, sample in self.coming[:count]), key=lambda one: (one.at, one.id))
            self._known = (count, Series(name=self.name, tags=self.tags, samples=tuple(samples)))
        return self._known[1] if count else None

    def arrivals(self, staleness: timedelta) -> Iterator[Arrival]:
        """A sample is late behind a newer one of its series, or after it ceased to count."""
        newest: datetime | None = None
        for arrives_at, sample in self.coming:
            late = (newest is not None and sample.at < newest) or arrives_at - sample.at > staleness
            newest = sample.at if newest is None else max(newest, sample.at)
            yield Arrival(at=arrives_at, target=self.target, tags=self.tags, metric=self.name, late=late)


class Timeline:
    """Everything that comes in during a test."""

    def __init__(self, script: Script, *, target_of: Namer, staleness: timedelta) -> None:
        self._lines = _lines(script.inputs, target_of)
        self._events = tuple(
            (target_of(one.tags), _event(one, number)) for number, one in enumerate(script.events, start=1)
        )
        samples = (arrival for line in self._lines for arrival in line.arrivals(staleness))
        self.arrivals = sorted([*samples, *self._happenings()], key=lambda one: one.at)

    def by(self, at: datetime) -> Seen:
        """What has arrived at `at`."""
        series: dict[str, list[tuple[str, Series]]] = {}
        for line in self._lines:
            known = line.by(at)
            if known is not None:
                series.setdefault(line.name, []).append((line.target, known))
        events = tuple((target, event) for target, event in self._events if event.at <= at)
        return Seen(series={name: tuple(many) for name, many in series.items()}, events=events)

    def _happenings(self) -> Iterator[Arrival]:
        for target, event in self._events:
            yield Arrival(at=event.at, target=target, tags=event.tags, metric=None, late=False)


def _lines(inputs: tuple[Input, ...], target_of: Namer) -> list[_Line]:
    lines: dict[tuple[str, frozenset[tuple[str, str]]], _Line] = {}
    number = 0
    for one in inputs:
        key = (one.name, frozenset(one.tags.items()))
        line = lines.setdefault(key, _Line(target=target_of(one.tags), name=one.name, tags=one.tags))
        for after, value in one.samples:
            number += 1
            sample = Sample(id=number, at=MIDNIGHT + after, value=value)
            line.coming.append((sample.at + one.arrives_after, sample))
    for line in lines.values():
        line.sort()
    return list(lines.values())


def _event(one: Happening, number: int) -> Event:
    return Event(name=one.name, severity=one.severity, tags=one.tags, at=MIDNIGHT + one.at, id=number)
