"""Whether two policies can fight over a target: the one does what the other undoes, or they pull opposite ways."""

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from policies.engine import conditions, globs, targets
from policies.engine.conditions import Compare, Comparison, Condition, Not

type Pairs = Collection[frozenset[str]]
"""Action types that undo each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A step that does something to the target; a page is none."""

    action: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What of a policy matters."""

    name: str
    target: str
    condition: Condition
    deeds: Sequence[Deed]


class Pull(enum.Enum):
    """Which way a condition wants its metric to go."""

    DOWN = "down"
    UP = "up"


_PULLS = {
    Comparison.EXCEEDS: Pull.DOWN,
    Comparison.AT_LEAST: Pull.DOWN,
    Comparison.BELOW: Pull.UP,
    Comparison.AT_MOST: Pull.UP,
}
_OTHER_WAY = {Pull.DOWN: Pull.UP, Pull.UP: Pull.DOWN}


def between(one: Side, other: Side, *, pairs: Pairs) -> str:
    """How the two can fight, in one sentence about `other`; "" when they cannot."""
    if not one.deeds or not other.deeds or not overlap(one.target, other.target):
        return ""
    found = _undoing(one, other, pairs) or _opposite(one, other)
    return f"{other.name} covers some of the same targets ({other.target}) and {found}" if found else ""


def overlap(one: str, other: str) -> bool:
    """Whether some target fits both patterns."""
    if one in targets.EVERYTHING or other in targets.EVERYTHING:
        return True
    return globs.meet(one, other)


def _undoing(one: Side, other: Side, pairs: Pairs) -> str:
    for mine in one.deeds:
        for theirs in other.deeds:
            if frozenset((mine.action, theirs.action)) in pairs and mine.action != theirs.action:
                return f"orders {theirs.action}, which undoes {mine.action}"
            if mine.action == theirs.action and dict(mine.params) != dict(theirs.params):
                return f"orders {theirs.action} with other parameters"
    return ""


def _opposite(one: Side, other: Side) -> str:
    mine, theirs = pulls(one.condition), pulls(other.condition)
    for metric in sorted(mine.keys() & theirs.keys()):
        for pull in mine[metric]:
            if _OTHER_WAY[pull] in theirs[metric]:
                low, high = ("low", "high") if pull is Pull.DOWN else ("high", "low")
                return f"acts when {metric} is too {low}, while this one acts when it is too {high}"
    return ""


def pulls(condition: Condition) -> dict[str, set[Pull]]:
    """By metric, which way it must go for the condition to become healthy; only plain comparisons say so."""
    found: dict[str, set[Pull]] = {}
    for metric, pull in _pulls(condition, turned=False):
        found.setdefault(metric, set()).add(pull)
    return found


def _pulls(condition: Condition, *, turned: bool) -> Iterator[tuple[str, Pull]]:
    """`turned` below an odd number of `not`."""
    if isinstance(condition, Compare) and condition.comparison in _PULLS:
        pull = _PULLS[condition.comparison]
        yield condition.measure.metric, _OTHER_WAY[pull] if turned else pull
    for child in conditions.children(condition):
        yield from _pulls(child, turned=turned != isinstance(condition, Not))
