"""What may hold or refuse an action. Pure: facts in, an answer with its reason and numbers out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from actions import breaker
from actions.breaker import Circuit, Position

type Numbers = Mapping[str, object]

LEAST_KNOWN = 5
"""Of fewer known targets no share is taken: one of three is a third, and says nothing."""


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
    fleet: "Fleet | None" = None
    """And what is known of the group that its target belongs to."""


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
class Shares:
    """What share of a fleet may be what, in per cent."""

    at_once: int = 10
    """At most so much of it has a live action at the same time; at least one target may."""
    repaired: int = 30
    """At most so much of it is repaired within `repaired_within`; at least one target may be."""
    repaired_within: timedelta = timedelta(minutes=10)
    min_healthy: int = 51
    """Nothing is ordered while less of it is healthy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fleet:
    """The group of targets that an order's target belongs to, as whoever orders knows it. Fleets are the same when they
    are the same object."""

    name: str
    """Orders that say the same name share its caps."""
    members: frozenset[str]
    """Its known targets."""
    unhealthy: frozenset[str]
    """Those of them that are bad now."""
    shares: Shares = field(default_factory=Shares)

    @property
    def counts(self) -> bool:
        """Whether it is large enough for shares of it to mean something."""
        return len(self.members) >= LEAST_KNOWN

    @property
    def at_once(self) -> int:
        """How many of it may have a live action at the same time."""
        return at_least_one(self.shares.at_once, of=len(self.members))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What is being done to a fleet, and was done to it lately."""

    fleet: Fleet
    live: frozenset[str] = frozenset()
    """Members with a live action, whoever ordered it."""
    repaired: frozenset[str] = frozenset()
    """Members with an effect within `repaired_within`, and those with a live action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Who wants so much at once that all of it is held."""

    scope: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """Until when a target is left to people, and why."""

    until: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the guards look at before an order; each was read in the order's transaction."""

    switch: Switch
    target: str
    storms: tuple[Storm, ...] = ()
    circuit: Circuit = breaker.CLOSED
    """Of the policy."""
    circuit_limits: breaker.Limits = field(default_factory=breaker.Limits)
    cooldown: timedelta = timedelta(0)
    occupant: Occupant | None = None
    last_effect_at: datetime | None = None
    cooldown_until: datetime | None = None
    quarantine: Quarantine | None = None
    rate: Usage | None = None
    rate_per: timedelta = timedelta(minutes=10)
    global_rate: Usage | None = None
    global_rate_per: timedelta = timedelta(minutes=10)
    concurrency: tuple[Usage, ...] = ()
    repairs: Repairs | None = None
    """None when the target belongs to no fleet of which a share can be taken."""


