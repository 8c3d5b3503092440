"""The compiled set of enabled policies, indexed by what they read, and cached in each process."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from actions.guards import Limits, Shares
from policies import documents
from policies.documents import Document
from policies.engine import conditions, flapping, globs, grouping, lifecycle, sieve, targets
from policies.engine.bounds import Bound, bound_of
from policies.engine.conditions import Across, Compare, Condition, Needs, Outside
from policies.engine.muting import Brake
from policies.engine.sieve import Sieve
from policies.models import BookVersion, Policy, PolicyVersion

log = structlog.get_logger(__name__)

CHECK_EVERY = timedelta(seconds=0.5)
"""How old a process's idea of the version may get; an edit is in force everywhere within a second."""


type Pair = tuple[int, str]
"""A policy's id and a target."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """One policy version, ready to judge with. Rules are the same when they are the same object."""

    policy_id: int
    version_id: int
    number: int
    name: str
    mode: str
    """The policy's mode now, also for a version of the past: switching a policy off must reach its open incidents."""
    document: Document
    needs: Needs
    timings: lifecycle.Timings
    limits: Limits
    shares: Shares
    """How much of its targets may be repaired, and must be healthy."""
    brake: Brake
    """When many of its targets going bad at once are taken for one trouble."""
    by: tuple[str, ...] = ()
    """The tags whose values make a target of this policy; empty: the series' own targets."""
    line: Bound | None = None
    """For a plain comparison of the newest value: what it must not cross.

    A value that does not is harmless to a target without an incident, whatever its other series say: those were judged
    when they arrived. Most readings are cleared by that alone.
    """

    @property
    def condition(self) -> Condition:
        """What is wrong."""
        return self.document.condition

    @property
    def severity(self) -> str:
        """info, warning or critical."""
        return self.document.severity

    @property
    def action(self) -> str:
        """The first step's action type."""
        return self.document.steps[0].action

    def target_of(self, *, tags: Mapping[str, str], target: str) -> str:
        """The target a series or an event belongs to for this policy; "" when it lacks the policy's own tags.

        Where the condition groups with `by`, the group is the target, whatever its series' own targets are.
        """
        if self.by:
            group = {tag: tags.get(tag, "") for tag in self.by}
            return grouping.name(group) if all(group.values()) else ""
        return tags.get(self.document.target_tag, "") if self.document.target_tag else target

    @property
    def regroups(self) -> bool:
        """Whether its targets are others than those the store knows."""
        return bool(self.by or self.document.target_tag)

    def covers(self, target: str) -> bool:
        """Does the policy's pattern match? An empty target matches nothing."""
        return target != "" and _matches(self.document.target, target)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alike:
    """The rules on one metric that have the same targets."""

    first: Rule
    """Any of them can say what a series' target is and whether it is covered."""
    sieve: Sieve[int]
    """Their policies' ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Every policy that is in force."""

    version: int
    rules: Mapping[int, Rule]
    """By policy id."""
    by_metric: Mapping[str, tuple[Rule, ...]]
    alike: Mapping[str, tuple[Alike, ...]]
    """The same rules by metric, sorted so that a reading need not ask each of them."""
    by_event: Mapping[str, tuple[Rule, ...]]
    """By the event's name or pattern. None of these has rules that ask other servers: no reading waits for those."""
    broken: Mapping[str, str]
    """Policies that are enabled but could not be compiled, each with the reason."""

    def heard(self, event: str) -> list[Rule]:
        """The rules that read events of this name."""
        return [rule for name, rules in self.by_event.items() if globs.matches(name, event) for rule in rules]

    def under(self, *, policy_id: int, version: PolicyVersion) -> Rule | None:
        """The rule an incident was opened under; None when its policy is not in force, or the version unreadable."""
        rule = self.rules.get(policy_id)
        if rule is None or rule.version_id == version.pk:
            return rule
        return of_version(version.pk, mode=rule.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Versions:
    policies: int
    mutes: int
    checked_at: datetime


_matches = lru_cache(maxsize=50_000)(targets.matches)
"""Many policies have the same pattern, and the same targets report again and again."""

_lock = threading.Lock()
_cached: Book | None = None
_known: _Versions | None = None
_forgotten = 0
"""How often this process dropped what it knew; a copy made before that is as stale as one of another version."""


def current(at: datetime) -> Book:
    """The book in force; asks the database for its version at most twice a second."""
    global _cached
    with _lock:
        version = _versions(at).policies
        if _cached is None or _cached.version != version:
            _cached = _load(version)
        return _cached


def mutes_version(at: datetime) -> tuple[int, int]:
    """What changes whenever anything that mutes does; the same look at the database tells of policies and of this."""
    with _lock:
        return _versions(at).mutes, _forgotten


def forget() -> None:
    """Drop this process's copy: the next reader loads it again."""
    global _cached, _known, _forgotten
    with _lock:
        _cached = _known = None
        _forgotten += 1
        _compiled.cache_clear()
        _tell_once.cache_clear()


def look_again() -> None:
    """Ask the database for the versions at the next use, however lately they were asked for."""
    global _known, _forgotten
    with _lock:
        _known = None
        _forgotten += 1


def bump() -> None:
    """Tell every process that the policies changed; call it in the transaction of the change."""
    if not BookVersion.objects.filter(pk=1).update(version=F("version") + 1):
        BookVersion.objects.get_or_create(pk=1, defaults={"version": 2})
    forget()
    transaction.on_commit(forget)


def bump_mutes() -> None:
    """Tell every process that something that mutes has changed; call it in the transaction of the change."""
    if not BookVersion.objects.filter(pk=1).update(mutes=F("mutes") + 1):
        BookVersion.objects.get_or_create(pk=1, defaults={"mutes": 2})
    look_again()
    transaction.on_commit(look_again)


def compile_version(version: PolicyVersion, *, mode: str) -> Rule:
    """A rule ready to judge with; UnableToReadPolicy when the version cannot be read."""
    document = documents.from_stored(version.policy.name, version.document)
    return _of(
        document,
        policy_id=version.policy_id,
        version_id=version.pk,
        number=version.number,
        name=version.policy.name,
        mode=mode,
    )


def of_version(version_id: int, *, mode: str) -> Rule | None:
    """The rule of any version, in force or not; None, with a log line, when this Vigil cannot read it."""
    try:
        return _compiled(version_id, mode)
    except documents.UnableToReadPolicy as error:
        _tell_once(version_id, error.detail)
        return None


@lru_cache(maxsize=1_000)
def _tell_once(version_id: int, reason: str) -> None:
    """What stays wrong until somebody does something is worth a line of each process, not one every two seconds."""
    log.error("policies.book.version_unreadable", version_id=version_id, reason=reason)


def provisional(document: Document, *, name: str = "preview") -> Rule:
    """A rule of a document that need not be saved, for previews."""
    return _of(document, policy_id=0, version_id=0, number=0, name=name, mode=document.mode)


def _of(document: Document, *, policy_id: int, version_id: int, number: int, name: str, mode: str) -> Rule:
    staleness = timedelta(seconds=settings.VIGIL_STALENESS_SECONDS)
    return Rule(
        policy_id=policy_id,
        version_id=version_id,
        number=number,
        name=name,
        mode=mode,
        document=document,
        needs=conditions.needs(document.condition, staleness=staleness),
        timings=_timings(document),
        limits=_limits(document),
        shares=_shares(document),
        brake=_brake(document),
        by=conditions.grouping(document.condition),
        line=_line(document.condition),
    )


def _versions(at: datetime) -> _Versions:
    """What the database said, at most half a second ago."""
    global _known
    if _known is None or abs(at - _known.checked_at) >= CHECK_EVERY:
        policies, mutes = BookVersion.objects.filter(pk=1).values_list("version", "mutes").first() or (0, 0)
        _known = _Versions(policies=policies, mutes=mutes, checked_at=at)
    return _known


def _load(version: int) -> Book:
    """The version was read before the policies, so the worst case is one load too many, never one too few."""
    rules: dict[int, Rule] = {}
    broken: dict[str, str] = {}
    for policy in Policy.objects.filter(enabled=True).select_related("current__policy", "health").order_by("name"):
        health = getattr(policy, "health", None)
        if health is not None and health.disabled_by_error:
            broken[policy.name] = health.last_error
            continue
        try:
            rules[policy.pk] = _rule(policy)
        except Exception as error:  # one broken policy disables itself, never the others
            broken[policy.name] = str(error)
            log.exception("policies.book.broken", policy=policy.name, reason="It cannot be read, so it judges nothing.")
    by_metric = _index(rules.values(), events=False)
    return Book(
        version=version,
        rules=MappingProxyType(rules),
        by_metric=by_metric,
        alike=MappingProxyType({metric: _alike(readers) for metric, readers in by_metric.items()}),
        by_event=_index(rules.values(), events=True),
        broken=MappingProxyType(broken),
    )


def _rule(policy: Policy) -> Rule:
    if policy.current is None:
        raise documents.UnableToReadPolicy(f"Policy {policy.name} has no version.")
    return compile_version(policy.current, mode=policy.mode)


@lru_cache(maxsize=512)
def _compiled(version_id: int, mode: str) -> Rule:
    """Versions never change, so an old one that live incidents still need is compiled once."""
    version = PolicyVersion.objects.select_related("policy").get(pk=version_id)
    return compile_version(version, mode=mode)


def _index(rules: Iterable[Rule], *, events: bool) -> Mapping[str, tuple[Rule, ...]]:
    index: dict[str, tuple[Rule, ...]] = {}
    for rule in rules:
        if rule.needs.questions:
            continue
        for name in rule.needs.events if events else rule.needs.metrics:
            index[name] = (*index.get(name, ()), rule)
    return MappingProxyType(index)


def _alike(readers: Iterable[Rule]) -> tuple[Alike, ...]:
    rules = tuple(readers)
    first = {_targeting(rule): rule for rule in reversed(rules)}
    sieves = sieve.grouped((_targeting(rule), rule.policy_id, rule.line) for rule in rules)
    return tuple(Alike(first=first[key], sieve=one) for key, one in sieves.items())


def _targeting(rule: Rule) -> tuple[str, str, tuple[str, ...]]:
    return rule.document.target, rule.document.target_tag, rule.by


def _timings(document: Document) -> lifecycle.Timings:
    interval = timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS)
    return lifecycle.Timings(
        hold_for=conditions.top_level_hold(document.condition),
        keep_open_for=document.keep_open_for,
        on_no_data=lifecycle.OnNoData(document.on_no_data),
        max_gap=2 * interval,
        grace=timedelta(seconds=settings.VIGIL_GRACE_SECONDS),
        flap=_flap_limits(document, interval),
    )


