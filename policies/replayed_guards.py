"""The guards of a live order, asked in a rehearsal or a replay: the facts are the deeds so far instead of rows."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings

from actions import breaker, circuits, guards
from actions.breaker import Circuit, Result
from actions.guards import Fleet, Limits, Quarantine, Repairs, Storm, Usage
from actions.quarantines import RELAPSES_WITHIN
from actions.states import Status
from policies import fleets
from policies.book import Rule
from policies.engine.lifecycle import Status as IncidentStatus
from policies.engine.lifecycle import Transition
from policies.engine.planning import Effect
from policies.engine.rehearsal.stage import Deed, Scene, Stopped, Turn
from policies.muting.common_causes import KNOWN_WITHIN

GLOBAL = "global"
_AT_THE_DOOR = frozenset(
    guards.every(guards.Facts(switch=guards.Switch(mode=""), target=""), at=datetime.max.replace(tzinfo=UTC))
)
"""What only guards say: a wish that was held by anything else never was a proposal."""


def ask(rule: Rule, scene: Scene, rules: Mapping[str, Rule]) -> Stopped | None:
    """What the guards of a live order say; `rules` are those that deeds are of."""
    answer = guards.check(_facts(rule, scene, rules), at=scene.at)
    return None if isinstance(answer, guards.Allow) else Stopped(guard=answer.guard, reason=answer.reason)


def _facts(rule: Rule, scene: Scene, rules: Mapping[str, Rule]) -> guards.Facts:
    limits, target, deeds, at = rule.limits, scene.target, scene.deeds, scene.at
    cooldown = limits.cooldown
    if cooldown is None:
        cooldown = timedelta(seconds=settings.VIGIL_DEFAULT_COOLDOWN_SECONDS)
    per = timedelta(seconds=settings.VIGIL_GLOBAL_RATE_SECONDS)
    repairs = _repairs(rule, scene)
    return guards.Facts(
        switch=guards.Switch(mode="active"),
        target=target,
        storms=tuple(storms(rule, scene)),
        circuit=circuit(rule, deeds, at),
        circuit_limits=circuits.policy_limits(),
        cooldown=cooldown,
        occupant=_occupant(target, deeds, at),
        last_effect_at=_last_effect(target, deeds, since=at - cooldown, at=at),
        quarantine=_quarantine(rule, scene),
        rate=Usage(
            name=f"policy {rule.name}",
            used=sum(deed.policy == rule.name and _counts(deed, since=at - limits.rate_per) for deed in deeds),
            cap=limits.rate_count,
        ),
        rate_per=limits.rate_per,
        global_rate=Usage(
            name="Vigil",
            used=sum(_counts(deed, since=at - per) for deed in deeds),
            cap=int(settings.VIGIL_GLOBAL_RATE_COUNT),
        ),
        global_rate_per=per,
        concurrency=_at_once(limits, deeds, rules, repairs),
        repairs=repairs,
    )


def _counts(deed: Deed, *, since: datetime) -> bool:
    """Does it count against a rate: it had its effect lately, or it waits for it?"""
    return deed.runs if deed.acted_at is None else deed.acted_at > since


def _last_effect(target: str, deeds: Sequence[Deed], *, since: datetime, at: datetime) -> datetime | None:
    return max((one for one in _effects(target, deeds, at) if since < one), default=None)


def _effects(target: str, deeds: Sequence[Deed], at: datetime) -> list[datetime]:
    acted = (deed.acted_at for deed in deeds if deed.target == target)
    return [one for one in acted if one is not None and one <= at]


def _occupant(target: str, deeds: Sequence[Deed], at: datetime) -> guards.Occupant | None:
    running = next((deed for deed in deeds if deed.target == target and deed.runs), None)
    if running is None:
        return None
    begun = running.acted_at is not None and running.acted_at <= at
    status = Status.RUNNING if begun else Status.PENDING
    return guards.Occupant(
        action_id=running.number if running.action_id is None else running.action_id,
        kind=running.action,
        status=status,
    )


def _at_once(
    limits: Limits, deeds: Sequence[Deed], rules: Mapping[str, Rule], repairs: Repairs | None
) -> tuple[Usage, ...]:
    running = [deed for deed in deeds if deed.runs]
    usages = [Usage(name="all of Vigil", used=len(running), cap=int(settings.VIGIL_GLOBAL_CONCURRENCY))]
    if limits.concurrency_group:
        group = limits.concurrency_group
        used = sum(rules[deed.policy].limits.concurrency_group == group for deed in running)
        usages.append(Usage(name=f"group {group}", used=used, cap=limits.concurrency_max or 1))
    elif repairs is not None:
        fleet = repairs.fleet
        usages.append(Usage(name=f"fleet {fleet.name}", used=len(repairs.live), cap=fleet.at_once))
    return tuple(usages)


def _repairs(rule: Rule, scene: Scene) -> Repairs | None:
    by = rule.brake.group_by
    group = scene.incident.tags.get(by) if by else ""
    if group is None:
        return None
    members = frozenset(scene.known(by, scene.at - KNOWN_WITHIN).get(group, ()))
    if len(members) < guards.LEAST_KNOWN:
        return None
    bad = {
        target
        for (policy, target), one in scene.live.items()
        if policy == rule.name and one.state.status is IncidentStatus.OPEN
    } | {target for policy, target in scene.together if policy == rule.name}
    since = scene.at - rule.shares.repaired_within
    return Repairs(
        fleet=Fleet(name=fleets.name_of(rule, group), members=members, unhealthy=members & bad, shares=rule.shares),
        live=members & {deed.target for deed in scene.deeds if deed.runs},
        repaired=members & {deed.target for deed in scene.deeds if deed.runs or _counts(deed, since=since)},
    )


def circuit(rule: Rule, deeds: Sequence[Deed], at: datetime) -> Circuit:
    """Where the policy's circuit stood, as `actions.circuits` sees it from rows."""
    known = circuits.policy_limits()
    own = [deed for deed in reversed(deeds) if deed.policy == rule.name]
    ended = {Effect.FAILED: False, Effect.INEFFECTIVE: False, Effect.EFFECTIVE: True}
    results = [
        Result(ok=ended[deed.effect], at=deed.ended_at)
        for deed in own
        if deed.effect in ended and deed.acted_at is not None and deed.ended_at <= at
    ][: known.failures]
    tried = next((deed.ordered_at for deed in own if deed.runs or deed.acted_at is not None), None)
    return breaker.of_results(results, known, newest_try_at=tried)


