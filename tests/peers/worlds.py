"""Random worlds of samples from a seed, the same for Vigil and for Prometheus: gaps, resets, staleness, late starts."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from policies.engine.values import Sample, Series, TargetData

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LENGTH = 2400
"""Seconds of a world."""
STALE = math.nan
"""What a staleness marker is to Vigil: a sample that is no number."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series of a world; a marker has no value."""

    metric: str
    tags: dict[str, str]
    points: tuple[tuple[int, float | None], ...]

    @property
    def name(self) -> str:
        """As Prometheus writes it."""
        return f"{self.metric}{{{','.join(f'{name}="{value}"' for name, value in self.tags.items())}}}"

    @property
    def values(self) -> str:
        """promtool's notation, one place for each second."""
        pieces, place = [], 0
        for second, value in self.points:
            if second > place:
                pieces.append(f"_x{second - place}")
            pieces.append("stale" if value is None else repr(value).replace("nan", "NaN"))
            place = second + 1
        return " ".join(pieces)

    @cached_property
    def series(self) -> Series:
        samples = (
            Sample(id=second, at=EPOCH + timedelta(seconds=second), value=STALE if value is None else value)
            for second, value in self.points
        )
        return Series(name=self.metric, tags=self.tags, samples=tuple(samples))


@dataclass(frozen=True, kw_only=True)
class World:
    lines: tuple[Line, ...]

    @cached_property
    def targets(self) -> dict[str, TargetData]:
        found: dict[str, dict[str, tuple[Series, ...]]] = {}
        for line in self.lines:
            metrics = found.setdefault(line.tags["target"], {})
            metrics[line.metric] = (*metrics.get(line.metric, ()), line.series)
        return {name: TargetData(target=name, series=metrics) for name, metrics in found.items()}


TAGS = (
    {"target": "t1", "zone": "z1", "path": "a"},
    {"target": "t1", "zone": "z2", "path": "b"},
    {"target": "t2", "zone": "z1", "path": "a"},
    {"target": "t2", "zone": "z2", "path": "b"},
)


def world(seed: int) -> World:
    """Five metrics, on two to four series each."""
    chance = random.Random(seed)
    lines: list[Line] = []
    for metric, walk in _WALKS.items():
        for tags in chance.sample(TAGS, k=chance.choice((2, 3, 4))):
            lines.append(Line(metric=metric, tags=tags, points=tuple(_points(chance, walk))))
    return World(lines=tuple(lines))


def _points(
    chance: random.Random, walk: "Callable[[random.Random], Iterator[float]]"
) -> Iterator[tuple[int, float | None]]:
    every = chance.choice((10, 15, 30, 60))
    start = chance.choice((0, 0, chance.randrange(600)))
    end = chance.choice((LENGTH, LENGTH, LENGTH - chance.randrange(900)))
    jitter = chance.choice((0, 2))
    resumes = 0
    values = walk(chance)
    for due in range(start, end, every):
        if due < resumes:
            continue
        second = due + (chance.randint(0, jitter) if jitter else 0)
        yield second, next(values)
        if chance.random() < 0.03:
            resumes = second + chance.choice((90, 240, 420, 700))
            if chance.random() < 0.5 and every > jitter + 1:
                yield second + jitter + 1, None
    if end < LENGTH and chance.random() < 0.5:
        yield end + jitter + 1, None


def _gauge(chance: random.Random) -> Iterator[float]:
    value = chance.uniform(20, 80)
    while True:
        value = min(100.0, max(0.0, value + chance.gauss(0, 8)))
        yield round(value, 2)


def _counter(chance: random.Random) -> Iterator[float]:
    value = chance.choice((0.0, 5.0, 1000.0))
    busy = chance.uniform(0.5, 20)
    while True:
        if chance.random() < 0.02:
            value = float(chance.choice((0, 0, 3)))
        else:
            value += float(round(chance.expovariate(1 / busy)))
        yield value


def _slow_counter(chance: random.Random) -> Iterator[float]:
    """Often stands still for minutes, so that its rate is a denominator of zero."""
    value, moves = float(chance.randrange(5)), True
    while True:
        moves = moves if chance.random() > 0.05 else not moves
        value = float(chance.randrange(3)) if chance.random() < 0.01 else value + (chance.randrange(9) if moves else 0)
        yield value


def _holed_gauge(chance: random.Random) -> Iterator[float]:
    for value in _gauge(chance):
        yield math.nan if chance.random() < 0.04 else value


_WALKS: "dict[str, Callable[[random.Random], Iterator[float]]]" = {
    "load": _gauge,
    "queue": _gauge,
    "requests": _counter,
    "errors": _slow_counter,
    "holed": _holed_gauge,
}