def _flap_limits(document: Document, interval: timedelta) -> flapping.Limits:
    said = document.flapping
    return flapping.Limits(
        high=settings.VIGIL_FLAP_HIGH_PERCENT if said is None else said.high,
        low=settings.VIGIL_FLAP_LOW_PERCENT if said is None else said.low,
        every=interval,
    )


def _line(condition: Condition) -> Bound | None:
    if not isinstance(condition, Compare | Outside):
        return None
    measure = condition.measure
    plain = measure.aggregate is None and measure.across is Across.ANY and not measure.tags and not measure.by
    return bound_of(condition, was_violated=False) if plain else None


def _brake(document: Document) -> Brake:
    said = document.common_cause
    seconds = settings.VIGIL_COMMON_CAUSE_SECONDS
    return Brake(
        percent=settings.VIGIL_COMMON_CAUSE_PERCENT if said is None else said.percent,
        within=timedelta(seconds=seconds) if said is None or said.within is None else said.within,
        group_by=document.group_by,
    )


def _shares(document: Document) -> Shares:
    said, healthy = document.blast_radius, document.min_healthy
    seconds = settings.VIGIL_BLAST_RADIUS_SECONDS
    return Shares(
        at_once=settings.VIGIL_FLEET_AT_ONCE_PERCENT,
        repaired=settings.VIGIL_BLAST_RADIUS_PERCENT if said is None else said.percent,
        repaired_within=timedelta(seconds=seconds) if said is None or said.within is None else said.within,
        min_healthy=settings.VIGIL_MIN_HEALTHY_PERCENT if healthy is None else healthy,
    )


def _limits(document: Document) -> Limits:
    said: dict[str, object] = {
        "cooldown": document.cooldown,
        "rate_count": document.rate and document.rate.count,
        "rate_per": document.rate and document.rate.per,
        "concurrency_group": document.group and document.group.name,
        "concurrency_max": document.group and document.group.max,
        "max_attempts": document.max_attempts,
        "deadline": document.deadline,
        "approval": document.approval_expires,
    }
    return replace(Limits(), **{field: value for field, value in said.items() if value is not None})  # type: ignore[arg-type]
