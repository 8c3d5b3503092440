"""A policy whose actions do not help may do less by itself, until a person promotes it again."""

from collections.abc import Collection
from datetime import datetime
from functools import partial

import structlog
from django.conf import settings

from actions import queries
from actions.queries import ActionView
from policies import book, documents, incidents, proposals
from policies.engine import demoting
from policies.engine.demoting import Case, Judged, Limits
from policies.models import Demotion, Mode, Policy, PolicyVersion, Resolution
from vigil.audit import entries
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict, NotFound
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)

BUILTIN = "vigil-policy-demoted"
"""The policy that incidents about demoted policies are of; no policy of a person may be called so."""


class UnableToPromote(Conflict):
    """The policy is not demoted."""

    code = "not_demoted"


def target_of(name: str) -> str:
    """What the incident about a policy itself calls its target."""
    return f"policy:{name}"


def review(names: Collection[str], *, at: datetime) -> int:
    """Demote those of these policies whose latest actions speak against them; returns how many were.

    Each in a transaction of its own, after the verification that may have been one too many.
    """
    suspects = Policy.objects.filter(name__in=list(names)).select_related("current")
    found = [policy for policy in suspects if _may_fall(policy) and _case(policy) is not None]
    return sum(_tried(policy, at) for policy in found)


def promote(policy: Policy, *, actor: str, note: str, at: datetime) -> Demotion:
    """A person gives the policy back what its version says. UnableToPromote when nothing was taken from it."""
    demotion = tx(partial(_promote, policy.pk, actor=actor, note=note, at=at))
    log.info("policies.policy.promoted", policy=policy.name, to=demotion.from_mode, actor=actor)
    return demotion


def evidence(policy: Policy) -> list[ActionView]:
    """The actions that were counted when it was demoted, else those that would be now; newest first."""
    standing = policy.demotion
    ids = standing.evidence if standing is not None else [one.action_id for one in _judged(policy, _limits(policy).of)]
    return queries.some(ids)


def limits_of(document: documents.Json) -> Limits:
    """When a policy with this stored document is demoted."""
    said = document.get("demote")
    if isinstance(said, dict):
        return Limits(bad=said["bad"], of=said["of"])
    return Limits(bad=settings.VIGIL_DEMOTE_BAD, of=settings.VIGIL_DEMOTE_OF)


def carry_over(policy: Policy, *, before: str, after: str, actor: str, at: datetime) -> str:
    """The mode in force of a policy whose version now says `after` instead of `before`, in the caller's transaction.

    An edit of anything else leaves it demoted; choosing another mode is a person's word about just this.
    """
    if policy.demotion is None:
        return after
    if before == after:
        return policy.mode
    end(policy, resolution=Resolution.BY_HAND, actor=actor, reason=f"{actor} set its mode to {after}.", at=at)
    return after


def end(policy: Policy, *, resolution: Resolution, actor: str, reason: str, at: datetime) -> None:
    """Nothing is taken from the policy any more, and the incident about it is closed; in the caller's transaction."""
    standing = policy.demotion
    if standing is None:
        return
    policy.demotions.filter(ended_at=None).update(ended_at=database_now(), ended_by=actor)
    policy.demotion = None
    policy.save(update_fields=["demotion"])
    if standing.incident is not None:
        incidents.close_about(standing.incident, resolution=resolution, actor=actor, reason=reason, at=at)


def _may_fall(policy: Policy) -> bool:
    return demoting.below(policy.mode, Mode.values) != policy.mode


def _limits(policy: Policy) -> Limits:
    return limits_of({} if policy.current is None else policy.current.document)


def _case(policy: Policy) -> Case | None:
    limits = _limits(policy)
    return demoting.case(_judged(policy, limits.of), limits) if limits.bad else None


def _judged(policy: Policy, most: int) -> list[Judged]:
    """Its verified actions under the version in force that were ordered since the last demotion, or its end."""
    if policy.current is None:
        return []
    last = policy.demotions.order_by("-id").first()
    marks = [policy.current.created_at, *([last.ended_at or last.at] if last is not None else [])]
    found = queries.judged(
        policy_name=policy.name,
        version=policy.current.number,
        since=max(marks),
        verifications=demoting.JUDGED,
        most=most,
    )
    return [Judged(action_id=number, verification=said) for number, said in found]