def _quarantine(rule: Rule, scene: Scene) -> Quarantine | None:
    """As `actions.quarantines` would have begun it; nobody lifts one in a rehearsal."""
    lasts = timedelta(seconds=settings.VIGIL_QUARANTINE_SECONDS)
    within = timedelta(seconds=settings.VIGIL_QUARANTINE_REPAIRS_SECONDS)
    most = int(settings.VIGIL_QUARANTINE_REPAIRS)
    effects = _effects(scene.target, scene.deeds, scene.at)
    often = guards.repairs_too_often(effects, most=most, within=within)
    relapses = int(settings.VIGIL_QUARANTINE_RELAPSES)
    back = guards.repairs_too_often(_relapses(rule, scene), most=relapses, within=RELAPSES_WITHIN)
    if often is not None and (back is None or often >= back):
        count = sum(often - within <= one <= often for one in effects)
        return Quarantine(until=often + lasts, reason=guards.repaired_reason(count, within=within))
    if back is not None:
        count = sum(back - RELAPSES_WITHIN <= one <= back for one in _relapses(rule, scene))
        return Quarantine(until=back + lasts, reason=guards.relapsed_reason(count, policy=rule.name))
    return None


def _relapses(rule: Rule, scene: Scene) -> list[datetime]:
    """When incidents of the target came back soon after a deed had helped."""
    helped = [
        deed
        for deed in scene.deeds
        if deed.policy == rule.name
        and deed.target == scene.target
        and deed.effect in (Effect.EFFECTIVE, Effect.RELAPSED)
    ]
    if not helped:
        return []
    soon = timedelta(seconds=settings.VIGIL_RELAPSE_SECONDS)
    opened = [
        turn
        for turn in scene.turns
        if turn.policy == rule.name and turn.target == scene.target and turn.transition is Transition.OPENED
    ]
    back = ((deed, _next_after(deed, opened)) for deed in helped)
    return [at for deed, at in back if at is not None and at - deed.ended_at <= soon]


