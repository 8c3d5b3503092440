"""Why Vigil acts on a target, or does not: the numbers, every gate, and one plain paragraph.

Of now everything is asked afresh. Of a time that has passed the condition is judged again on what was measured by then,
and what was concluded is read from the decisions: gates cannot be asked in the past.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from actions import queries
from actions.queries import ActionView, AttemptView
from policies import authoring, book, flaps, gates, incidents, judging, readings, story
from policies.book import Rule
from policies.engine import explain, tracing
from policies.engine.tracing import Trace
from policies.gates import Gate
from policies.judging import Judgement
from policies.models import Answer, Decision, Incident, Policy, PolicyVersion
from policies.readings import Data
from policies.story import Moment
from vigil.kernel.errors import Conflict, FieldError, Invalid, NotFound


class UnableToExplain(Conflict):
    """The policy, as it was then, cannot be judged by this Vigil."""

    code = "unable_to_explain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One policy on one target at one time."""

    policy: str
    version: int
    target: str
    at: datetime
    of_the_past: bool
    trace: Trace
    incident: Incident | None
    """The one that was live at that time."""
    gates: tuple[Gate, ...]
    """Empty for the past."""
    decision: Decision | None
    """The last one by that time, of that incident."""
    actions: tuple[ActionView, ...]
    """Ordered for that incident by that time."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionExplanation:
    """Why an action was ordered, and what became of it."""

    action: ActionView
    attempts: tuple[AttemptView, ...]
    moments: tuple[Moment, ...]
    ordered: Explanation | None
    """What Vigil saw when it ordered it; None for one ordered by hand."""
    text: str


def of_pair(*, policy_name: str, target: str, now: datetime, at: datetime | None = None) -> Explanation:
    """A policy on a target, now or at an earlier time. NotFound, Invalid or UnableToExplain say what is wrong."""
    if at is not None and at > now:
        message = "lies in the future; leave it out to ask about now"
        raise Invalid(f"at: {message}.", errors=[FieldError(path="at", message=message)])
    policy = authoring.get(policy_name)
    moment = now if at is None else at
    incident = _incident_at(policy, target, moment)
    version = incident.policy_version if incident is not None else _version_at(policy, at)
    return _explain(policy, version, incident, target, at=moment, now=now)


def of_incident(incident_id: int, *, now: datetime) -> Explanation:
    """An incident: as it stands now, or as it stood when it was last evaluated."""
    incident = incidents.get(incident_id)
    if incident.policy.builtin:
        subject = incident.target.removeprefix("policy:")
        raise UnableToExplain(
            f"Incident {incident_id} is about policy {subject} itself, and nothing that was measured: "
            f"{incident.status_reason} GET /api/v1/policies/{subject} shows the actions that were counted."
        )
    at = now if incident.live else incident.last_evaluated_at
    return _explain(incident.policy, incident.policy_version, incident, incident.target, at=at, now=now)


def of_action(action_id: int, *, now: datetime) -> ActionExplanation:
    """An action: what was seen when it was ordered, every attempt, and what fresh data said of it."""
    action = queries.get(action_id)
    ordered = None
    if action.incident_id is not None:
        incident = incidents.get(action.incident_id)
        ordered = _explain(
            incident.policy, incident.policy_version, incident, action.target, at=_ordered_at(action), now=now
        )
    moments = story.moments(f"action:{action.id}")
    attempts = tuple(queries.attempts_of(action.id))
    return ActionExplanation(
        action=action,
        attempts=attempts,
        moments=moments,
        ordered=ordered,
        text=_action_text(action, moments, attempts, ordered),
    )


def _ordered_at(action: ActionView) -> datetime:
    """The time that the decision was judged by: the database's clock, which dates the action, may be another one."""
    ordering = Decision.objects.filter(action_id=action.id, answer=Answer.ORDER).order_by("id").first()
    return action.created_at if ordering is None else ordering.at


def _incident_at(policy: Policy, target: str, at: datetime) -> Incident | None:
    began = Incident.objects.filter(policy=policy, target=target, since__lte=at)
    alive = began.filter(Q(resolved_at=None) | Q(resolved_at__gt=at))
    return alive.select_related("policy", "policy_version").order_by("-id").first()


def _version_at(policy: Policy, at: datetime | None) -> PolicyVersion:
    """What would be judged without an incident; a live one is judged under the version it was opened under."""
    if at is None:
        return authoring.current(policy)
    version = policy.versions.filter(created_at__lte=at).order_by("-number").first()
    if version is None:
        raise NotFound(f"There was no policy {policy.name} at {at:%Y-%m-%d %H:%M:%S} UTC: it was made later.")
    return version


def _explain(
    policy: Policy, version: PolicyVersion, incident: Incident | None, target: str, *, at: datetime, now: datetime
) -> Explanation:
    rule = book.of_version(version.pk, mode=policy.mode)
    if rule is None:
        raise UnableToExplain(f"Version {version.number} of policy {policy.name} cannot be read by this Vigil.")
    if not rule.covers(target):
        message = f"policy {policy.name} covers {rule.document.target}, which does not match {target}"
        raise Invalid(f"target: {message}.", errors=[FieldError(path="target", message=message)])
    past = at < now
    data = readings.load(rules=[rule], at=at, targets={target}, looking_back=past)
    trace = _trace(rule, target, data, at=at, was_violated=_was_violated(incident, at, past=past))
    actions = _actions(incident, at)
    decision = _decision(incident, at)
    asked = () if past else gates.every(judgement=_judgement(rule, target, data, incident, at), tried=actions, at=at)
    return Explanation(
        policy=policy.name,
        version=version.number,
        target=target,
        at=at,
        of_the_past=past,
        trace=trace,
        incident=incident,
        gates=asked if policy.enabled else (_switched_off(policy), *asked),
        decision=decision,
        actions=actions,
        text=_text(policy, target, trace, incident, asked, decision, actions, past=past, at=at),
    )