def _tried(policy: Policy, at: datetime) -> bool:
    try:
        demotion = tx(partial(_demote, policy.pk, at))
    except Exception as error:  # what was verified stays so; the next bad action asks again
        log.exception("policies.demotion.failed", policy=policy.name, reason=str(error))
        return False
    if demotion is None:
        return False
    telemetry.policy_demotions_total.labels(change="demoted").inc()
    log.error(
        "policies.policy.demoted",
        policy=policy.name,
        before=demotion.from_mode,
        after=demotion.to_mode,
        reason=demotion.reason,
        evidence=demotion.evidence,
        incident_id=demotion.incident_id,
    )
    return True


def _locked(policy_id: int) -> Policy:
    found = Policy.objects.select_for_update(of=("self",)).select_related("current", "demotion")
    policy = found.filter(pk=policy_id).first()
    if policy is None:
        raise NotFound("The policy was removed at the same moment.")
    return policy


def _demote(policy_id: int, at: datetime) -> Demotion | None:
    """One transaction: the mode, its record, the audit, and the incident about the policy."""
    policy = _locked(policy_id)
    found = _case(policy)
    if found is None or policy.current is None or not _may_fall(policy):
        return None
    before, after = policy.mode, demoting.below(policy.mode, Mode.values)
    numbers: dict[str, object] = {
        "from": before,
        "to": after,
        "bad": found.bad,
        "of": len(found.evidence),
        "actions": [one.action_id for one in found.evidence],
    }
    reason = f"Demoted from {before} to {after}: {found.reason}."
    incident = incidents.open_about(
        version=_builtin(at), target=target_of(policy.name), reason=reason, numbers=numbers, at=at
    )
    policy.demotion = Demotion.objects.create(
        policy=policy,
        version=policy.current.number,
        from_mode=before,
        to_mode=after,
        at=database_now(),
        reason=reason,
        evidence=numbers["actions"],
        incident=incident,
    )
    policy.mode, policy.updated_at = after, at
    policy.save(update_fields=["mode", "demotion", "updated_at"])
    proposals.mode_changed(policy, at=at)
    _record("demoted", policy, actor=incidents.VIGIL, reason=reason, numbers=numbers, at=at)
    book.bump()
    return policy.demotion


def _promote(policy_id: int, *, actor: str, note: str, at: datetime) -> Demotion:
    policy = _locked(policy_id)
    standing = policy.demotion
    if standing is None or policy.current is None:
        raise UnableToPromote(f"Policy {policy.name} is not demoted; its mode is changed with PUT, as any field.")
    before, after = policy.mode, str(policy.current.document["mode"])
    reason = note or f"Promoted from {before} to {after} by {actor}."
    numbers = {"from": before, "to": after, "actions": standing.evidence}
    end(policy, resolution=Resolution.BY_HAND, actor=actor, reason=reason, at=at)
    policy.mode, policy.updated_at = after, at
    policy.save(update_fields=["mode", "updated_at"])
    proposals.mode_changed(policy, at=at)
    _record("promoted", policy, actor=actor, reason=reason, numbers=numbers, at=at)
    telemetry.policy_demotions_total.labels(change="promoted").inc()
    book.bump()
    return standing


def _record(verb: str, policy: Policy, *, actor: str, reason: str, numbers: documents.Json, at: datetime) -> None:
    entries.write(
        kind=f"policy.{verb}", subject=f"policy:{policy.name}", actor=actor, reason=reason, numbers=numbers, at=at
    )


def _builtin(at: datetime) -> PolicyVersion:
    """The policy that such incidents are of, made when it is first needed: it is no rule, and nobody judges it."""
    policy, made = Policy.everything.get_or_create(
        name=BUILTIN, builtin=True, defaults={"enabled": False, "created_at": at, "updated_at": at}
    )
    if made or policy.current is None:
        policy.current = PolicyVersion.objects.create(
            policy=policy,
            number=1,
            document=_DOCUMENT,
            sentence="k of a policy's last n verified actions did not help",
            severity="warning",
            author=incidents.VIGIL,
            created_at=at,
        )
        policy.save(update_fields=["current"])
    return policy.current


_DOCUMENT = {
    "description": "Opened by Vigil itself when it demotes a policy; promoting the policy resolves it.",
    "severity": "warning",
    "target": "policy:*",
    "mode": "observe",
    "condition": {"type": "event_matches", "event": "policy_demoted", "count": 1, "window": "1m"},
    "action": "page",
    "params": {},
    "keep_open_for": "0s",
    "on_no_data": "keep",
}
