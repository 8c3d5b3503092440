"""Actions as the API shows them."""

from collections.abc import Mapping

from actions.approvals import Picture
from actions.brakes import Brakes
from actions.control import ControlState
from actions.pulling import Task
from actions.queries import ActionTypeView, ActionView, AttemptView

_PRIORITIES = {"info": "low", "warning": "medium", "critical": "high"}


def action(found: ActionView) -> dict[str, object]:
    """One action as it stands in lists."""
    return {
        "id": found.id,
        "uid": str(found.uid),
        "target": found.target,
        "action": found.kind,
        "status": found.status,
        "state": found.state,
        "needs_human": found.needs_human,
        "details": found.details,
        "params": found.params,
        "reason": found.reason,
        "policy_name": found.policy_name,
        "policy_version": found.policy_version,
        "severity": found.severity,
        "incident_id": found.incident_id,
        "attempts": found.attempts,
        "max_attempts": found.max_attempts,
        "verification": found.verification,
        "notes": found.notes,
        "ordered_by": found.ordered_by,
        "retry_of": found.retry_of,
        "cancel_requested": found.cancel_requested,
        "approvals_needed": found.people,
        "approval_expires_at": found.approval_expires_at,
        "request_id": found.request_id,
        "deadline": found.deadline,
        "created_at": found.created_at,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
    }


def approval(found: Picture | None) -> dict[str, object] | None:
    """What an approver needs to know; None for an action that needs nobody's word."""
    if found is None:
        return None
    return {
        "needed": found.needed,
        "missing": found.missing,
        "by": found.asks,
        "because": found.because,
        "risk": found.risk,
        "given": [{"by": one.by, "verdict": one.verdict, "reason": one.reason, "at": one.at} for one in found.given],
        "expires_at": found.expires_at,
        "approved_at": found.approved_at,
        "own_work": found.own_work,
        "now": found.now and {"wanted": found.now.wanted, "reason": found.now.reason},
        "before": [
            {
                "action_id": one.action_id,
                "action": one.kind,
                "state": one.state,
                "verification": one.verification,
                "at": one.at,
            }
            for one in found.before
        ],
        "evidence": found.evidence,
    }


def attempt(found: AttemptView) -> dict[str, object]:
    """One attempt."""
    return {
        "number": found.number,
        "fence": found.fence,
        "worker": found.worker,
        "intent_at": found.intent_at,
        "first_byte_at": found.first_byte_at,
        "finished_at": found.finished_at,
        "outcome": found.outcome,
        "late": found.late,
        "http_status": found.http_status,
        "error_class": found.error_class,
        "message": found.message,
        "excerpt": found.excerpt,
        "details": found.details,
    }


def action_type(found: ActionTypeView) -> dict[str, object]:
    """One action type with the JSON Schema of its parameters."""
    return {
        "name": found.name,
        "description": found.description,
        "schema": found.schema,
        "retry_safety": found.retry_safety,
        "risk": found.risk,
        "max_seconds": found.max_seconds,
        "rollback": found.rollback or None,
        "tells": found.tells,
        "cancel": found.cancel,
        "enabled": found.enabled,
        "remediator": found.remediator,
        "remediator_kind": found.remediator_kind,
    }


def task(found: Task) -> dict[str, object]:
    """An action as the remediators that fetch know it; times are Unix seconds."""
    row, namespace = found.row, found.row.params.get("namespace")
    return {
        "id": str(row.uid),
        "timestamp": int(found.handed_at.timestamp()),
        "resource": row.target,
        "namespace": namespace if isinstance(namespace, str) else "",
        "action": row.action_type_id,
        "parameters": row.params,
        "priority": _PRIORITIES.get(row.severity, "medium"),
        "policy_id": row.policy_name,
        "timeout": row.action_type.max_seconds,
        "max_retries": found.tries,
    }


def control(found: ControlState) -> Mapping[str, object]:
    """The switch."""
    return {"mode": found.mode, "reason": found.reason, "by": found.by, "at": found.at}


def brakes(found: Brakes) -> dict[str, object]:
    """What guards hold."""
    return {
        "storms": [{"scope": one.scope, "since": one.since, "reason": one.reason} for one in found.storms],
        "quarantined": [
            {"target": one.target, "until": one.quarantined_until, "reason": one.quarantine_reason}
            for one in found.quarantined
        ],
        "circuits": [
            {
                "remediator": name,
                "position": one.position.value,
                "failures": one.failures,
                "opened_at": one.opened_at,
                "probe_at": one.probe_at,
                "reason": one.reason,
            }
            for name, one in found.circuits.items()
        ],
    }
