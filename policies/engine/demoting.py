"""When a policy has lost the right to act as it does: k of its last n verified actions did not help for good."""

from collections.abc import Sequence
from dataclasses import dataclass

BAD = frozenset({"ineffective", "relapsed"})
JUDGED = ("effective", *sorted(BAD))
"""What counts as verified; what could not be verified says nothing for it or against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Demoted at `bad` of the last `of`; 0 never demotes."""

    bad: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What fresh data said of one action."""

    action_id: int
    verification: str

    @property
    def bad(self) -> bool:
        """It did not help, or only for a while."""
        return self.verification in BAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The reason for a demotion."""

    evidence: tuple[Judged, ...]
    """The actions that were counted, newest first."""

    @property
    def bad(self) -> int:
        """How many of them were bad."""
        return sum(one.bad for one in self.evidence)

    @property
    def reason(self) -> str:
        """In one sentence."""
        return f"{self.bad} of its last {len(self.evidence)} verified actions did not help, or only for a while"


def case(newest_first: Sequence[Judged], limits: Limits) -> Case | None:
    """The case against the policy, or None. Less than `of` actions are enough when `bad` of them are bad already."""
    counted = tuple(newest_first[: limits.of])
    bad = sum(one.bad for one in counted)
    return Case(evidence=counted) if limits.bad and bad >= limits.bad else None


def below(mode: str, order: Sequence[str]) -> str:
    """The next mode that does less by itself, of modes in the order of what they do; the first stays."""
    return order[max(0, list(order).index(mode) - 1)]
