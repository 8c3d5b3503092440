"""Which of many policies a new value may trouble, found without asking each of them.

Policies on one metric mostly share a pattern of targets and differ in their thresholds. Sorted once, the thresholds
that a value crosses are found by bisection: a hundred policies cost what a handful cost.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from policies.engine.bounds import Bound, Threshold
from policies.engine.conditions import Comparison


@dataclass(frozen=True, slots=True)
class _Ladder[Member]:
    """Members by their thresholds, lowest first."""

    thresholds: tuple[float, ...] = ()
    members: tuple[Member, ...] = ()

    def until(self, place: Callable[[Sequence[float], float], int], value: float) -> tuple[Member, ...]:
        return self.members[: place(self.thresholds, value)]

    def since(self, place: Callable[[Sequence[float], float], int], value: float) -> tuple[Member, ...]:
        return self.members[place(self.thresholds, value) :]


@dataclass(frozen=True, slots=True)
class Sieve[Member]:
    """The members of one kind, each with the line that a harmless value does not cross, if it has one."""

    members: tuple[Member, ...]
    """All of them, in the order given."""
    plain: int
    """How many have a line: only those can be cleared by a value alone."""
    always: tuple[Member, ...]
    """Those without a line: every value troubles them."""
    _odd: tuple[tuple[Bound, Member], ...]
    _above: _Ladder[Member]
    _at_least: _Ladder[Member]
    _below: _Ladder[Member]
    _at_most: _Ladder[Member]

    calm: tuple[float, float]
    """Between these two, which are no part of it, a value crosses no line."""

    def troubled(self, value: float) -> Sequence[Member]:
        """Those whose line the value crosses, and those that have none; in no order that means anything."""
        if self.calm[0] < value < self.calm[1]:
            return self.always  # as nearly every value: four searches less
        return [
            *self.always,
            *(member for line, member in self._odd if line.broken_by(value)),
            *self._above.until(bisect_left, value),
            *self._at_least.until(bisect_right, value),
            *self._below.since(bisect_right, value),
            *self._at_most.since(bisect_left, value),
        ]


@dataclass(slots=True)
class _Sorting[Member]:
    always: list[Member] = field(default_factory=list)
    odd: list[tuple[Bound, Member]] = field(default_factory=list)
    ladders: dict[Comparison, list[tuple[float, Member]]] = field(default_factory=dict)


def sieve[Member](lines: Iterable[tuple[Member, Bound | None]]) -> Sieve[Member]:
    """Sort members by their lines; a member without one is troubled by every value."""
    given = tuple(lines)
    found = _Sorting[Member]()
    for member, line in given:
        if line is None:
            found.always.append(member)
        elif isinstance(line, Threshold) and line.recover is None and line.comparison in _SORTED:
            found.ladders.setdefault(line.comparison, []).append((line.threshold, member))
        else:
            found.odd.append((line, member))
    ladders = {comparison: _ladder(found, comparison) for comparison in _SORTED}
    return Sieve(
        members=tuple(member for member, _ in given),
        plain=len(given) - len(found.always),
        always=tuple(found.always),
        _odd=tuple(found.odd),
        _above=ladders[Comparison.EXCEEDS],
        _at_least=ladders[Comparison.AT_LEAST],
        _below=ladders[Comparison.BELOW],
        _at_most=ladders[Comparison.AT_MOST],
        calm=_NEVER if found.odd else _calm(ladders),
    )


def _calm[Member](ladders: Mapping[Comparison, _Ladder[Member]]) -> tuple[float, float]:
    over = [*ladders[Comparison.BELOW].thresholds[-1:], *ladders[Comparison.AT_MOST].thresholds[-1:]]
    under = [*ladders[Comparison.EXCEEDS].thresholds[:1], *ladders[Comparison.AT_LEAST].thresholds[:1]]
    return max(over, default=-math.inf), min(under, default=math.inf)


def grouped[Key: Hashable, Member](
    lines: Iterable[tuple[Key, Member, Bound | None]],
) -> dict[Key, Sieve[Member]]:
    """A sieve for the members of each key."""
    sorted_out: dict[Key, list[tuple[Member, Bound | None]]] = {}
    for key, member, line in lines:
        sorted_out.setdefault(key, []).append((member, line))
    return {key: sieve(members) for key, members in sorted_out.items()}


_NEVER = (math.inf, -math.inf)
_SORTED = frozenset({Comparison.EXCEEDS, Comparison.AT_LEAST, Comparison.BELOW, Comparison.AT_MOST})


def _ladder[Member](found: _Sorting[Member], comparison: Comparison) -> _Ladder[Member]:
    rungs = sorted(found.ladders.get(comparison, ()), key=lambda rung: rung[0])
    return _Ladder(tuple(threshold for threshold, _ in rungs), tuple(member for _, member in rungs))
