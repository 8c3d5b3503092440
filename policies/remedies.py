"""What to do about an open incident: order the next step of its remedy, or say why not."""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

import structlog
from django.conf import settings

from actions import consent, queries, steering, verifications
from actions.consent import Asks
from actions.guards import GateAnswer
from actions.queries import ActionView
from policies import book, deciding, demotion, flaps, incidents, judging, oscillation, proposals, quality, verification
from policies.deciding import Decided, Group
from policies.engine import flapping
from policies.engine.lifecycle import Transition
from policies.engine.values import Outcome
from policies.flaps import Noted
from policies.fleets import Fleets
from policies.incidents import Lost
from policies.judging import Judgement
from policies.models import Incident, Mode, Resolution
from policies.muting import kept
from vigil.kernel import patience
from vigil.kernel.database import tx
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A judgement carried out."""

    judgement: Judgement
    incident: Incident | None
    transition: Transition | None = None
    decided: Decided | None = None
    noted: Noted | None = None
    """What was added to the pair's history when its incident moved."""
    news: bool = False
    """Whether anything was written that was not known before."""
    relapsed: bool = False
    """Whether a remedy that had helped before turned out to have helped only for a while."""


def settle(
    *, judgements: Sequence[Judgement], at: datetime, allowed: Callable[[], bool] = patience.unlimited
) -> list[Settled]:
    """Carry out judgements: each that changes something in a transaction of its own, the rest noted in one statement.

    A pair whose transaction fails stays as it was, and so do all from the one on before which `allowed` says no; the
    next evaluation meets them again.
    """
    flaps.tell(flaps.note_all([j.result for j in judgements if _adds_to_history(j)], at=at))
    still = [j for j in judgements if j.step.transition is None and j.incident is not None]
    acting = [j for j in still if j.acts]
    tried = _tried_by(acting, at)
    together = _together(judgements)
    groups = Fleets(at=at)
    groups.look({(j.rule, deciding.group(j)) for j in judgements if j.acts and j.rule.mode == Mode.AUTO})
    again = deciding.repeated(acting, tried=tried, together=together, groups=groups, at=at)
    settled = []
    for judgement in takewhile(lambda _: allowed(), _sources_first(judgements, at)):
        known = again.get(judgement.incident.pk) if judgement.incident is not None else None
        try:
            bad = together.get(deciding.group(judgement), frozenset())
            settled.append(_settle(judgement, known, bad, groups, at))
        except Exception as error:  # one pair that cannot be settled must not stop the others
            log.exception(
                "policies.remedies.not_settled", policy=judgement.rule.name, target=judgement.target, reason=str(error)
            )
    noted = sorted(still, key=lambda j: j.incident.pk if j.incident is not None else 0)
    seen = [(j.incident, j.step.state, j.verdict) for j in noted if j.incident is not None]
    if seen:
        tx(lambda: incidents.touch(seen, at=at))
    return settled


def _adds_to_history(judgement: Judgement) -> bool:
    """A result without a transition; what a transition adds is kept together with it."""
    return judgement.step.transition is None and judgement.step.state.history != judgement.history


def _together(judgements: Sequence[Judgement]) -> dict[Group, frozenset[str]]:
    """The targets of each group that are bad by these judgements."""
    groups: dict[Group, set[str]] = defaultdict(set)
    for judgement in judgements:
        if judgement.acts:
            groups[deciding.group(judgement)].add(judgement.target)
    return {group: frozenset(targets) for group, targets in groups.items()}


def _sources_first(judgements: Sequence[Judgement], at: datetime) -> Sequence[Judgement]:
    """What holds others back opens before what it holds back is decided."""
    if not kept.current(at).inhibitions or not any(j.acts for j in judgements):
        return judgements
    return sorted(judgements, key=lambda j: not (j.acts and kept.may_be_source(deciding.subject(j, j.incident), at=at)))


def _tried_by(acting: Sequence[Judgement], at: datetime) -> dict[int, list[ActionView]]:
    """The actions of incidents that are bad now. One that had helped, and after which it is bad again, has relapsed."""
    ids = [j.incident.pk for j in acting if j.incident is not None]
    tried = queries.for_incidents(ids) if ids else {}
    helped = [
        (action, j.rule)
        for j in acting
        if j.incident is not None
        for action in tried.get(j.incident.pk, [])
        if action.verification == "effective"
    ]
    if helped and verification.relapsed(helped, at=at):
        return queries.for_incidents(ids)
    return tried


