"""What speaks for an action that a policy ordered, for whoever is asked to approve it."""

from policies.models import Decision, Incident

type Json = dict[str, object]


def about(*, action_id: int, incident_id: int) -> Json:
    """The incident, the condition, and the decision that ordered the action with its numbers; {} when it is gone."""
    incident = Incident.objects.select_related("policy", "policy_version").filter(pk=incident_id).first()
    if incident is None:
        return {}
    decision = Decision.objects.filter(incident_id=incident_id, action_id=action_id).order_by("id").first()
    return {
        "incident": {
            "id": incident.pk,
            "status": incident.status,
            "severity": incident.severity,
            "since": incident.since,
            "opened_at": incident.opened_at,
            "value": incident.value,
            "reason": incident.status_reason,
        },
        "policy": incident.policy.name,
        "mode": incident.policy.mode,
        "condition": incident.policy_version.sentence,
        "decision": None
        if decision is None
        else {"reason": decision.reason, "numbers": decision.numbers, "at": decision.at},
    }