def every(facts: Facts, *, at: datetime) -> dict[str, Answer]:
    """What each guard says, by its name. The order says which reason a person reads first."""
    return {
        "kill_switch": kill_switch(facts.switch),
        "storm": storm(facts.storms),
        "target_busy": target_busy(facts.target, facts.occupant),
        "quarantine": quarantine(facts.target, facts.quarantine, at=at),
        "cooldown": cooldown(facts, at=at),
        "circuit": circuit("this policy's actions", facts.circuit, facts.circuit_limits, at=at),
        "rate": rate(facts.rate, per=facts.rate_per),
        "global_rate": rate(facts.global_rate, per=facts.global_rate_per, guard="global_rate"),
        "concurrency": concurrency(facts.concurrency),
        "blast_radius": blast_radius(facts.target, facts.repairs),
        "healthy_floor": healthy_floor(facts.target, facts.repairs),
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


def storm(storms: tuple[Storm, ...]) -> Answer:
    """Who wanted too much at once does nothing until a person has looked."""
    if not storms:
        return ALLOWED
    first = storms[0]
    return Hold(
        guard="storm",
        reason=f"{first.reason}; everything of {_scope(first.scope)} is held until a person resets it",
        numbers={"scope": first.scope, "since": first.since.isoformat()},
    )


def quarantine(target: str, found: Quarantine | None, *, at: datetime) -> Answer:
    """A target that was repaired too often is left to people."""
    if found is None or found.until <= at:
        return ALLOWED
    why = f" ({found.reason})" if found.reason else ""
    return Hold(
        guard="quarantine",
        reason=f"{target} is in quarantine until {_clock(found.until)}{why}: a person must look, and may lift it",
        numbers={"until": found.until.isoformat()},
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


def circuit(whose: str, found: Circuit, limits: breaker.Limits, *, at: datetime) -> Answer:
    """What keeps failing rests, and then is tried once."""
    until = breaker.next_call_at(found, limits)
    if until is None or until <= at:
        return ALLOWED
    what = "one is tried" if found.position is Position.HALF_OPEN else "none is begun"
    return Hold(
        guard="circuit",
        reason=f"the circuit of {whose} is {found.position.replace('_', '-')} ({found.reason}): {what}, the next one"
        f" may begin at {_clock(until)}",
        numbers={"position": found.position.value, "failures": found.failures, "until": until.isoformat()},
    )


def rate(usage: Usage | None, *, per: timedelta, guard: str = "rate") -> Answer:
    """A policy, and Vigil as a whole, has only so many effects in a span of time."""
    if usage is None or usage.used < usage.cap:
        return ALLOWED
    seconds = int(per.total_seconds())
    return Hold(
        guard=guard,
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


def blast_radius(target: str, found: Repairs | None) -> Answer:
    """Only so much of a fleet is repaired in a span of time: the rest must be there if the repair was the mistake."""
    if found is None or not found.fleet.counts:
        return ALLOWED
    known, shares = len(found.fleet.members | {target}), found.fleet.shares
    cap, used = at_least_one(shares.repaired, of=known), len(found.repaired - {target})
    if used < cap:
        return ALLOWED
    seconds = int(shares.repaired_within.total_seconds())
    return Hold(
        guard="blast_radius",
        reason=f"{used} of {known} targets of fleet {found.fleet.name} were or are repaired within {seconds} s, and at"
        f" most {cap} ({shares.repaired} %) may be",
        numbers={"used": used, "cap": cap, "known": known, "percent": shares.repaired, "within_seconds": seconds},
    )


def healthy_floor(target: str, found: Repairs | None) -> Answer:
    """So much of a fleet must be healthy besides the target; what is being repaired is not."""
    if found is None or not found.fleet.counts:
        return ALLOWED
    fleet = found.fleet
    known = len(fleet.members | {target})
    healthy = len(fleet.members - fleet.unhealthy - found.live - {target})
    floor = -(-fleet.shares.min_healthy * known // 100)
    if healthy >= floor:
        return ALLOWED
    return Hold(
        guard="healthy_floor",
        reason=f"only {healthy} of {known} targets of fleet {fleet.name} are healthy, and {floor}"
        f" ({fleet.shares.min_healthy} %) must be",
        numbers={"healthy": healthy, "floor": floor, "known": known, "percent": fleet.shares.min_healthy},
    )


def repairs_too_often(effects: Sequence[datetime], *, most: int, within: timedelta) -> datetime | None:
    """When the last of `most` effects within such a span came, if there were so many; the newest such moment."""
    times = sorted(effects)
    ends = [last for first, last in zip(times, times[most - 1 :], strict=False) if last - first <= within]
    return max(ends, default=None)


def repaired_reason(count: int, *, within: timedelta) -> str:
    """Why a target is in quarantine after so many repairs."""
    return f"{count} repair{'' if count == 1 else 's'} within {int(within.total_seconds())} s"


def relapsed_reason(count: int, *, policy: str) -> str:
    """Why a target is in quarantine after so many repairs that helped for a while only."""
    return f"bad again soon after {count} repair{'' if count == 1 else 's'} of policy {policy} had helped"


def storm_begins(proposals: int, *, most: int, within: timedelta, who: str) -> str:
    """Why a scope is to be held from now on; "" while it is calm."""
    if proposals <= most:
        return ""
    return f"{who} proposed {proposals} actions within {within.total_seconds():.0f} s, and {most} is taken for a storm"


def fresh(newest_at: datetime | None, *, at: datetime, within: timedelta) -> Answer:
    """What is acted on was measured lately: a late reading may tell of a trouble that is over."""
    if newest_at is not None and at - newest_at <= within:
        return ALLOWED
    seconds = int(within.total_seconds())
    when = "there is no reading" if newest_at is None else f"the newest reading is of {_clock(newest_at)}"
    age = None if newest_at is None else (at - newest_at).total_seconds()
    return Hold(
        guard="stale_data",
        reason=f"{when}, and nothing is done on readings older than {seconds} s",
        numbers={"age_seconds": age, "allowed_seconds": seconds},
    )


def dense(fewest: int | None, *, least: int) -> Answer:
    """A window's number says little when it is made of hardly any readings. None: nothing looks at a window."""
    if fewest is None or fewest >= least:
        return ALLOWED
    return Hold(
        guard="sparse_data",
        reason=f"a window that it was judged by holds fewer than {least} readings",
        numbers={"samples": fewest, "least": least},
    )


def observed(silent: int, known: int, *, percent: int) -> Answer:
    """Many that fall silent at once are a trouble of whoever listens: nothing is done because of silence then."""
    if known < LEAST_KNOWN or silent * 100 < percent * known:
        return ALLOWED
    return Hold(
        guard="blind",
        reason=f"{silent} of {known} known targets are silent, so it may be Vigil that hears nothing: nothing is done"
        f" because of silence while it is {percent} % or more",
        numbers={"silent": silent, "known": known, "percent": percent},
    )


def at_least_one(percent: int, *, of: int) -> int:
    """The share, rounded down, but never none."""
    return max(1, percent * of // 100)


def _scope(scope: str) -> str:
    return "Vigil" if scope == "global" else scope.replace(":", " ", 1)


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
