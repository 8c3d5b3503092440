"""The only writer of incidents: every move swaps on `state_seq` and leaves one audit entry in the same transaction."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F, Max

from actions import steering
from policies.book import Rule
from policies.engine.lifecycle import IncidentState, Step, Transition
from policies.engine.values import Verdict
from policies.models import LIVE, Answer, Decision, Incident, IncidentStatus, Policy, PolicyVersion, Resolution
from policies.muting import silences
from vigil.audit import entries
from vigil.kernel import statements
from vigil.kernel.database import one_of, tx
from vigil.kernel.errors import Conflict, NotFound

VIGIL = "vigil"
"""The actor of whatever no person did."""


class UnableToMove(Conflict):
    """The incident is not in a state for that, or somebody else just moved it."""

    code = "incident_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Another process was first; what it wrote stands."""

    incident: Incident | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    kind: str
    status: IncidentStatus
    resolution: str = ""


MOVES: Mapping[Transition, _Move] = {
    Transition.PENDED: _Move(kind="incident.pending", status=IncidentStatus.PENDING),
    Transition.OPENED: _Move(kind="incident.opened", status=IncidentStatus.OPEN),
    Transition.FORGOTTEN: _Move(kind="incident.forgotten", status=IncidentStatus.RESOLVED, resolution=Resolution.BRIEF),
    Transition.RESOLVED: _Move(kind="incident.resolved", status=IncidentStatus.RESOLVED, resolution=Resolution.HEALED),
    Transition.RESOLVED_UNVERIFIED: _Move(
        kind="incident.resolved", status=IncidentStatus.RESOLVED, resolution=Resolution.UNVERIFIED
    ),
}


def live(
    *, policy_ids: Collection[int] | None = None, targets: Collection[str] | None = None
) -> dict[tuple[int, str], Incident]:
    """Live incidents by (policy id, target), each with its version; one query."""
    found = Incident.objects.filter(status__in=LIVE).select_related("policy_version")
    if policy_ids is not None:
        found = found.filter(policy_id__in=policy_ids)
    if targets is not None:
        found = found.filter(target__in=targets)
    return {(incident.policy_id, incident.target): incident for incident in found}


def live_targets(targets: Collection[str]) -> set[str]:
    """Those of `targets` that have a live incident. In plain SQL: every reading that a policy covers asks this."""
    where, parameter = one_of("target", targets)
    live_status = ", ".join(f"'{status}'" for status in LIVE)  # literally, so that the index of just these is taken
    with statements.planned(connection) as cursor:
        cursor.execute(
            f"SELECT DISTINCT target FROM policies_incident WHERE status IN ({live_status}) AND {where}",  # noqa: S608
            [parameter],
        )
        return {target for (target,) in cursor.fetchall()}


def get(incident_id: int) -> Incident:
    """One incident with its policy and version; NotFound says so."""
    found = Incident.objects.select_related("policy", "policy_version").filter(pk=incident_id).first()
    if found is None:
        raise NotFound(f"There is no incident {incident_id}.")
    return found


def apply(
    *,
    rule: Rule,
    target: str,
    incident: Incident | None,
    verdict: Verdict,
    step: Step,
    at: datetime,
    tags: Mapping[str, str] | None = None,
) -> Incident | Lost:
    """Carry out a transition, in the caller's transaction. `Lost` when another process moved the incident first.

    `tags` are what the target's series agree on; an incident keeps those it begins with.
    """
    if step.transition is None:
        raise ValueError("There is nothing to apply: the step changed no state.")
    move = MOVES[step.transition]
    if incident is None:
        return _begin(rule, target, move, verdict, step, at, tags or {})
    moved = _swap(
        incident,
        kind=move.kind,
        actor=VIGIL,
        reason=step.reason,
        numbers=verdict.numbers,
        at=at,
        fields={
            "status": move.status,
            "resolution": move.resolution,
            "status_reason": step.reason,
            "last_evaluated_at": at,
            **_value(verdict),
            **_moments(incident, move, step.state, at),
        },
    )
    if isinstance(moved, Incident) and not moved.live:
        silences.expire_with(incident_ids=[moved.pk], at=at)
    return moved


def touch(seen: Collection[tuple[Incident, IncidentState, Verdict]], *, at: datetime) -> None:
    """Note that live incidents were evaluated without a transition; one statement for all of them."""
    touched = []
    for incident, state, verdict in seen:
        incident.last_evaluated_at = at
        incident.since = state.since or incident.since
        incident.healthy_since = state.healthy_since
        incident.value = incident.value if verdict.value is None else verdict.value
        touched.append(incident)
    if touched:
        fields = ["last_evaluated_at", "since", "healthy_since", "value"]
        Incident.objects.filter(status__in=LIVE).bulk_update(touched, fields, batch_size=200)