def verify_due(*, at: datetime, targets: Collection[str] | None = None) -> int:
    """Judge actions whose settle time is over on samples newer than their end; returns how many got their result."""
    return verification.run(at=at, targets=targets)


def still_wanted(
    *, action_id: int, incident_id: int | None, policy_name: str, target: str, kind: str, at: datetime
) -> GateAnswer:
    """Asked right before an action is sent: is what it was ordered for still so, on fresh data?"""
    if incident_id is None:
        return GateAnswer(wanted=True, reason="It was ordered by hand.")
    incident = Incident.objects.select_related("policy", "policy_version").filter(pk=incident_id).first()
    action = queries.get(action_id)
    objection = _objection(incident) or _unasked(incident, action)
    if incident is None or objection:
        return GateAnswer(wanted=False, reason=objection)
    judged = judging.judge(book=book.current(at), pairs={(incident.policy_id, target)}, at=at)
    if not judged.judgements:
        return GateAnswer(wanted=False, reason=f"Policy {policy_name} cannot be judged now, so nothing is done for it.")
    judgement = judged.judgements[0]
    mute = kept.why_not_begun(
        deciding.subject(judgement, incident),
        acts_in_maintenance=judgement.rule.document.act_in_maintenance,
        ordered_at=action.created_at,
        at=at,
    )
    if mute is not None:
        return GateAnswer(wanted=False, reason=mute.reason)
    freeze = oscillation.standing(policy=policy_name, target=target)
    if freeze is not None:
        return GateAnswer(wanted=False, reason=oscillation.reason(freeze))
    if judgement.step.state.flapping:
        return GateAnswer(wanted=False, reason=flapping.reason(judgement.step.state.history))
    return _gate(judgement, at, asks=action.waits_for_a_word)


def _objection(incident: Incident | None) -> str:
    if incident is None:
        return "Its incident is gone."
    if not incident.live:
        return f"Incident {incident.pk} is resolved ({incident.get_resolution_display()})."
    if incident.policy.deleted_at is not None or not incident.policy.enabled:
        return f"Policy {incident.policy.name} is no longer in force."
    if incident.policy.mode == Mode.OBSERVE:
        return f"Policy {incident.policy.name} only observes now."
    return ""


def _unasked(incident: Incident | None, action: ActionView) -> str:
    """A policy that was demoted since wants a word that nobody was asked for."""
    if incident is None or action.by_hand:
        return ""
    asks = proposals.asks_of(incident.policy.mode)
    if asks.strength <= Asks(action.asks).strength:
        return ""
    return (
        f"Policy {incident.policy.name} now waits for {consent.describe(asks)}, which this action was not to wait for."
    )


def _gate(judgement: Judgement, at: datetime, *, asks: bool) -> GateAnswer:
    verdict = judgement.verdict
    if judgement.counts_as_violated:
        doubt = quality.objection(judgement.rule, verdict, at=at)
        if doubt is not None:
            return GateAnswer(wanted=False, reason=doubt.reason)
        # What waits for somebody's word is asked about by the guards once more, and they want to know the fleet.
        fleet = Fleets(at=at).of(judgement.rule, deciding.group(judgement), frozenset()) if asks else None
        return GateAnswer(wanted=True, reason=f"Still so: {verdict.reason}", limits=judgement.rule.limits, fleet=fleet)
    if verdict.outcome is Outcome.HEALTHY:
        return GateAnswer(wanted=False, reason=f"No longer so: {verdict.reason}")
    return GateAnswer(wanted=False, reason=f"No fresh data says that it is still so: {verdict.reason}")


def _settle(
    judgement: Judgement, known: Decided | None, together: frozenset[str], groups: Fleets, at: datetime
) -> Settled:
    """`known` is what was decided before and would only be decided again."""
    if judgement.step.transition is None and (known is not None or not judgement.acts):
        return Settled(judgement=judgement, incident=judgement.incident, decided=known)
    settled = tx(lambda: _carry_out(judgement, together, groups, at))
    if settled.relapsed:
        demotion.review({judgement.rule.name}, at=at)
    if settled.news:
        _tell(settled)
    return settled


