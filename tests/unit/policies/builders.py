"""Small builders with good defaults: target web-01, a sample every 15 s, the newest one now."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from policies.engine import evaluation, language
from policies.engine.values import Event, Outcome, Sample, Series, TargetData, Verdict

NOW = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
STALENESS = timedelta(minutes=5)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def series(name: str, values: Sequence[float], *, every: float = 15, newest: float = 0, **tags: str) -> Series:
    """Values oldest first, `every` seconds apart; the last is `newest` seconds old."""
    last = len(values) - 1
    samples = [
        Sample(id=place, at=ago(newest + every * (last - place)), value=value) for place, value in enumerate(values)
    ]
    return Series(name=name, tags=tags, samples=tuple(samples))


def event(name: str, seconds_ago: float, *, severity: str = "critical", **tags: str) -> Event:
    return Event(name=name, severity=severity, tags=tags, at=ago(seconds_ago), id=int(seconds_ago))


def target(*several: Series, events: Sequence[Event] = ()) -> TargetData:
    by_metric: dict[str, tuple[Series, ...]] = {}
    for one in several:
        by_metric[one.name] = (*by_metric.get(one.name, ()), one)
    return TargetData(target="web-01", series=by_metric, events=tuple(events))


def judge(sentence: str, data: TargetData, *, at: datetime = NOW, was_violated: bool = False) -> Verdict:
    condition = language.parse(sentence)
    return evaluation.evaluate(condition, data, at=at, staleness=STALENESS, was_violated=was_violated)


def outcome(sentence: str, data: TargetData, *, at: datetime = NOW, was_violated: bool = False) -> Outcome:
    return judge(sentence, data, at=at, was_violated=was_violated).outcome


def verdict(kind: Outcome, reason: str = "because") -> Verdict:
    return Verdict(outcome=kind, reason=reason)
