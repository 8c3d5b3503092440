"""What has arrived by a moment, at hand for each policy and target; it reads as far back as a live Vigil does."""

import math
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies.engine import conditions
from policies.engine.rehearsal.stage import Subject
from policies.engine.rehearsal.timeline import Arrival, Seen
from policies.engine.values import Event, Sample, Series, TargetData


class _Line:
    """One series, with the samples that have come."""

    def __init__(self, arrival: Arrival, name: str, span: timedelta | None) -> None:
        self.target, self.tags, self.name = arrival.target, arrival.tags, name
        self._span = span
        self._samples: list[Sample] = []
        self._known: tuple[int, int, Series | None] = (0, 0, None)

    def take(self, sample: Sample) -> None:
        if not self._samples or _place(sample) >= _place(self._samples[-1]):
            self._samples.append(sample)
        else:
            insort(self._samples, sample, key=_place)
        self._known = (0, 0, None)

    @property
    def newest_at(self) -> datetime:
        return self._samples[-1].at

    def at(self, moment: datetime) -> Series:
        """The samples of the longest window that any policy looks back on, and the newest one however old it is."""
        start = self._newest() if self._span is None else min(self._since(moment - self._span), self._newest())
        count = len(self._samples)
        if self._known[2] is None or self._known[:2] != (start, count):
            series = Series(name=self.name, tags=self.tags, samples=tuple(self._samples[start:]))
            self._known = (start, count, series)
            return series
        return self._known[2]

    def _since(self, moment: datetime) -> int:
        return bisect_right(self._samples, moment, key=_time)

    def _newest(self) -> int:
        """The last sample that is a number: what is none, such as the mark of an end, does not replace it."""
        for place in range(len(self._samples) - 1, -1, -1):
            if not math.isnan(self._samples[place].value):
                return place
        return len(self._samples) - 1


@dataclass(slots=True)
class _Shelf:
    """What one policy looks at, by its own targets."""

    series: dict[str, dict[str, list[_Line]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """By target, then by metric."""
    events: dict[str, list[tuple[str, Event]]] = field(default_factory=lambda: defaultdict(list))

    def heard(self) -> Iterator[tuple[str, Mapping[str, str], datetime]]:
        """Each target with the tags of something it sent, and when the newest of that was."""
        for target, by_metric in self.series.items():
            yield from ((target, line.tags, line.newest_at) for lines in by_metric.values() for line in lines)
        for target, events in self.events.items():
            yield from ((target, event.tags, event.at) for _, event in events)


class Memory:
    """Grows with each arrival."""

    def __init__(self, subjects: Iterable[Subject], *, staleness: timedelta) -> None:
        self.targets: set[str] = set()
        """Every target that was ever heard of."""
        self._subjects = tuple(subjects)
        self._shelves = {subject.name: _Shelf() for subject in self._subjects}
        self._lines: dict[int, _Line] = {}
        self._spans = _spans(self._subjects, staleness)

    def take(self, arrival: Arrival) -> None:
        """Remember it."""
        self.targets.add(arrival.target)
        if isinstance(arrival.what, Event):
            self._take_event(arrival, arrival.what)
        elif arrival.metric is not None:
            self._line(arrival, arrival.metric).take(arrival.what)

    def data_of(self, subject: Subject, target: str, *, at: datetime, after: datetime | None = None) -> TargetData:
        """One target's data for one policy; with `after`, only what is newer than that moment."""
        shelf = self._shelves[subject.name]
        lines = shelf.series.get(target, {})
        series = {metric: tuple(_newer(line.at(at), after) for line in many) for metric, many in lines.items()}
        events = (event for _, event in shelf.events.get(target, ()))
        return TargetData(
            target=target,
            series=series,
            events=tuple(event for event in events if after is None or event.at > after),
            since=after,
        )

    def seen(self, subject: Subject, target: str, *, at: datetime) -> Seen:
        """The same with the target that each series and event belongs to by itself."""
        shelf = self._shelves[subject.name]
        lines = shelf.series.get(target, {})
        return Seen(
            series={metric: tuple((line.target, line.at(at)) for line in many) for metric, many in lines.items()},
            events=tuple(shelf.events.get(target, ())),
        )

    def known(self, subject: Subject) -> set[str]:
        """The targets that a policy covers and any metric or event of it knows."""
        shelf = self._shelves[subject.name]
        return {target for target in {*shelf.series, *shelf.events} if subject.covers(target)}

    def known_by(self, subject: Subject, tag: str, since: datetime) -> dict[str, set[str]]:
        """Those of them that were heard of since, by the value of a tag; without a tag all are one group."""
        shelf = self._shelves[subject.name]
        groups: dict[str, set[str]] = defaultdict(set)
        for target, tags, at in shelf.heard():
            group = tags.get(tag) if tag else ""
            if at >= since and group is not None and subject.covers(target):
                groups[group].add(target)
        return groups

    def _take_event(self, arrival: Arrival, event: Event) -> None:
        for subject in self._subjects:
            if conditions.events_of(subject.condition):
                target = subject.target_of(arrival.tags, arrival.target)
                self._shelves[subject.name].events[target].append((arrival.target, event))

    def _line(self, arrival: Arrival, metric: str) -> _Line:
        line = self._lines.get(arrival.series)
        if line is None:
            line = self._lines[arrival.series] = _Line(arrival, metric, self._spans.get(metric))
            for subject in self._subjects:
                if metric in conditions.metrics_of(subject.condition):
                    target = subject.target_of(arrival.tags, arrival.target)
                    self._shelves[subject.name].series[target][metric].append(line)
        return line


def _spans(subjects: Sequence[Subject], staleness: timedelta) -> Mapping[str, timedelta | None]:
    """By metric, how far back the policies read together; None where the newest sample is enough."""
    spans: dict[str, timedelta | None] = {}
    for subject in subjects:
        for metric, span in conditions.needs(subject.condition, staleness=staleness).metrics.items():
            longest = [one for one in (spans.get(metric), span, subject.looks_back or None) if one is not None]
            spans[metric] = max(longest, default=None)
    return spans


def _newer(series: Series, after: datetime | None) -> Series:
    if after is None:
        return series
    fresh = tuple(sample for sample in series.samples if sample.at > after)
    return Series(name=series.name, tags=series.tags, samples=fresh)


def _place(sample: Sample) -> tuple[datetime, int]:
    return sample.at, sample.id


def _time(sample: Sample) -> datetime:
    return sample.at