def _carry_out(judgement: Judgement, together: frozenset[str], groups: Fleets, at: datetime) -> Settled:
    """One transaction: the incident's move, its audit entry, the decision, and the action with its own entry."""
    transition = judgement.step.transition
    incident = _moved(judgement, at) if transition is not None else incidents.hold(judgement.incident)
    if isinstance(incident, Lost):
        return Settled(judgement=judgement, incident=incident.incident)
    relapsed = transition is Transition.OPENED and _mark_relapse(incident, at)
    if transition is Transition.RESOLVED:
        reason = f"incident {incident.pk} is over: {judgement.step.reason}"
        steering.withdraw_waiting(incident_id=incident.pk, reason=reason, at=at)
    noted = None if transition is None else flaps.note(judgement.result, incident=incident, at=at)
    if noted is not None:
        incident = noted.incident or incident
        judgement = _knowing(judgement, noted)
    if not judgement.acts:
        return Settled(
            judgement=judgement, incident=incident, transition=transition, noted=noted, news=True, relapsed=relapsed
        )
    tried = queries.for_incident(incident.pk)  # now that nobody else can order for this incident
    decided = deciding.decide(
        judgement=judgement, incident=incident, tried=tried, together=together, groups=groups, at=at
    )
    wrote = _note(incident, decided, at)
    return Settled(
        judgement=judgement,
        incident=incident,
        transition=transition,
        decided=decided,
        noted=noted,
        news=wrote or transition is not None,
        relapsed=relapsed,
    )


def _knowing(judgement: Judgement, noted: Noted) -> Judgement:
    """The judgement with the history as it was kept: others may have added to it meanwhile."""
    step = replace(judgement.step, state=replace(judgement.step.state, history=noted.history))
    return replace(judgement, step=step)


def _moved(judgement: Judgement, at: datetime) -> Incident | Lost:
    return incidents.apply(
        rule=judgement.rule,
        target=judgement.target,
        incident=judgement.incident,
        verdict=judgement.verdict,
        step=judgement.step,
        at=at,
        tags=judgement.tags,
    )


def _note(incident: Incident, decided: Decided, at: datetime) -> bool:
    """Write the decision down if it is news, and mark an incident whose ladder has ended."""
    written = incidents.decide(
        incident=incident,
        answer=decided.answer,
        guard=decided.guard,
        reason=decided.reason,
        numbers=decided.numbers,
        action_id=decided.action.id if decided.action is not None else None,
        at=at,
    )
    if decided.exhausts and not incident.exhausted:
        incidents.exhaust(incident, reason=decided.reason, at=at)
    return written is not None


def _mark_relapse(incident: Incident, at: datetime) -> bool:
    """Bad again soon after a remedy seemed to help: that remedy is recorded as relapsed. Whether there was any."""
    earlier = Incident.objects.filter(policy_id=incident.policy_id, target=incident.target, pk__lt=incident.pk)
    last = earlier.filter(resolution=Resolution.HEALED).order_by("-id").first()
    if last is None:
        return False
    relapsed = False
    watched_since = at - timedelta(seconds=settings.VIGIL_RELAPSE_SECONDS)
    for action in queries.for_incident(last.pk):
        if (
            action.verification == "effective"
            and action.finished_at is not None
            and action.finished_at >= watched_since
        ):
            relapsed |= verifications.record(
                action_id=action.id,
                verification="relapsed",
                reason=f"Bad again after {(at - action.finished_at).total_seconds():.0f} s, as incident {incident.pk}.",
                numbers={"incident_id": incident.pk, "relapse_seconds": settings.VIGIL_RELAPSE_SECONDS},
                at=at,
            )
    return relapsed


def _tell(settled: Settled) -> None:
    """Count it and log it, after the commit."""
    judgement, incident, decided = settled.judgement, settled.incident, settled.decided
    if settled.transition is not None:
        telemetry.incidents_total.labels(transition=settled.transition.value).inc()
    if incident is not None and settled.transition is Transition.RESOLVED and incident.opened_at is not None:
        telemetry.time_to_heal_seconds.observe((incident.resolved_at - incident.opened_at).total_seconds())  # type: ignore[operator]
    flaps.tell([settled.noted] if settled.noted is not None else [])
    log.log(
        logging.DEBUG if judgement.step.state.flapping else logging.INFO,  # its beginning and its end are told above
        "policies.evaluation.changed",
        policy=judgement.rule.name,
        version=judgement.rule.number,
        target=judgement.target,
        incident_id=incident.pk if incident is not None else None,
        verdict=judgement.verdict.outcome.value,
        transition=settled.transition.value if settled.transition is not None else None,
        reason=judgement.step.reason,
        decision=decided.answer.value if decided is not None else None,
        decision_reason=decided.reason if decided is not None else None,
        action_id=decided.action.id if decided is not None and decided.action is not None else None,
    )
    if decided is not None and decided.exhausts:
        log.error(
            "policies.incident.exhausted",
            incident_id=incident.pk if incident is not None else None,
            reason=decided.reason,
        )
