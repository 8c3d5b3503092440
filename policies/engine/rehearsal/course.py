"""The course of events that policies are played against: what comes when, when they are judged, how actions end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.engine.rehearsal import timeline
from policies.engine.rehearsal.script import Script
from policies.engine.rehearsal.stage import World
from policies.engine.rehearsal.timeline import MIDNIGHT, Arrival

type Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of an action."""

    acted_at: datetime | None
    """When it had its effect; None for one that was given up before it began, and so is no try."""
    ended_at: datetime
    succeeds: bool
    settle: timedelta | None = None
    """How long it had to show its effect; None: as long as the policy says."""
    action_id: int | None = None
    """The recorded action; None when it was not ordered then, and how it ends is a guess."""


type Fates = Callable[[str, str, str, datetime], Fate]
"""Of an action ordered by a policy, on a target, of a type, at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """All that does not depend on what the policies do."""

    begins_at: datetime
    """What arrives before is known already; nothing is judged before."""
    ends_at: datetime
    arrivals: Sequence[Arrival]
    """In the order of their coming."""
    sweeps: Sequence[datetime]
    asked: frozenset[datetime] = frozenset()
    """Moments at which somebody looks, even if nothing happens."""
    unwatched: tuple[Stretch, ...] = ()
    """When nothing is judged, as if Vigil were down."""
    fate: Fates
    skims: bool = False
    """Whether a target may be passed over without being judged when it cannot be bad."""


def of_script(script: Script, world: World) -> Course:
    """The course of a test."""
    ends_at = MIDNIGHT + script.ends_at

    def fate(policy: str, target: str, action: str, at: datetime) -> Fate:
        return Fate(acted_at=at, ended_at=at + script.takes, succeeds=script.answer_to(action) != "failed")

    return Course(
        begins_at=MIDNIGHT,
        ends_at=ends_at,
        arrivals=timeline.of_script(script, target_of=world.target_of, staleness=world.staleness),
        sweeps=ticks(MIDNIGHT, ends_at, every=world.sweep_every),
        asked=frozenset(MIDNIGHT + one.at for one in script.expect),
        unwatched=tuple((MIDNIGHT + one.since, MIDNIGHT + one.until) for one in script.unwatched),
        fate=fate,
    )


def ticks(begins_at: datetime, ends_at: datetime, *, every: timedelta) -> list[datetime]:
    """From the beginning on, one after each interval, up to the end."""
    count = max(0, (ends_at - begins_at) // every + 1)
    return [begins_at + number * every for number in range(count)]
