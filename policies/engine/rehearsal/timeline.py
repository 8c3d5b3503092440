"""What arrives when: from a test's script, or from what was stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from policies.engine.rehearsal.script import Happening, Script
from policies.engine.values import Event, Sample, Series

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
"""When every test begins, so that a time of day in a reason is the time since the beginning."""

type Namer = Callable[[Mapping[str, str]], str]
"""The target that tags name."""


# A tuple, which is made in half the time: a replay makes hundreds of thousands.
class Arrival(NamedTuple):
    """One sample or event at the time it comes in."""

    at: datetime
    target: str
    tags: Mapping[str, str]
    what: Sample | Event
    metric: str | None = None
    """None for an event."""
    series: int = 0
    """Tells the series of a course apart."""
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
    events = (_happening(one, number, target_of) for number, one in enumerate(script.events, start=1))
    samples = (one for series in _by_series(script, target_of) for one in marked(series, staleness=staleness))
    return sorted([*samples, *events], key=time_of)


def marked(samples: Iterable[Arrival], *, staleness: timedelta) -> Iterator[Arrival]:
    """The samples of one series in the order of their coming; late is one behind a newer one, or that came too old."""
    newest: datetime | None = None
    for one in sorted(samples, key=_place):
        measured = one.what.at
        if (newest is not None and measured < newest) or one.at - measured > staleness:
            yield one._replace(late=True)
        else:
            yield one
        newest = measured if newest is None or measured > newest else newest


def time_of(one: Arrival) -> datetime:
    """When it comes."""
    return one.at


def _place(one: Arrival) -> tuple[datetime, datetime, int]:
    return one.at, one.what.at, one.what.id


def _by_series(script: Script, target_of: Namer) -> list[list[Arrival]]:
    """Several entries may name one series, each with its own delay."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], list[Arrival]] = {}
    number = 0
    for one in script.inputs:
        series = found.setdefault((one.name, frozenset(one.tags.items())), [])
        place, target = list(found).index((one.name, frozenset(one.tags.items()))), target_of(one.tags)
        for after, value in one.samples:
            number += 1
            sample = Sample(id=number, at=MIDNIGHT + after, value=value)
            series.append(Arrival(sample.at + one.arrives_after, target, one.tags, sample, one.name, place))
    return list(found.values())


def _happening(one: Happening, number: int, target_of: Namer) -> Arrival:
    event = Event(name=one.name, severity=one.severity, tags=one.tags, at=MIDNIGHT + one.at, id=number)
    return Arrival(event.at, target_of(one.tags), one.tags, event)
