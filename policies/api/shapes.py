"""Domain values as the API shows them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.conf import settings

from actions import dispatch
from actions.queries import ActionView
from policies import authoring, proposals, story
from policies.engine.muting import Mute
from policies.engine.rendering import UnableToRender
from policies.flaps import Mark
from policies.models import Decision, Freeze, Incident, Policy
from policies.mutes import Muting
from policies.preview import Outlook
from policies.remedies import Settled
from policies.runner import Fares, Runner
from policies.story import Moment

type Json = dict[str, object]


def policy(found: Policy) -> Json:
    """A policy as people write it, with what Vigil adds."""
    return {**authoring.written(found), **authoring.shown_extras(found)}


def policies(found: Iterable[Policy]) -> Json:
    """Policies by name."""
    shown = [policy(one) for one in found]
    return {
        "ok": True,
        "policies": {str(one["name"]): one for one in shown},
        "total": len(shown),
        "enabled_count": sum(one["enabled"] is True for one in shown),
    }


def violations(settled: Iterable[Settled]) -> list[Json]:
    """Every violated verdict, each with what was concluded from it."""
    return [_violation(one) for one in settled if one.judgement.verdict.violated]


def ordered(settled: Iterable[Settled]) -> list[Json]:
    """The actions that these verdicts ordered, or had ordered before."""
    return [
        {
            "action_id": action.id,
            "action": action.kind,
            "target": action.target,
            "status": action.status,
            "reason": one.decided.reason if one.decided is not None else action.reason,
        }
        for one in settled
        if (action := _action(one)) is not None
    ]


def runner(found: Runner) -> Json:
    """How the background evaluation fares."""
    row = found.sweep
    return {
        "enabled": True,
        "running": found.running,
        "interval_seconds": settings.VIGIL_SWEEP_INTERVAL_SECONDS,
        "batch_size": settings.VIGIL_SWEEP_SHARD_TARGETS,
        "last_run_at": row.last_run_at,
        "last_success_at": row.last_success_at,
        "last_duration_ms": row.last_duration_ms,
        "policies_evaluated": row.policies_evaluated,
        "targets_evaluated": row.targets_evaluated,
        "lag_seconds": found.lag_seconds,
        "policy_errors": row.policy_errors,
        "runs": row.runs,
        "overruns": row.overruns,
        "last_error": row.last_error,
        "policies": [_fares(one) for one in found.policies],
    }


def _fares(one: Fares) -> Json:
    return {
        "policy_name": one.policy,
        "last_evaluated_at": one.last_evaluated_at,
        "lag_seconds": one.lag_seconds,
        "errors_in_a_row": one.errors_in_a_row,
        "last_error": one.last_error,
        "last_error_at": one.last_error_at,
        "stopped": one.stopped,
        "grace_until": one.grace_until,
    }


def evidence(action: ActionView) -> Json:
    """An action as it speaks for or against its policy."""
    return {
        "action_id": action.id,
        "action": action.kind,
        "target": action.target,
        "verification": action.verification,
        "incident_id": action.incident_id,
        "finished_at": moment(action.finished_at),
    }


def outlook(found: Outlook) -> Json:
    """What a dry run says of one policy."""
    return {
        "policy_name": found.rule.name,
        "severity": found.rule.severity,
        "action": found.rule.action,
        "target": found.target,
        "value": found.verdict.value,
        "reason": found.verdict.reason,
        "incident_id": None,
    }


def dry_run(found: Outlook) -> Json:
    """The action that a dry run did not order."""
    step = found.rule.document.steps[0]
    told: Json = {
        "action": step.action,
        "target": found.target,
        "status": "dry_run",
        "params": dict(step.params),
        "policy_name": found.rule.name,
        "waits_for": _waits_for(found),
    }
    try:
        return told | {"params": found.params()}
    except UnableToRender as error:
        return told | {"status": "refused", "reason": str(error)}


def _waits_for(found: Outlook) -> str:
    """Whose word it would wait for: an operator's, an approver's, or "" for nobody's."""
    asks = proposals.asks_of(found.rule.mode)
    return dispatch.needs(kind=found.rule.action, target=found.target, asks=asks, asked_by="").asks.value


