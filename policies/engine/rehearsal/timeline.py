"""What arrives when: from a test's script, or from what was stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from policies.engine.rehearsal.script import Happening, Script
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
    what: Sample | Event
    late: bool = False
    """It corrects history; nothing is judged on its coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Vigil has stored of a target by some moment, each series and event with the target it belongs to."""

    series: Mapping[str, tuple[tuple[str, Series], ...]]
    """By metric."""
    events: tuple[tuple[str, Event], ...]


def of_script(script: Script, *, target_of: Namer, staleness: timedelta) -> list[Arrival]:
    """Everything that comes in during a test, in the order of its coming."""
    samples = marked(_samples(script, target_of), staleness=staleness)
    events = (_happening(one, number, target_of) for number, one in enumerate(script.events, start=1))
    return sorted([*samples, *events], key=lambda one: one.at)


def marked(samples: Iterable[Arrival], *, staleness: timedelta) -> Iterator[Arrival]:
    """The same in the order of their coming; late is one behind a newer one of its series, or that came too old."""
    newest: dict[tuple[str | None, frozenset[tuple[str, str]]], datetime] = {}
    for one in sorted(samples, key=lambda one: (one.at, one.what.at, one.what.id)):
        key = (one.metric, frozenset(one.tags.items()))
        known = newest.get(key)
        late = (known is not None and one.what.at < known) or one.at - one.what.at > staleness
        newest[key] = one.what.at if known is None else max(known, one.what.at)
        yield _late(one) if late else one


def _late(one: Arrival) -> Arrival:
    return Arrival(at=one.at, target=one.target, tags=one.tags, metric=one.metric, what=one.what, late=True)


def _samples(script: Script, target_of: Namer) -> Iterator[Arrival]:
    number = 0
    for one in script.inputs:
        for after, value in one.samples:
            number += 1
            sample = Sample(id=number, at=MIDNIGHT + after, value=value)
            yield Arrival(
                at=sample.at + one.arrives_after,
                target=target_of(one.tags),
                tags=one.tags,
                metric=one.name,
                what=sample,
            )


def _happening(one: Happening, number: int, target_of: Namer) -> Arrival:
    event = Event(name=one.name, severity=one.severity, tags=one.tags, at=MIDNIGHT + one.at, id=number)
    return Arrival(at=event.at, target=target_of(one.tags), tags=one.tags, metric=None, what=event)
