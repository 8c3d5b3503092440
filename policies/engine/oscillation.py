"""Two remedies that undo each other's work on one target again and again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

type Pairs = Collection[frozenset[str]]
"""Action types that undo each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`effects` that alternate within `within`; less than 3 effects are no alternation, and never freeze."""

    effects: int
    within: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One action that a policy had on the target."""

    action_id: int
    policy: str
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Oscillation:
    """They took turns."""

    effects: tuple[Effect, ...]
    """Oldest first."""

    @property
    def policies(self) -> tuple[str, ...]:
        """Whose actions they were, by name."""
        return tuple(sorted({one.policy for one in self.effects}))

    @property
    def span(self) -> timedelta:
        """From the first to the last."""
        return self.effects[-1].at - self.effects[0].at

    @property
    def reason(self) -> str:
        """In one sentence."""
        turns = ", ".join(f"{one.kind} by {one.policy}" for one in self.effects)
        return f"{len(self.effects)} effects took turns within {self.span.total_seconds():.0f} s: {turns}"


def find(effects: Sequence[Effect], limits: Limits, *, pairs: Pairs, at: datetime) -> Oscillation | None:
    """The oscillation that the newest effects on one target are, if they are one by `at`."""
    if limits.effects < 3:
        return None
    since = at - limits.within
    newest = sorted((one for one in effects if one.at > since), key=lambda one: (one.at, one.action_id))
    newest = newest[-limits.effects :]
    if len(newest) < limits.effects:
        return None
    alternate = _alternate([one.policy for one in newest]) or _opposed([one.kind for one in newest], pairs)
    return Oscillation(effects=tuple(newest)) if alternate else None


def _alternate(words: Sequence[str]) -> bool:
    """A, B, A, B, ...: each is the one before the last again, and they are two."""
    return words[0] != words[1] and all(one == before for one, before in zip(words[2:], words, strict=False))


def _opposed(kinds: Sequence[str], pairs: Pairs) -> bool:
    return frozenset(kinds[:2]) in pairs and _alternate(kinds)