def incident(
    found: Incident, actions: Iterable[ActionView], *, mute: Mute | None = None, flap: Mark | None = None
) -> Json:
    """An incident as lists show it; `mute` says why it is muted now, if it is, and `flap` that it flaps."""
    return {
        "id": found.pk,
        "policy_name": found.policy.name,
        "policy_version": found.policy_version.number,
        "target": found.target,
        "severity": found.severity,
        "status": found.status,
        "status_reason": found.status_reason,
        "resolution": found.resolution or None,
        "value": found.value,
        "since": moment(found.since),
        "opened_at": moment(found.opened_at),
        "resolved_at": moment(found.resolved_at),
        "last_evaluated_at": moment(found.last_evaluated_at),
        "acknowledged_by": found.acknowledged_by or None,
        "acknowledged_at": moment(found.acknowledged_at),
        "exhausted": found.exhausted,
        "tags": dict(found.tags),
        "muted": None if mute is None else {"by": mute.kind.value, "reason": mute.reason, "until": moment(mute.until)},
        "flapping": None if flap is None else _flapping(flap),
        "actions": [action.id for action in actions],
        "time_to_heal_seconds": story.time_to_heal(found),
    }


def whole_incident(told: story.Story) -> Json:
    """An incident with everything that happened in it."""
    return {
        **incident(told.incident, told.actions, mute=told.mute, flap=told.flap),
        "condition": told.incident.policy_version.document["condition"],
        "sentence": told.incident.policy_version.sentence,
        "frozen": None if told.freeze is None else freeze(told.freeze),
        "timeline": [timeline(one) for one in told.moments],
        "decisions": [decision(one) for one in told.decisions],
        "action_details": [_details(action) for action in told.actions],
    }


def freeze(row: Freeze) -> Json:
    """What keeps two policies from acting on a target."""
    return {
        "id": row.pk,
        "target": row.target,
        "policies": list(row.policies),
        "reason": row.reason,
        "evidence": list(row.evidence),
        "since": moment(row.since),
        "until": moment(row.until),
        "lifted_at": moment(row.lifted_at),
        "lifted_by": row.lifted_by or None,
    }


def _flapping(flap: Mark) -> Json:
    return {"since": moment(flap.since), "change_percent": flap.change_percent, "reason": flap.reason}


def _violation(one: Settled) -> Json:
    judgement, decided, action = one.judgement, one.decided, _action(one)
    return {
        "policy_name": judgement.rule.name,
        "severity": judgement.rule.severity,
        "action": judgement.rule.action,
        "target": judgement.target,
        "value": judgement.verdict.value,
        "reason": judgement.verdict.reason,
        "incident_id": one.incident.pk if one.incident is not None else None,
        "incident_status": one.incident.status if one.incident is not None else None,
        "action_id": action.id if action is not None else None,
        "decision": decided.answer.value if decided is not None else "nothing",
        "decision_reason": decided.reason if decided is not None else judgement.step.reason,
    }


def _action(one: Settled) -> ActionView | None:
    return one.decided.action if one.decided is not None else None


def timeline(one: Moment) -> Json:
    """Something that changed."""
    return {
        "at": moment(one.at),
        "subject": one.subject,
        "kind": one.kind,
        "from": one.before,
        "to": one.after,
        "actor": one.actor,
        "reason": one.reason,
        "numbers": dict(one.numbers),
        "request_id": one.request_id,
    }


def decision(found: Decision) -> Json:
    """What was concluded, and why."""
    numbers: Mapping[str, object] = found.numbers
    return {
        "at": moment(found.at),
        "answer": found.answer,
        "guard": found.guard,
        "reason": found.reason,
        "numbers": dict(numbers),
        "action_id": found.action_id,
    }


def _details(action: ActionView) -> Json:
    return {
        "id": action.id,
        "action": action.kind,
        "target": action.target,
        "status": action.status,
        "needs_human": action.needs_human,
        "params": dict(action.params),
        "reason": action.reason,
        "attempts": action.attempts,
        "verification": action.verification,
        "details": action.details,
        "created_at": moment(action.created_at),
        "started_at": moment(action.started_at),
        "finished_at": moment(action.finished_at),
    }


def signed(row: Muting) -> Json:
    """Who made something that mutes, and whether somebody ended it."""
    return {
        "author": row.author,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "ended_at": moment(row.ended_at),
        "ended_by": row.ended_by or None,
    }


def moment(at: datetime | None) -> str | None:
    """A time as the API writes it."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")