def _next_after(deed: Deed, opened: Iterable[Turn]) -> datetime | None:
    return next((turn.at for turn in opened if turn.incident > deed.incident), None)


def storms(rule: Rule, scene: Scene) -> Iterable[Storm]:
    """Since when the policy, or all there are together, proposed too much; nobody resets it in a rehearsal."""
    most, within = int(settings.VIGIL_STORM_PROPOSALS), timedelta(seconds=settings.VIGIL_STORM_SECONDS)
    proposals = _proposals(rule, scene)
    held = {policy: _storm_since(at for at, other in proposals if other == policy) for _, policy in proposals}
    since = held[rule.name]
    if since is not None:
        reason = guards.storm_begins(most + 1, most=most, within=within, who=f"policy {rule.name}")
        yield Storm(scope=f"policy:{rule.name}", since=since, reason=reason)
    since = _all_since(proposals, held)
    if since is not None:
        reason = guards.storm_begins(most + 1, most=most, within=within, who="Vigil")
        yield Storm(scope=GLOBAL, since=since, reason=reason)


def _proposals(rule: Rule, scene: Scene) -> list[tuple[datetime, str]]:
    """When which policy wanted an action for the first time, in order; a next step is another action."""
    wishes = [(deed.ordered_at, deed.policy, deed.incident) for deed in scene.deeds]
    wishes += [(stop.at, stop.policy, stop.incident) for stop in scene.stops if stop.stopped.guard in _AT_THE_DOOR]
    wishes.append((scene.at, rule.name, scene.incident.number))
    tried: dict[tuple[str, int], list[datetime]] = defaultdict(list)
    for deed in scene.deeds:
        if deed.acted_at is not None:
            tried[deed.policy, deed.incident].append(deed.ordered_at)
    first: dict[tuple[str, int, int], datetime] = {}
    for at, policy, incident in wishes:
        key = (policy, incident, bisect_left(tried[policy, incident], at))
        first[key] = min(at, first.get(key, at))
    return sorted((at, policy) for (policy, _, _), at in first.items())


def _storm_since(proposals: Iterable[datetime]) -> datetime | None:
    """When there had been more proposals in a minute than are taken for calm, for the first time."""
    times, within = sorted(proposals), timedelta(seconds=settings.VIGIL_STORM_SECONDS)
    later = times[int(settings.VIGIL_STORM_PROPOSALS) :]
    return next((last for earliest, last in zip(times, later, strict=False) if last - earliest < within), None)


def _all_since(proposals: Iterable[tuple[datetime, str]], held: Mapping[str, datetime | None]) -> datetime | None:
    """The same of all policies together; from the moment a policy is held by itself nothing of it counts any more."""
    most, within = int(settings.VIGIL_STORM_PROPOSALS), timedelta(seconds=settings.VIGIL_STORM_SECONDS)
    lately: list[tuple[datetime, str]] = []
    for at, policy in proposals:
        since = held[policy]
        alone = since is not None and since <= at
        kept = ((earlier, other) for earlier, other in lately if at - earlier < within)
        lately = [(earlier, other) for earlier, other in kept if not (alone and other == policy)]
        if not alone:
            lately.append((at, policy))
        if len(lately) > most:
            return at
    return None
