"""A call as JSON: the body of an HTTP request, the standard input of a command."""

from datetime import UTC, datetime

from actions.remediators import base


def of(call: base.Call) -> dict[str, object]:
    """What a remediator is told. Two attempts of one action differ in `attempt` only."""
    return {
        "action_id": call.action_id,
        "action": call.kind,
        "target": call.target,
        "params": dict(call.params),
        "policy": call.policy,
        "severity": call.severity,
        "incident_id": call.incident_id,
        "reason": call.reason,
        "attempt": call.attempt,
        "deadline": moment(call.deadline),
    }


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, ending in Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
