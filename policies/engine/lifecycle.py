"""The life of an incident as a pure machine: a state, a verdict and a time in; the next state and what happened out."""

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from policies.engine import durations, flapping
from policies.engine.flapping import History
from policies.engine.values import Outcome, Verdict

ZERO = timedelta(0)


class Status(enum.StrEnum):
    NONE = "none"
    PENDING = "pending"
    OPEN = "open"


class OnNoData(enum.StrEnum):
    """What an unknown verdict does to the incident of a policy."""

    KEEP = "keep"
    OPEN = "open"
    RESOLVE = "resolve"


class Transition(enum.StrEnum):
    PENDED = "pended"
    OPENED = "opened"
    FORGOTTEN = "forgotten"
    """A pending incident ended before anybody was told."""
    RESOLVED = "resolved"
    RESOLVED_UNVERIFIED = "resolved_unverified"
    """Closed because data stopped, which proves nothing: never counts as healed."""


class Flap(enum.StrEnum):
    """Entry into flapping and exit from it; each is announced once, and what happens in between is not."""

    BEGAN = "began"
    ENDED = "ended"


_TOLD = (Transition.OPENED, Transition.RESOLVED, Transition.RESOLVED_UNVERIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentState:
    """What must be remembered of one policy on one target between two evaluations."""

    status: Status = Status.NONE
    since: datetime | None = None
    """When the violation began, moved forward by time that may not count toward `for`."""
    opened_at: datetime | None = None
    healthy_since: datetime | None = None
    """Set while an open incident is healthy but kept open."""
    last_evaluated_at: datetime | None = None
    """Of this policy; without an incident give the policy's own time, or None for a new policy."""
    grace_until: datetime | None = None
    history: History = flapping.NOTHING
    """How incidents of the policy on this target came and went; outlives each of them."""

    @property
    def at_rest(self) -> bool:
        """Is there nothing to remember of this target, apart from when the policy was last evaluated?"""
        return self.status is Status.NONE and self.history == flapping.NOTHING

    @property
    def flapping(self) -> bool:
        """Does it open and close all the time?"""
        return self.history.flapping

    @property
    def was_violated(self) -> bool:
        """What to pass to `evaluate`: whether `recover` applies."""
        return self.status is not Status.NONE and self.healthy_since is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    hold_for: timedelta = ZERO
    keep_open_for: timedelta = ZERO
    on_no_data: OnNoData = OnNoData.KEEP
    max_gap: timedelta = timedelta(seconds=30)
    """Longer than this without an evaluation is a gap; two sweep intervals."""
    grace: timedelta = timedelta(seconds=120)
    """How long nothing is ordered after a gap."""
    flap: flapping.Limits = field(default_factory=flapping.Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    state: IncidentState
    transition: Transition | None = None
    reason: str
    in_grace_until: datetime | None = None
    """Nothing may be ordered before this time, because Vigil has just come back from a gap."""
    result: bool | None = None
    """Whether the incident is open, where this evaluation said so; None when it gave no result."""
    flap: Flap | None = None

    @property
    def announces(self) -> bool:
        """Are people told? While an incident flaps only once when it begins and once when it ends."""
        return self.flap is not None or (self.transition in _TOLD and not self.state.flapping)

    @property
    def may_act(self) -> bool:
        """May a remedy be ordered now, as far as the life of the incident goes?"""
        bad = self.state.status is Status.OPEN and self.state.healthy_since is None
        return bad and not self.state.flapping and self.in_grace_until is None


def advance(state: IncidentState, verdict: Verdict, at: datetime, timings: Timings) -> Step:
    """The next state after one evaluation at `at`; never raises, changes nothing."""
    grace = grace_until(state.last_evaluated_at, at=at, timings=timings) or state.grace_until
    grace = grace if grace is not None and at < grace else None
    counted = _without(state, _uncounted(state, verdict, at, timings), at)
    step = _judge(replace(counted, grace_until=grace), verdict, at, timings)
    step = replace(step, state=replace(step.state, last_evaluated_at=at), in_grace_until=grace)
    return _watched(state, step, at, timings, is_result=_is_result(verdict, step, timings))


def _is_result(verdict: Verdict, step: Step, timings: Timings) -> bool:
    """Does this evaluation say whether the incident is open? Without data only where the policy says what follows."""
    known = verdict.outcome is not Outcome.UNKNOWN or timings.on_no_data is OnNoData.OPEN
    return known or step.transition is not None


def _watched(before: IncidentState, step: Step, at: datetime, timings: Timings, *, is_result: bool) -> Step:
    """The same step with its result remembered, and with what that means for flapping."""
    result = step.state.status is Status.OPEN if is_result else None
    was_open = before.status is Status.OPEN
    history = flapping.after(before.history, was_open=was_open, is_open=result, at=at, limits=timings.flap)
    flap = flap_between(before.history, history)
    return replace(step, state=replace(step.state, history=history), result=result, flap=flap)


def flap_between(before: History, after: History) -> Flap | None:
    """What is to be announced when one history follows on the other."""
    if after.flapping is before.flapping:
        return None
    return Flap.BEGAN if after.flapping else Flap.ENDED


def failed(state: IncidentState, error: str) -> Step:
    """The step of an evaluation that could not be made: nothing changes, not even when it was last evaluated."""
    return Step(state=state, reason=f"could not be judged: {error}", in_grace_until=state.grace_until)


def _uncounted(state: IncidentState, verdict: Verdict, at: datetime, timings: Timings) -> timedelta:
    """Time since the last evaluation that proves nothing: a gap, or a stretch that ended without data."""
    if state.last_evaluated_at is None:
        return ZERO
    passed = max(ZERO, at - state.last_evaluated_at)
    blind = verdict.outcome is Outcome.UNKNOWN and timings.on_no_data is OnNoData.KEEP
    return passed if blind or passed > timings.max_gap else ZERO


def grace_until(last_evaluated_at: datetime | None, *, at: datetime, timings: Timings) -> datetime | None:
    """When the grace period ends that a gap before `at` starts; None when there was no gap (or nothing before)."""
    if last_evaluated_at is None or at - last_evaluated_at <= timings.max_gap:
        return None
    return at + timings.grace


def grace_reason(until: datetime) -> str:
    """Why nothing is ordered before that time."""
    return f"Nothing is ordered until {until:%H:%M:%S}, as the policy was not evaluated for a while."


def _without(state: IncidentState, lost: timedelta, at: datetime) -> IncidentState:
    """The same state as if `lost` had not passed; a clock that was set back starts the count afresh."""
    return replace(
        state,
        since=None if state.since is None else min(state.since + lost, at),
        healthy_since=None if state.healthy_since is None else min(state.healthy_since + lost, at),
    )


def _judge(state: IncidentState, verdict: Verdict, at: datetime, timings: Timings) -> Step:
    match verdict.outcome:
        case Outcome.VIOLATED:
            return _violated(state, verdict.reason, at, timings)
        case Outcome.HEALTHY:
            return _healthy(state, verdict.reason, at, timings)
        case Outcome.UNKNOWN:
            return _unknown(state, verdict.reason, at, timings)
        case _:
            assert_never(verdict.outcome)


def _violated(state: IncidentState, reason: str, at: datetime, timings: Timings) -> Step:
    if state.status is Status.OPEN:
        return Step(state=replace(state, healthy_since=None), reason=f"still violated: {reason}")
    since = at if state.since is None else state.since
    if at - since >= timings.hold_for:
        opened = replace(state, status=Status.OPEN, since=since, opened_at=at, healthy_since=None)
        return Step(state=opened, transition=Transition.OPENED, reason=_opening(reason, timings.hold_for))
    pending = replace(state, status=Status.PENDING, since=since)
    progress = f"{reason}, for {durations.spell(at - since)} of {durations.spell(timings.hold_for)}"
    began = Transition.PENDED if state.status is Status.NONE else None
    return Step(state=pending, transition=began, reason=progress)


def _opening(reason: str, hold_for: timedelta) -> str:
    return f"{reason} for {durations.spell(hold_for)}" if hold_for else reason


def _healthy(state: IncidentState, reason: str, at: datetime, timings: Timings) -> Step:
    if state.status is Status.NONE:
        return Step(state=state, reason=reason)
    if state.status is Status.PENDING:
        return Step(state=_cleared(state), transition=Transition.FORGOTTEN, reason=reason)
    healthy_since = at if state.healthy_since is None else state.healthy_since
    if at - healthy_since >= timings.keep_open_for:
        return Step(state=_cleared(state), transition=Transition.RESOLVED, reason=reason)
    end = healthy_since + timings.keep_open_for
    kept = replace(state, healthy_since=healthy_since)
    return Step(state=kept, reason=f"{reason}; kept open until {end:%H:%M:%S}")


def _unknown(state: IncidentState, reason: str, at: datetime, timings: Timings) -> Step:
    if timings.on_no_data is OnNoData.OPEN:
        return _violated(state, f"no data counts as violated: {reason}", at, timings)
    if state.status is Status.NONE:
        return Step(state=state, reason=reason)
    if timings.on_no_data is OnNoData.RESOLVE:
        ended = Transition.FORGOTTEN if state.status is Status.PENDING else Transition.RESOLVED_UNVERIFIED
        return Step(state=_cleared(state), transition=ended, reason=f"closed without proof, as data stopped: {reason}")
    return Step(state=state, reason=f"unchanged for want of data: {reason}")


def _cleared(state: IncidentState) -> IncidentState:
    return IncidentState(
        last_evaluated_at=state.last_evaluated_at,
        grace_until=state.grace_until,
        history=state.history,
    )
