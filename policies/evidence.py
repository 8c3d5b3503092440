"""What whoever is asked to approve a policy's action has to know: what speaks for it, and whose policy it is."""

from django.db.models import F, Q

from policies.models import Decision, Incident, PolicyVersion

type Json = dict[str, object]


def editors(*, incident_id: int, policy_version: int | None) -> dict[str, str]:
    """Who wrote the version that ordered an action, and who saved its policy last, each with what they did.

    Both: a later edit of somebody else does not make the earlier one another person's.
    """
    meant = Q(number=policy_version) | Q(pk=F("policy__current_id"))
    rows = PolicyVersion.objects.filter(meant, policy__incidents=incident_id).order_by("number")
    return {
        row.author: f"saved policy {row.policy.name} last (version {row.number})"
        if row.pk == row.policy.current_id
        else f"wrote version {row.number} of policy {row.policy.name}, which ordered it"
        for row in rows.select_related("policy")
    }


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