def hold(incident: Incident | None) -> Incident | Lost:
    """The incident as it is now, kept from everybody else until the caller's transaction ends; Lost when it is over."""
    held = None if incident is None else Incident.objects.select_for_update().filter(pk=incident.pk).first()
    if held is None or not held.live:
        return Lost(incident=held, reason="The incident was closed at the same moment.")
    return held


def newest_decisions(ids: Collection[int]) -> dict[int, Decision]:
    """The newest decision about each of these incidents; one query."""
    newest = (
        Decision.objects.order_by().filter(incident_id__in=list(ids)).values("incident_id").annotate(last=Max("id"))
    )
    found = Decision.objects.filter(pk__in=newest.values("last")) if ids else ()
    return {decision.incident_id: decision for decision in found}


def live_by_policy(policy_ids: Collection[int]) -> dict[int, int]:
    """How many live incidents each of these policies has; one without any is left out."""
    found = Incident.objects.order_by().filter(policy_id__in=list(policy_ids), status__in=LIVE)
    return dict(found.values_list("policy_id").annotate(total=Count("id")))


def says(decision: Decision | None, *, answer: Answer, guard: str, reason: str) -> bool:
    """Whether the decision says just this."""
    return decision is not None and (decision.answer, decision.guard, decision.reason) == (answer.value, guard, reason)


def decide(
    *,
    incident: Incident,
    answer: Answer,
    reason: str,
    at: datetime,
    guard: str = "",
    numbers: Mapping[str, object] | None = None,
    action_id: int | None = None,
) -> Decision | None:
    """Write a decision unless it says what the one before it said; None when it does."""
    last = Decision.objects.filter(incident=incident).order_by("-id").first()
    if says(last, answer=answer, guard=guard, reason=reason):
        return None
    return Decision.objects.create(
        incident=incident,
        policy_id=incident.policy_id,
        target=incident.target,
        answer=answer,
        guard=guard,
        reason=reason,
        numbers=dict(numbers or {}),
        action_id=action_id,
        at=at,
    )


def exhaust(incident: Incident, *, reason: str, at: datetime) -> Incident | Lost:
    """Say loudly that every step was tried; in the caller's transaction."""
    return _swap(incident, kind="incident.exhausted", actor=VIGIL, reason=reason, at=at, fields={"exhausted": True})


def note_flapping(
    incident: Incident, *, began: bool, reason: str, numbers: Mapping[str, object], at: datetime
) -> Incident:
    """Say on the incident that it began or ceased to flap; in the caller's transaction, with the row held."""
    kind = "incident.flapping_began" if began else "incident.flapping_ended"
    noted = _swap(incident, kind=kind, actor=VIGIL, reason=reason, numbers=numbers, at=at, fields={})
    if isinstance(noted, Lost):
        raise UnableToMove(f"Incident {incident.pk} changed at the same moment.")
    return noted


def acknowledge(*, incident_id: int, actor: str, note: str, at: datetime) -> Incident:
    """A person has seen it and deals with it: it is silenced until it is over. UnableToMove when it is."""
    fields = {"acknowledged_by": actor, "acknowledged_at": at}
    reason = note or f"Acknowledged by {actor}."

    def run() -> Incident:
        seen = _by_person(incident_id, kind="incident.acknowledged", actor=actor, reason=reason, at=at, fields=fields)
        silences.acknowledge(incident=seen, actor=actor, comment=note, at=at)
        return seen

    return tx(run)


def resolve(*, incident_id: int, actor: str, note: str, at: datetime) -> Incident:
    """A person closes it; what was not begun yet is cancelled. Still bad, it opens anew."""
    reason = note or f"Resolved by {actor}."

    def run() -> Incident:
        fields = _ending(Resolution.BY_HAND, reason, at)
        closed = _by_person(incident_id, kind="incident.resolved", actor=actor, reason=reason, at=at, fields=fields)
        steering.cancel_pending(incident_id=incident_id, actor=actor, reason=reason, at=at)
        silences.expire_with(incident_ids=[incident_id], at=at)
        return closed

    return tx(run)


def open_about(
    *, version: PolicyVersion, target: str, reason: str, numbers: Mapping[str, object], at: datetime
) -> Incident:
    """An incident that Vigil opens by itself, about what no condition reads; one that is live is told the news.

    In the caller's transaction.
    """
    standing = Incident.objects.filter(policy_id=version.policy_id, target=target, status__in=LIVE).first()
    if standing is not None:
        fields = {"status_reason": reason, "last_evaluated_at": at}
        told = _swap(
            standing, kind="incident.repeated", actor=VIGIL, reason=reason, numbers=numbers, at=at, fields=fields
        )
        if isinstance(told, Lost):
            raise UnableToMove(f"Incident {standing.pk} changed at the same moment.")
        return told
    incident = Incident.objects.create(
        policy_id=version.policy_id,
        policy_version=version,
        target=target,
        severity=version.severity,
        status=IncidentStatus.OPEN,
        since=at,
        opened_at=at,
        last_evaluated_at=at,
        status_reason=reason,
    )
    _record(incident, kind="incident.opened", actor=VIGIL, reason=reason, numbers=numbers, before="", at=at)
    return incident


