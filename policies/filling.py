"""Fills in a remedy's parameters with what is known of an incident, or of one that a dry run makes up."""

from collections.abc import Mapping

from policies.book import Rule
from policies.engine import rendering
from policies.engine.values import Verdict
from policies.judging import Judgement
from policies.models import Incident
from vigil.kernel.errors import VigilError, summary

GUARD = "params"
"""What stands in a Decision when parameters could not be filled in, or no longer fit then."""


def params(template: Mapping[str, object], *, judgement: Judgement, incident: Incident) -> dict[str, object]:
    """The parameters as an action ordered now for the incident has them; UnableToRender says what is missing."""
    known = facts(
        rule=judgement.rule,
        target=judgement.target,
        verdict=judgement.verdict,
        tags=incident.tags,
        incident_id=incident.pk,
    )
    return rendering.render(template, known)


def facts(
    *, rule: Rule, target: str, verdict: Verdict, tags: Mapping[str, str], incident_id: int | None
) -> rendering.Facts:
    """What may be put in; `tags` are those that the target's series agree on. No incident: this is a dry run."""
    return rendering.Facts(
        target=target,
        policy=rule.name,
        severity=rule.severity,
        reason=verdict.reason,
        value=verdict.value,
        incident_id=incident_id,
        tags=tags,
    )


def refusal(error: VigilError, template: Mapping[str, object]) -> tuple[str, str]:
    """The guard that an order's refusal is by, and its reason.

    What was filled in may change at every evaluation; the reason names its place instead, so that it stays the same.
    """
    places = [one.path for one in error.errors if one.path.startswith("params")]
    if not places or not rendering.is_filled_in(template):
        return "order", error.detail
    return GUARD, f"{', '.join(places)}: what was filled in does not fit the action type's schema"


def numbers(error: VigilError) -> Mapping[str, object]:
    """What exactly did not fit."""
    return {"errors": summary(error.errors)} if error.errors else {}
