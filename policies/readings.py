"""Stored samples as the engine wants them: one query for each (metrics, window), whatever the number of policies."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.conf import settings

from metrics import queries
from metrics.queries import Among, EventData, SeriesData
from metrics.targets import target_of
from policies import coverage, prometheus
from policies.book import Rule
from policies.engine import globs
from policies.engine.values import Answer, Event, Question, Sample, Series, TargetData

type _Own = tuple[str, tuple[str, ...]]
"""The tags by which a rule tells its targets apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Everything that some rules read, merged: each metric once, with the longest window any of them asks for."""

    metrics: frozenset[str]
    windows: Mapping[timedelta, frozenset[str]]
    events: Mapping[timedelta, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What was read. Rules that name their own target tag see the same series under other targets."""

    series: Mapping[str, tuple[tuple[str, Series], ...]]
    """By metric: (the series' own target, the series)."""
    events: tuple[tuple[str, Event], ...]
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    """What other servers said to the rules' queries."""
    _by_tag: dict[_Own, dict[str, dict[str, tuple[Series, ...]]]] = field(default_factory=dict)
    _events_by_tag: dict[_Own, dict[str, tuple[Event, ...]]] = field(default_factory=dict)

    def of(self, rule: Rule, target: str, *, after: datetime | None = None) -> TargetData:
        """One target's data for one rule; with `after`, only what is newer than that moment."""
        grouped = self._grouped(rule)
        series = {metric: grouped.get(metric, {}).get(target, ()) for metric in rule.needs.metrics}
        events = self._grouped_events(rule).get(target, ()) if rule.needs.events else ()
        answers = {
            question: self.answers[question].about(lambda labels: _target_of(rule, labels) == target)
            for question in rule.needs.questions
            if question in self.answers
        }
        if after is None:
            return TargetData(target=target, series=series, events=events, answers=answers)
        return TargetData(
            target=target,
            series={metric: tuple(_newer(one, after) for one in many) for metric, many in series.items()},
            events=tuple(event for event in events if event.at > after),
            answers=answers,
            since=after,
        )

    def targets_of(self, rule: Rule) -> set[str]:
        """Every target that any metric or event of the rule knows, and that the rule covers."""
        grouped = self._grouped(rule)
        known = {target for metric in rule.needs.metrics for target in grouped.get(metric, ())}
        if rule.needs.events:
            known |= self._grouped_events(rule).keys()
        for question in rule.needs.questions & self.answers.keys():
            known |= {_target_of(rule, one.labels) for one in self.answers[question].results}
        return {target for target in known if rule.covers(target)}

    def _grouped(self, rule: Rule) -> dict[str, dict[str, tuple[Series, ...]]]:
        """By metric, then by target."""
        grouped = self._by_tag.setdefault(_own(rule), {})
        for metric in rule.needs.metrics:
            if metric not in grouped:
                by_target: dict[str, list[Series]] = defaultdict(list)
                for own, series in self.series.get(metric, ()):
                    by_target[rule.target_of(tags=series.tags, target=own)].append(series)
                grouped[metric] = {target: tuple(many) for target, many in by_target.items()}
        return grouped

    def _grouped_events(self, rule: Rule) -> dict[str, tuple[Event, ...]]:
        tag = _own(rule)
        if tag not in self._events_by_tag:
            by_target: dict[str, list[Event]] = defaultdict(list)
            for own, event in self.events:
                by_target[rule.target_of(tags=event.tags, target=own)].append(event)
            self._events_by_tag[tag] = {target: tuple(many) for target, many in by_target.items()}
        return self._events_by_tag[tag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """What was read for some rules, and what was read for the others."""

    some: frozenset[Rule]
    of_some: Data
    of_others: Data

    def of(self, rule: Rule, target: str) -> TargetData:
        """One target's data for one rule."""
        return (self.of_some if rule in self.some else self.of_others).of(rule, target)


def wanted(rules: Collection[Rule], *, beside: Iterable[Rule] = ()) -> Wanted:
    """What to read for these rules; of what they read, as much as those `beside` them do."""
    metrics: dict[str, timedelta] = {}
    events: dict[str, timedelta] = {}
    for rule in (*rules, *beside):
        for name, window in rule.needs.metrics.items():
            metrics[name] = max(metrics.get(name, timedelta(0)), window or timedelta(0))
        for name, span in rule.needs.events.items():
            events[name] = max(events.get(name, timedelta(0)), span)
    mine = {name for rule in rules for name in rule.needs.metrics}
    metrics = {name: span for name, span in metrics.items() if name in mine}
    mine = {name for rule in rules for name in rule.needs.events}
    events = {name: span for name, span in events.items() if name in mine}
    return Wanted(metrics=frozenset(metrics), windows=_by_window(metrics), events=_by_window(events))


def load(
    *,
    rules: Collection[Rule],
    at: datetime,
    targets: Collection[str] | None = None,
    beside: Iterable[Rule] = (),
    looking_back: bool = False,
    back_to: datetime | None = None,
) -> Data:
    """Read everything the rules need up to `at`, for some targets or for all that the rules may be about.

    A metric is read as far back as any of these rules, or of those `beside` them, asks for. `looking_back`: `at` is in
    the past, and what came since is not to be seen. With `back_to` at least everything since then is read.
    """
    if targets is not None and any(rule.regroups for rule in rules):
        targets = None  # such a rule groups series by tags the store does not know as their target
    needed = wanted(rules, beside=beside)
    if back_to is not None and back_to < at:
        needed = replace(needed, windows={**needed.windows, **_all_since(needed, at - back_to)})
    among = coverage.of(rules) if targets is None else queries.EVERYWHERE
    merged = _merge(_read(needed, at=at, targets=targets, among=among, looking_back=looking_back))
    by_metric: dict[str, list[tuple[str, Series]]] = defaultdict(list)
    for own, series in merged:
        by_metric[series.name].append((own, series))
    return Data(
        series={metric: tuple(many) for metric, many in by_metric.items()},
        events=_events(needed, at=at, targets=targets),
        answers=prometheus.ask(
            {question for rule in rules for question in rule.needs.questions}, sources=settings.VIGIL_PROMETHEUS, at=at
        ),
    )


def _all_since(needed: Wanted, span: timedelta) -> dict[timedelta, frozenset[str]]:
    """Every metric over that span, too: what two windows both find is merged."""
    return {span: needed.metrics | needed.windows.get(span, frozenset())}


def _own(rule: Rule) -> _Own:
    return rule.document.target_tag, rule.by


def _target_of(rule: Rule, labels: Mapping[str, str]) -> str:
    return rule.target_of(tags=labels, target=target_of(labels))


def _by_window(spans: Mapping[str, timedelta]) -> dict[timedelta, frozenset[str]]:
    windows: dict[timedelta, set[str]] = defaultdict(set)
    for name, span in spans.items():
        if span:
            windows[span].add(name)
    return {span: frozenset(names) for span, names in windows.items()}


def _read(
    needed: Wanted, *, at: datetime, targets: Collection[str] | None, among: Among, looking_back: bool
) -> list[SeriesData]:
    found: list[SeriesData] = []
    for span, names in needed.windows.items():
        found += queries.window(metrics=names, since=at - span, until=at, targets=targets, among=among)
    if needed.metrics and looking_back:
        found += queries.latest_until(metrics=needed.metrics, until=at, targets=targets, among=among)
    elif needed.metrics:
        found += queries.latest(metrics=needed.metrics, targets=targets, among=among)
    return found


def _merge(found: Iterable[SeriesData]) -> list[tuple[str, Series]]:
    """The newest point of a series comes from both readers, and one that is older than the window only from one."""
    first: dict[int, SeriesData] = {}
    samples: dict[int, dict[int, Sample]] = defaultdict(dict)
    for data in found:
        first.setdefault(data.series_id, data)
        for point in data.points:
            samples[data.series_id][point.id] = Sample(id=point.id, at=point.at, value=point.value)
    return [
        (data.target, Series(name=data.name, tags=data.tags, samples=_ordered(samples[series_id])))
        for series_id, data in first.items()
    ]


def _ordered(samples: Mapping[int, Sample]) -> tuple[Sample, ...]:
    return tuple(sorted(samples.values(), key=lambda sample: (sample.at, sample.id)))


def _events(needed: Wanted, *, at: datetime, targets: Collection[str] | None) -> tuple[tuple[str, Event], ...]:
    return tuple(
        (found.target, _event(found))
        for span, names in needed.events.items()
        for found in queries.events(names=_spelt_out(names, at - span, at), since=at - span, until=at, targets=targets)
    )


def _spelt_out(names: Collection[str], since: datetime, until: datetime) -> Collection[str]:
    """Patterns of event names as the names that there are."""
    patterns = [name for name in names if "*" in name or "?" in name]
    if not patterns:
        return names
    there_are = queries.event_names(since=since, until=until)
    return {*names, *(name for name in there_are if any(globs.matches(pattern, name) for pattern in patterns))}


def _event(found: EventData) -> Event:
    return Event(name=found.name, severity=found.severity, tags=found.tags, at=found.at, id=found.id)


def _newer(series: Series, after: datetime) -> Series:
    return Series(
        name=series.name,
        tags=series.tags,
        samples=tuple(sample for sample in series.samples if sample.at > after),
    )
