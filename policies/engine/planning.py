"""The next step of a remedy: a ladder is climbed step by step, each tried once, while the incident is open."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies.engine import durations

ZERO = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderStep:
    """One remedy to try; a policy with a single action is a ladder of one."""

    action: str
    params: Mapping[str, object] = field(default_factory=dict)
    wait: timedelta = ZERO
    """How long after its end the next step may be taken."""
    undone_by: str = ""
    """The action that undoes it once it is known not to have helped; "" for none."""


type Ladder = tuple[LadderStep, ...]


class Effect(enum.StrEnum):
    """How far one ordered action has come."""

    RUNNING = "running"
    """Ordered and not ended yet; also while it needs a person."""
    ASKED = "asked"
    """It waits for somebody's word."""
    DONE = "done"
    """Ended well, and nobody judges whether it helped: it told somebody, or undid a step."""
    UNVERIFIED = "unverified"
    """Ended well; whether it helped is not known yet."""
    EFFECTIVE = "effective"
    INEFFECTIVE = "ineffective"
    RELAPSED = "relapsed"
    UNVERIFIABLE = "unverifiable"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    """It waited for somebody's word, and that was no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of one step of this incident."""

    step: int
    effect: Effect
    ended_at: datetime | None = None
    undoing: bool = False
    """It was no try of the step, but took it back."""
    params: Mapping[str, object] | None = None
    """What it was ordered with, placeholders filled in; None: what the step says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    step: int
    """Place on the ladder, from 0; the part of the action's key that makes it once."""
    what: LadderStep
    reason: str
    undoing: bool = False
    """Take the step back: `what` is the action that undoes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    until: datetime | None = None
    """None when no time is known: something else must happen first."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Nothing is left to try; the incident is exhausted and a person must look."""

    reason: str


type NextStep = Take | Wait | GiveUp

_STILL = {
    Effect.RUNNING: "is not finished yet",
    Effect.ASKED: "is proposed and waits for somebody's word",
    Effect.UNVERIFIED: "is done; whether it helped is being verified",
    Effect.EFFECTIVE: "helped; waiting for the incident to close",
}
_SPENT = {
    Effect.DONE: "was told",
    Effect.INEFFECTIVE: "did not help",
    Effect.RELAPSED: "helped only for a while",
    Effect.UNVERIFIABLE: "could not be verified for want of fresh data",
    Effect.FAILED: "failed",
    Effect.CANCELLED: "was cancelled",
    Effect.REJECTED: "was turned down",
}

_UNDONE = {Effect.DONE: "was undone"}


def next_step(ladder: Ladder, tried: Sequence[Tried], *, at: datetime) -> NextStep:
    """What to do now for an incident that is open at `at`; `tried` holds its actions in any order."""
    if not ladder:
        return GiveUp(reason="the policy has no action")
    if not tried:
        return Take(step=0, what=ladder[0], reason=_taking(ladder, 0))
    last = max((one for one in tried if not one.undoing), key=lambda one: one.step, default=None)
    if last is None:
        return Take(step=0, what=ladder[0], reason=_taking(ladder, 0))
    waiting = next((one for one in (last, *tried) if one.effect in _STILL), None)
    if waiting is not None:
        whose = "the undoing of " if waiting.undoing else ""
        return Wait(reason=f"{whose}{_named(ladder, waiting.step)} {_STILL[waiting.effect]}")
    undoing = next((one for one in tried if one.undoing and one.step == last.step), None)
    return _after(ladder, last, undoing, at)


def _after(ladder: Ladder, last: Tried, undoing: Tried | None, at: datetime) -> NextStep:
    spent = f"{_named(ladder, last.step)} {_SPENT[last.effect]}"
    if undoing is not None:
        spent += f" and {_UNDONE.get(undoing.effect, 'could not be undone')}"
    elif last.effect is Effect.INEFFECTIVE and last.step < len(ladder) and ladder[last.step].undone_by:
        return _undo(ladder[last.step], last, spent)
    following = last.step + 1
    if following >= len(ladder):
        return GiveUp(reason=f"{spent}, and {_nothing_left(ladder)}")
    until = last.ended_at + ladder[last.step].wait if last.ended_at is not None else at
    if at < until:
        left = durations.spell(until - at)
        return Wait(until=until, reason=f"{spent}; {_named(ladder, following)} comes in {left}")
    return Take(step=following, what=ladder[following], reason=f"{spent}; {_taking(ladder, following)}")


def _undo(step: LadderStep, last: Tried, spent: str) -> Take:
    """With the same parameters: what undoes a step is told what the step was told."""
    back = LadderStep(action=step.undone_by, params=step.params if last.params is None else last.params)
    return Take(step=last.step, what=back, reason=f"{spent}; {step.undone_by} undoes it", undoing=True)


def _nothing_left(ladder: Ladder) -> str:
    return "it was the only step" if len(ladder) == 1 else f"it was the last of {len(ladder)} steps"


def _taking(ladder: Ladder, step: int) -> str:
    return f"taking {_named(ladder, step)}"


def _named(ladder: Ladder, step: int) -> str:
    """`restart`, or `restart (step 1 of 3)`; a step that an edit took away keeps its number."""
    action = ladder[step].action if step < len(ladder) else "an earlier action"
    return action if len(ladder) == 1 else f"{action} (step {step + 1} of {len(ladder)})"
