"""The brake: when many targets of a group go bad at once, no single one is acted on."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, models, transaction
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from metrics import queries
from policies import book
from policies.book import Book, Rule
from policies.engine import muting
from policies.engine.muting import Cause, Mute
from policies.models import LIVE, CommonCause, Incident
from policies.muting import kept
from vigil.audit import entries
from vigil.kernel.database import tx

log = structlog.get_logger(__name__)

KNOWN_WITHIN = timedelta(hours=24)
"""A target is known while it was heard of within this time."""
COUNT_AGAIN_AFTER = timedelta(seconds=30)
"""How old the number of known targets may get: a fleet grows slowly, and a storm must not count it at every order."""

_counted: dict[tuple[int, int], tuple[datetime, Mapping[str, frozenset[str]]]] = {}
"""By policy version, and by how often this process dropped its book: when, and the known targets of each group."""
COUNTED_MAX = 500


def check(*, rule: Rule, incident: Incident, together: Collection[str], at: datetime) -> Mute | None:
    """Whether an order for this incident must wait because its group went bad as a whole.

    `together` are the targets of the group that the same readings found bad. In the caller's transaction: the first to
    notice leaves one marker for the whole group, which stands until the sweep sees that the share has fallen.
    """
    brake, group = rule.brake, group_of(rule, incident.tags)
    if brake.percent >= 100 or group is None:
        return None
    standing = CommonCause.objects.filter(policy_id=rule.policy_id, ended_at=None)
    found = standing.filter(group_by=brake.group_by, group=group).first()
    if found is not None:
        return kept.mute_of(found)
    recently = bad_of(rule.policy_id, brake.group_by, group).filter(since__gte=at - brake.within)
    bad = max(recently.count(), len(together))
    if bad < muting.LEAST_BAD:
        return None
    known = len(known_of(rule, group, at))
    if known < muting.LEAST_BAD:
        return None  # of a fleet that is not known nobody can say what share went bad
    cause = muting.common_cause(brake, bad=bad, known=max(bad, known))
    return None if cause is None else kept.mute_of(_begin(rule, group, cause, at))


def group_of(rule: Rule, tags: Mapping[str, str]) -> str | None:
    """The group a target belongs to; None when the policy divides by a tag that it lacks."""
    return tags.get(rule.brake.group_by) if rule.brake.group_by else ""


def held(cause: CommonCause) -> QuerySet[Incident]:
    """The live incidents of its group; none when it is over."""
    if cause.ended_at is not None:
        return Incident.objects.none()
    return bad_of(cause.policy_id, cause.group_by, cause.group).order_by("target")


def review(*, in_force: Book, at: datetime) -> int:
    """Let go of groups of which the share of bad targets has fallen, or whose policy is gone; returns how many."""
    ended = 0
    for cause in CommonCause.objects.filter(ended_at=None).select_related("policy"):
        reason = _over(cause, in_force.rules.get(cause.policy_id), at)
        if reason:
            ended += tx(lambda cause=cause, reason=reason: _end(cause, reason, at))  # type: ignore[misc]
    return ended


def _over(cause: CommonCause, rule: Rule | None, at: datetime) -> str:
    if rule is None:
        return "The policy is no longer in force."
    if rule.brake.group_by != cause.group_by:
        return "The policy groups its targets differently now."
    bad = bad_of(cause.policy_id, cause.group_by, cause.group).count()
    known = max(bad, len(known_of(rule, cause.group, at)))
    if muting.common_cause(rule.brake, bad=bad, known=known, standing=True) is not None:
        return ""
    return f"{bad} of {known} known targets are bad now, no more than {rule.brake.percent} %."


def bad_of(policy_id: int, group_by: str, group: str) -> QuerySet[Incident]:
    """The live incidents of a policy in one of its groups."""
    live = Incident.objects.order_by().filter(policy_id=policy_id, status__in=LIVE)
    if not group_by:
        return live
    of_group = Cast(KeyTextTransform(group_by, "tags"), models.TextField())
    return live.annotate(of_group=of_group).filter(of_group=group)


def known_of(rule: Rule, group: str, at: datetime) -> frozenset[str]:
    """The targets of the group that were heard of within a day, counted again after half a minute."""
    key = (rule.version_id, book.mutes_version(at)[1])
    counted = _counted.get(key)
    if counted is None or abs(at - counted[0]) > COUNT_AGAIN_AFTER:
        if len(_counted) >= COUNTED_MAX:
            _counted.clear()
        _counted[key] = counted = (at, _heard_of(rule, at))
    return counted[1].get(group, frozenset())


def _heard_of(rule: Rule, at: datetime) -> Mapping[str, frozenset[str]]:
    """The targets whose metrics the policy reads. One that reads none is about every target it covers."""
    since = at - KNOWN_WITHIN
    if not rule.needs.metrics:
        if rule.regroups or rule.brake.group_by or rule.needs.questions:
            return {}
        return {"": frozenset(target for target in queries.known_targets(since=since) if rule.covers(target))}
    found = [
        (one.tags, one.target)
        for one in queries.latest(metrics=rule.needs.metrics)
        if one.points and one.points[-1].at >= since
    ]
    groups: dict[str, set[str]] = defaultdict(set)
    for tags, own in found:
        target, group = rule.target_of(tags=tags, target=own), group_of(rule, tags)
        if group is not None and rule.covers(target):
            groups[group].add(target)
    return {group: frozenset(targets) for group, targets in groups.items()}


def _begin(rule: Rule, group: str, cause: Cause, at: datetime) -> CommonCause:
    row = CommonCause(
        policy_id=rule.policy_id,
        group_by=rule.brake.group_by,
        group=group,
        bad=cause.bad,
        known=cause.known,
        percent=rule.brake.percent,
        within_seconds=int(rule.brake.within.total_seconds()),
        reason=cause.reason(rule.brake, group),
        began_at=at,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return CommonCause.objects.get(policy_id=row.policy_id, group_by=row.group_by, group=row.group, ended_at=None)
    _record("began", row, rule.name, row.reason, at)
    return row


def _end(cause: CommonCause, reason: str, at: datetime) -> bool:
    ended_at = max(at, cause.began_at)
    if not CommonCause.objects.filter(pk=cause.pk, ended_at=None).update(ended_at=ended_at):
        return False
    _record("ended", cause, cause.policy.name, reason, at)
    return True


def _record(verb: str, cause: CommonCause, policy: str, reason: str, at: datetime) -> None:
    numbers = {"bad": cause.bad, "known": cause.known, "percent": cause.percent, "group": cause.group}
    entries.write(
        kind=f"common_cause.{verb}",
        subject=f"common_cause:{cause.pk}",
        actor="vigil",
        reason=f"{policy}: {reason}",
        numbers=numbers,
        at=at,
    )
    book.bump_mutes()
    log.warning("policies.common_cause.changed", policy=policy, change=verb, group=cause.group, reason=reason)