def close_about(incident: Incident, *, resolution: Resolution, actor: str, reason: str, at: datetime) -> None:
    """Close such an incident if it is live still, in the caller's transaction."""
    held = hold(incident)
    if isinstance(held, Lost):
        return
    fields = _ending(resolution, reason, at)
    closed = _swap(held, kind="incident.resolved", actor=actor, reason=reason, at=at, fields=fields)
    if isinstance(closed, Lost):
        raise UnableToMove(f"Incident {incident.pk} changed at the same moment; try again.")
    silences.expire_with(incident_ids=[incident.pk], at=at)


def withdraw(*, policy: Policy, actor: str, reason: str, at: datetime) -> int:
    """Close every live incident of a policy that is no longer in force, and cancel what it had ordered.

    In the caller's transaction. Returns how many incidents were closed.
    """
    closed = []
    for incident in Incident.objects.filter(policy=policy, status__in=LIVE).order_by("id").select_for_update():
        fields = _ending(Resolution.WITHDRAWN, reason, at)
        moved = _swap(incident, kind="incident.resolved", actor=actor, reason=reason, at=at, fields=fields)
        if isinstance(moved, Lost):
            raise UnableToMove(f"Incident {incident.pk} changed at the same moment; try again.")
        closed.append(incident.pk)
    steering.cancel_pending(policy_name=policy.name, actor=actor, reason=reason, at=at)
    silences.expire_with(incident_ids=closed, at=at)
    return len(closed)


def _begin(
    rule: Rule, target: str, move: _Move, verdict: Verdict, step: Step, at: datetime, tags: Mapping[str, str]
) -> Incident | Lost:
    incident = Incident(
        policy_id=rule.policy_id,
        policy_version_id=rule.version_id,
        target=target,
        severity=rule.severity,
        status=move.status,
        since=step.state.since or at,
        opened_at=step.state.opened_at,
        last_evaluated_at=at,
        value=verdict.value,
        tags=dict(tags),
        status_reason=step.reason,
    )
    try:
        with transaction.atomic():
            incident.save(force_insert=True)
    except IntegrityError:
        standing = Incident.objects.filter(policy_id=rule.policy_id, target=target, status__in=LIVE).first()
        if standing is None:
            raise
        return Lost(incident=standing, reason="Another process opened this incident at the same moment.")
    _record(incident, kind=move.kind, actor=VIGIL, reason=step.reason, numbers=verdict.numbers, before="", at=at)
    return incident


def _swap(
    incident: Incident,
    *,
    kind: str,
    actor: str,
    reason: str,
    at: datetime,
    fields: Mapping[str, object],
    numbers: Mapping[str, object] | None = None,
) -> Incident | Lost:
    unchanged = Incident.objects.filter(pk=incident.pk, state_seq=incident.state_seq, status=incident.status)
    swapped = unchanged.update(state_seq=F("state_seq") + 1, **fields)
    fresh = get(incident.pk)
    if swapped != 1:
        return Lost(incident=fresh, reason="Another process moved this incident at the same moment.")
    _record(fresh, kind=kind, actor=actor, reason=reason, numbers=numbers or {}, before=incident.status, at=at)
    return fresh


def _by_person(
    incident_id: int, *, kind: str, actor: str, reason: str, at: datetime, fields: Mapping[str, object]
) -> Incident:
    incident = get(incident_id)
    if not incident.live:
        raise UnableToMove(f"Incident {incident_id} is already resolved ({incident.get_resolution_display()}).")
    moved = _swap(incident, kind=kind, actor=actor, reason=reason, at=at, fields=fields)
    if isinstance(moved, Lost):
        raise UnableToMove(f"Incident {incident_id} changed at the same moment; read it again and retry.")
    return moved


def _record(
    incident: Incident,
    *,
    kind: str,
    actor: str,
    reason: str,
    numbers: Mapping[str, object],
    before: str,
    at: datetime,
) -> None:
    entries.write(
        kind=kind,
        subject=incident.subject,
        actor=actor,
        reason=reason,
        from_state=before,
        to_state=incident.status,
        numbers=numbers,
        seq=incident.state_seq,
        at=at,
    )


def _value(verdict: Verdict) -> dict[str, object]:
    return {} if verdict.value is None else {"value": verdict.value}


def _moments(incident: Incident, move: _Move, state: IncidentState, at: datetime) -> dict[str, object]:
    if move.status is IncidentStatus.RESOLVED:
        return {"resolved_at": at}
    return {"since": state.since or incident.since, "opened_at": state.opened_at, "healthy_since": state.healthy_since}


def _ending(resolution: Resolution, reason: str, at: datetime) -> dict[str, object]:
    return {
        "status": IncidentStatus.RESOLVED,
        "resolution": resolution,
        "resolved_at": at,
        "status_reason": reason,
    }
