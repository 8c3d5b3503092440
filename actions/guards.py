"""What may hold or refuse an action. Pure: facts in, an answer with its reason and numbers out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

type Numbers = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a policy allows its actions."""

    cooldown: timedelta | None = None
    """Least time between two effects on one target; None is the installation's default."""
    rate_count: int = 5
    """At most so many effects of the policy within `rate_per`."""
    rate_per: timedelta = timedelta(minutes=10)
    concurrency_group: str = ""
    """Actions that share this name share `concurrency_max`; "" is no group."""
    concurrency_max: int | None = None
    """At most so many at once in the group; None is one when there is a group."""
    max_attempts: int = 3
    deadline: timedelta = timedelta(minutes=15)
    """Counted from the order, or from its approval; no attempt starts after it."""
    approval: timedelta | None = None
    """How long it may wait for somebody's word, where it needs one; None is the installation's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """Whether an action is still wanted, judged on fresh data right before it is sent."""

    wanted: bool
    reason: str
    limits: Limits | None = None
    """What its policy allows now, for the guards that are asked again when it is approved; None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Nothing stands in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Not now: ask again at the next evaluation."""

    guard: str
    reason: str
    numbers: Numbers = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Not this way: somebody has to change something first."""

    guard: str
    reason: str
    numbers: Numbers = field(default_factory=dict)


type Answer = Allow | Hold | Refuse

ALLOWED = Allow()


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The control switch as the guards see it."""

    mode: str
    """active, observe or paused."""
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """A live action on the same target."""

    action_id: int
    kind: str
    status: str
    needs_human: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much of a cap is taken."""

    name: str
    used: int
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the guards look at before an order; each was read in the order's transaction."""

    switch: Switch
    target: str
    cooldown: timedelta = timedelta(0)
    occupant: Occupant | None = None
    last_effect_at: datetime | None = None
    cooldown_until: datetime | None = None
    quarantined_until: datetime | None = None
    rate: Usage | None = None
    rate_per: timedelta = timedelta(minutes=10)
    concurrency: tuple[Usage, ...] = ()


def every(facts: Facts, *, at: datetime) -> dict[str, Answer]:
    """What each guard says, by its name. The order says which reason a person reads first."""
    return {
        "kill_switch": kill_switch(facts.switch),
        "target_busy": target_busy(facts.target, facts.occupant),
        "quarantine": quarantine(facts.target, facts.quarantined_until, at=at),
        "cooldown": cooldown(facts, at=at),
        "rate": rate(facts.rate, per=facts.rate_per),
        "concurrency": concurrency(facts.concurrency),
    }


def check(facts: Facts, *, at: datetime) -> Answer:
    """The first objection, or Allow."""
    answers = every(facts, at=at).values()
    return next((answer for answer in answers if not isinstance(answer, Allow)), ALLOWED)


def kill_switch(switch: Switch) -> Answer:
    """Only an active Vigil acts."""
    if switch.mode == "active":
        return ALLOWED
    why = f": {switch.reason}" if switch.reason else ""
    what = "only observes" if switch.mode == "observe" else "is paused"
    return Hold(
        guard="kill_switch",
        reason=f"Vigil {what} (set by {switch.by or 'nobody known'}{why})",
        numbers={"mode": switch.mode, "by": switch.by},
    )


def target_busy(target: str, occupant: Occupant | None) -> Answer:
    """One live action per target: a second one waits until the first has ended."""
    if occupant is None:
        return ALLOWED
    state = "waits for a person" if occupant.needs_human else f"is {occupant.status}"
    return Hold(
        guard="target_busy",
        reason=f"action {occupant.action_id} ({occupant.kind}) on {target} {state}",
        numbers={"action_id": occupant.action_id, "status": occupant.status, "needs_human": occupant.needs_human},
    )


def quarantine(target: str, until: datetime | None, *, at: datetime) -> Answer:
    """A target that was repaired too often is left to people."""
    if until is None or until <= at:
        return ALLOWED
    return Hold(
        guard="quarantine",
        reason=f"{target} is in quarantine until {_clock(until)}",
        numbers={"until": until.isoformat()},
    )


def cooldown(facts: Facts, *, at: datetime) -> Answer:
    """A target rests between two effects."""
    ends = [facts.cooldown_until] if facts.cooldown_until is not None else []
    if facts.last_effect_at is not None:
        ends.append(facts.last_effect_at + facts.cooldown)
    until = max(ends, default=at)
    if until <= at:
        return ALLOWED
    return Hold(
        guard="cooldown",
        reason=f"cooldown of {facts.target} until {_clock(until)}",
        numbers={"until": until.isoformat(), "cooldown_seconds": facts.cooldown.total_seconds()},
    )


def rate(usage: Usage | None, *, per: timedelta) -> Answer:
    """A policy has only so many effects in a span of time."""
    if usage is None or usage.used < usage.cap:
        return ALLOWED
    seconds = int(per.total_seconds())
    return Hold(
        guard="rate",
        reason=f"{usage.name} has used {usage.used} of {usage.cap} actions in {seconds} s",
        numbers={"used": usage.used, "cap": usage.cap, "per_seconds": seconds},
    )


def concurrency(usages: tuple[Usage, ...]) -> Answer:
    """Only so many at once, in all and in each group."""
    for usage in usages:
        if usage.used >= usage.cap:
            return Hold(
                guard="concurrency",
                reason=f"{usage.used} of {usage.cap} actions at once for {usage.name}",
                numbers={"scope": usage.name, "used": usage.used, "cap": usage.cap},
            )
    return ALLOWED


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
