"""What a policy test says: its input, and what is expected at which time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

ZERO = timedelta(0)
COMPLETED, FAILED = "completed", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One series; times count from the beginning of the test."""

    name: str
    tags: Mapping[str, str]
    samples: tuple[tuple[timedelta, float], ...]
    arrives_after: timedelta = ZERO
    """How long each sample is on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event."""

    name: str
    tags: Mapping[str, str]
    severity: str
    at: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From when to when."""

    since: timedelta
    until: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedIncident:
    policy: str
    target: str
    status: Literal["pending", "open", "resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAction:
    action: str
    target: str
    policy: str | None = None
    at: timedelta | None = None
    params: Mapping[str, object] | None = None
    """Filled in; None: whatever they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedHold:
    policy: str
    target: str
    guard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedVerdict:
    policy: str
    target: str
    outcome: Literal["violated", "healthy", "unknown"]
    reason: str | None = None
    """A part of the reason that must be in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What holds at one time. None: nothing is said about it."""

    at: timedelta
    incidents: tuple[ExpectedIncident, ...] | None = None
    actions: tuple[ExpectedAction, ...] | None = None
    held: tuple[ExpectedHold, ...] | None = None
    verdicts: tuple[ExpectedVerdict, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One test."""

    name: str
    inputs: tuple[Input, ...] = ()
    events: tuple[Happening, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    """How actions end, by action type; `*` is all others, and completed when it is not said."""
    takes: timedelta = ZERO
    """How long an action runs."""
    unwatched: tuple[Stretch, ...] = ()
    """When Vigil judges nothing, as if it were down; samples of that time are there afterwards."""
    expect: tuple[Expectation, ...] = ()

    @property
    def ends_at(self) -> timedelta:
        """The last time anything is expected for."""
        return max((one.at for one in self.expect), default=ZERO)

    def answer_to(self, action: str) -> str:
        """How an action of this type ends: completed or failed."""
        return self.answers.get(action, self.answers.get("*", COMPLETED))