def _was_violated(incident: Incident | None, at: datetime, *, past: bool) -> bool:
    """Whether `recover` applies. Of the past only the incident's beginning is known, not every moment of calm in it."""
    if incident is None:
        return False
    return incident.since < at if past else judging.state_of(incident, None).was_violated


def _trace(rule: Rule, target: str, data: Data, *, at: datetime, was_violated: bool) -> Trace:
    try:
        return tracing.trace(
            rule.condition, data.of(rule, target), at=at, staleness=judging.staleness(), was_violated=was_violated
        )
    except Exception as error:  # the sweep records it on the policy; here a person asked
        raise UnableToExplain(f"{rule.name} cannot be judged on {target}: {type(error).__name__}: {error}") from error


def _judgement(rule: Rule, target: str, data: Data, incident: Incident | None, at: datetime) -> Judgement:
    live = {} if incident is None else {(rule.policy_id, target): incident}
    judged = judging.judge_on(data, subjects=[(rule, target)], live=live, at=at, histories=flaps.of(targets={target}))
    [judgement] = judged.judgements
    return judgement


def _actions(incident: Incident | None, at: datetime) -> tuple[ActionView, ...]:
    """Those ordered by then, also the one ordered at that very evaluation."""
    if incident is None:
        return ()
    ordered = set(
        Decision.objects.filter(incident=incident, at__lte=at, action_id__isnull=False).values_list(
            "action_id", flat=True
        )
    )
    return tuple(action for action in queries.for_incident(incident.pk) if action.id in ordered)


def _decision(incident: Incident | None, at: datetime) -> Decision | None:
    if incident is None:
        return None
    return Decision.objects.filter(incident=incident, at__lte=at).order_by("-id").first()


def _switched_off(policy: Policy) -> Gate:
    return Gate(name="enabled", passed=False, reason=f"policy {policy.name} is switched off")


def _text(
    policy: Policy,
    target: str,
    trace: Trace,
    incident: Incident | None,
    asked: Sequence[Gate],
    decision: Decision | None,
    actions: Sequence[ActionView],
    *,
    past: bool,
    at: datetime,
) -> str:
    said = [f"At {at:%Y-%m-%d %H:%M:%S} UTC:", explain.verdict(trace.verdict, policy=policy.name, target=target)]
    said += explain.parts(trace)
    said.append(explain.looked(trace))
    said.append(_incident_text(incident, past=past))
    if decision is not None:
        said.append(f"At {decision.at:%H:%M:%S} Vigil concluded ({decision.answer}): {_ended(decision.reason)}")
    said += [_action_said(action) for action in actions]
    if not policy.enabled:
        said.append(f"Policy {policy.name} is switched off, so nothing is done for it.")
    elif not past:
        said.append(_gates_text(asked))
    return " ".join(one for one in said if one)


def _incident_text(incident: Incident | None, *, past: bool) -> str:
    if incident is None:
        return "There was no incident then." if past else "There is no incident."
    began = f"Incident {incident.pk} began at {incident.since:%Y-%m-%d %H:%M:%S}"
    if incident.live:
        return f"{began} and is {incident.status}."
    return f"{began} and was live; it has ended since: {incident.get_resolution_display()}."


def _gates_text(asked: Sequence[Gate]) -> str:
    objections = [gate for gate in asked if not gate.passed]
    if not objections:
        return "Nothing stands in the way of the next step."
    first, *others = objections
    if first.name == "condition":
        return "So there is nothing to do."
    also = f" Also in the way: {', '.join(gate.name for gate in others)}." if others else ""
    return f"Vigil does not act now, because of {first.name}: {_ended(first.reason)}{also}"


def _action_said(action: ActionView) -> str:
    judged = f", and fresh data calls it {action.verification}" if action.verification else ""
    needs = " and needs a human" if action.needs_human else ""
    return f"Action {action.id} ({action.kind} on {action.target}) is {action.status}{needs}{judged}."


def _action_text(
    action: ActionView, moments: Sequence[Moment], attempts: Sequence[AttemptView], ordered: Explanation | None
) -> str:
    said = [f"Action {action.id} ({action.kind} on {action.target}) was ordered by {action.ordered_by}:"]
    said.append(_ended(action.reason or "no reason was given"))
    if ordered is not None:
        said.append(explain.looked(ordered.trace))
    for attempt in attempts:
        outcome = attempt.outcome or "no answer yet"
        told = f" ({attempt.message})" if attempt.message else ""
        said.append(f"Attempt {attempt.number} at {attempt.intent_at:%H:%M:%S}: {outcome}{told}.")
    last = moments[-1] if moments else None
    if last is not None and last.reason:
        said.append(f"Last, at {last.at:%H:%M:%S}: {_ended(last.reason)}")
    said.append(_action_said(action))
    return " ".join(one for one in said if one)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
