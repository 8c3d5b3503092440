"""Why a condition answers as it does: every part of it with its own verdict, and what each comparison looked at.

The parts are judged by the same functions as the whole, so a trace cannot tell another story than the verdict.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies.engine import conditions, evaluation, globs, measuring, sentences
from policies.engine.conditions import Absent, Anomaly, Condition, EventMatches, Forecast, Measure, Not, PromQL
from policies.engine.tags import TagMatcher
from policies.engine.values import Answer, Event, Question, Sample, Series, TargetData, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was read of one series: the samples that had a say, oldest first; none when it has none in the window."""

    series: Series
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One part of a condition, judged."""

    condition: Condition
    verdict: Verdict
    parts: tuple["Trace", ...] = ()
    looked: tuple[Looked, ...] = ()
    """Only where a metric is looked at: a part that joins others has looked at nothing itself."""
    events: tuple[Event, ...] = ()
    answers: Mapping[Question, Answer] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The part as people write it."""
        return sentences.to_sentence(self.condition)

    def leaves(self) -> Iterable["Trace"]:
        """The comparisons, in the order in which they are written."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


def trace(
    condition: Condition, data: TargetData, *, at: datetime, staleness: timedelta, was_violated: bool = False
) -> Trace:
    """The whole condition judged as `evaluation.evaluate` does, and every part of it beside that."""
    verdict = evaluation.evaluate(condition, data, at=at, staleness=staleness, was_violated=was_violated)
    return _trace(condition, verdict, data, at=at, staleness=staleness, was_violated=was_violated)


def _trace(
    condition: Condition,
    verdict: Verdict,
    data: TargetData,
    *,
    at: datetime,
    staleness: timedelta,
    was_violated: bool,
) -> Trace:
    inside = not was_violated if isinstance(condition, Not) else was_violated
    parts = tuple(
        _trace(
            part,
            evaluation.evaluate_part(part, data, at=at, staleness=staleness, was_violated=inside),
            data,
            at=at,
            staleness=staleness,
            was_violated=inside,
        )
        for part in conditions.children(condition)
    )
    return Trace(
        condition=condition,
        verdict=verdict,
        parts=parts,
        looked=tuple(_looked(condition, data, at)),
        events=tuple(_events(condition, data, at)),
        answers=_answers(condition, data),
    )


def _looked(node: Condition, data: TargetData, at: datetime) -> Iterable[Looked]:
    for measure in conditions.measures_of(node):
        yield from _of_measure(measure, data, at)
    match node:
        case Forecast():
            yield from _of_window(node.metric, node.tags, data, since=at - node.window, until=at)
        case Anomaly():
            yield from _of_window(node.metric, node.tags, data, since=None, until=at)
        case Absent():
            for series in measuring.selected(node.metric, node.tags, data):
                yield Looked(series=series, samples=_last(measuring.newest_number(series, at)))
        case _:
            return


def _of_measure(measure: Measure, data: TargetData, at: datetime) -> Iterable[Looked]:
    if measure.window is not None and measure.aggregate is not None:
        yield from _of_window(measure.metric, measure.tags, data, since=at - measure.window, until=at)
        return
    for series in measuring.selected(measure.metric, measure.tags, data):
        yield Looked(series=series, samples=_last(measuring.newest(series, at)))


def _of_window(
    metric: str, tags: Sequence[TagMatcher], data: TargetData, *, since: datetime | None, until: datetime
) -> Iterable[Looked]:
    for series in measuring.selected(metric, tags, data):
        first = 0 if since is None else measuring.until(series.samples, since)
        yield Looked(series=series, samples=series.samples[first : measuring.until(series.samples, until)])


def _last(sample: Sample | None) -> tuple[Sample, ...]:
    return () if sample is None else (sample,)


def _events(node: Condition, data: TargetData, at: datetime) -> Iterable[Event]:
    """Those that count and those that take others back."""
    if not isinstance(node, EventMatches):
        return
    names = conditions.event_names(node)
    for event in data.events:
        if at - node.window < event.at <= at and any(globs.matches(name, event.name) for name in names):
            yield event


def _answers(node: Condition, data: TargetData) -> Mapping[Question, Answer]:
    if not isinstance(node, PromQL) or node.question not in data.answers:
        return {}
    return {node.question: data.answers[node.question]}
