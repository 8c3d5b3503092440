"""What should happen about an open incident now: nothing, wait, a hold with its reason, or an order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from actions import consent, control, dispatch, foresight
from actions.control import ControlState
from actions.foresight import Wish
from actions.guards import Fleet
from actions.queries import ActionView
from policies import filling, incidents, ladder, oscillation, proposals, quality
from policies.book import Rule
from policies.engine import flapping, lifecycle, modes, muting, planning, rendering
from policies.engine.muting import Mute, Subject
from policies.fleets import Fleets
from policies.judging import Judgement
from policies.models import Answer, Decision, Freeze, Incident, Mode
from policies.muting import common_causes, kept
from vigil.kernel.errors import VigilError
from vigil.telemetry import metrics as telemetry

type Group = tuple[int, str | None]
"""A policy's id, and the group that its targets form together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was concluded about an incident at one evaluation."""

    answer: Answer
    reason: str
    guard: str = ""
    numbers: Mapping[str, object] | None = None
    action: ActionView | None = None
    """The action ordered now, or the one that is the reason why none is."""
    exhausts: bool = False
    """There is no step left: the incident needs a person."""


def group(judgement: Judgement) -> Group:
    """The group that the judged target belongs to."""
    return judgement.rule.policy_id, common_causes.group_of(judgement.rule, judgement.tags)


def subject(judgement: Judgement, incident: Incident | None) -> Subject:
    """The incident as matchers see it, also before it exists."""
    return Subject(
        target=judgement.target,
        policy=judgement.rule.name,
        severity=judgement.rule.severity if incident is None else incident.severity,
        tags=judgement.tags if incident is None else incident.tags,
        incident_id=None if incident is None else incident.pk,
    )


def decide(
    *,
    judgement: Judgement,
    incident: Incident,
    tried: Sequence[ActionView],
    at: datetime,
    together: frozenset[str] = frozenset(),
    groups: Fleets | None = None,
) -> Decided:
    """What should happen about an open incident now; orders the action when that is the answer.

    `together` are the targets of its group that the same readings found bad, `groups` what is known of such groups.
    """
    settled = undisputed(judgement, incident, tried, at)
    if settled is not None:
        return settled
    plan = ladder.plan(rule=judgement.rule, tried=tried, at=at)
    if isinstance(plan, planning.Take):
        fleet = (groups or Fleets(at=at)).of(judgement.rule, group(judgement), together)
        return _take(judgement, incident, plan, together, fleet, at)
    return _standing(plan, tried)


def repeated(
    judgements: Sequence[Judgement],
    *,
    tried: Mapping[int, Sequence[ActionView]],
    together: Mapping[Group, frozenset[str]],
    groups: Fleets,
    at: datetime,
) -> dict[int, Decided]:
    """By incident, for live ones that are bad and do not move: what would only be decided again, word for word.

    Most of what is held stays held for the same reason; this finds it out in a few queries for all of them.
    """
    asked = {judgement.incident.pk: judgement for judgement in judgements if judgement.incident is not None}
    last = incidents.newest_decisions(asked.keys())
    asked = {number: judgement for number, judgement in asked.items() if number in last}
    if not asked:
        return {}
    switch = control.state()
    said: dict[int, Decided] = {}
    wishes: dict[int, Wish] = {}
    for number, judgement in asked.items():
        fleet = groups.of(judgement.rule, group(judgement), together.get(group(judgement), frozenset()))
        answer = _without_asking(judgement, tried.get(number, ()), switch, fleet, at)
        if isinstance(answer, Decided):
            said[number] = answer
        elif answer is not None and last[number].answer == Answer.HOLD:
            wishes[number] = answer
    said |= _held(wishes, asked, together)
    again = {number: decided for number, decided in said.items() if _same(decided, last[number])}
    for number in again.keys() & wishes.keys():
        telemetry.guard_decisions_total.labels(guard=again[number].guard, answer="hold").inc()
    return again


def _same(decided: Decided, last: Decision) -> bool:
    return incidents.says(last, answer=decided.answer, guard=decided.guard, reason=decided.reason)


def _without_asking(
    judgement: Judgement, tried: Sequence[ActionView], switch: ControlState, fleet: Fleet | None, at: datetime
) -> Decided | Wish | None:
    """The decision if no guard has a say in it, else what the guards are to be asked."""
    if judgement.incident is None:
        return None
    settled = undisputed(judgement, judgement.incident, tried, at)
    plan = ladder.plan(rule=judgement.rule, tried=tried, at=at)
    if settled is not None or not isinstance(plan, planning.Take):
        return settled
    rule = judgement.rule
    action = plan.what.action
    return _objection(judgement, action, switch, at) or Wish(
        kind=action, target=judgement.target, policy_name=rule.name, limits=rule.limits, fleet=fleet
    )


def _held(
    wishes: Mapping[int, Wish], asked: Mapping[int, Judgement], together: Mapping[Group, frozenset[str]]
) -> dict[int, Decided]:
    """What the guards hold, but for policies whose brake may have a say before them."""
    braked = _maybe_braked([asked[number] for number in wishes], together)
    free = {number: wish for number, wish in wishes.items() if asked[number].rule.policy_id not in braked}
    holds = foresight.holds(free.values())
    return {
        number: Decided(
            answer=Answer.HOLD, guard=holds[wish].guard, reason=holds[wish].reason, numbers=holds[wish].numbers
        )
        for number, wish in free.items()
        if wish in holds
    }


def _maybe_braked(judgements: Sequence[Judgement], together: Mapping[Group, frozenset[str]]) -> set[int]:
    """Policies with enough bad targets for a common cause."""
    brakes = {j.rule.policy_id for j in judgements if j.rule.brake.percent < 100}
    if not brakes:
        return set()
    bad = incidents.live_by_policy(brakes)
    now = Counter({policy_id: len(targets) for (policy_id, _), targets in together.items()})
    return {number for number in brakes if max(bad.get(number, 0), now[number]) >= muting.LEAST_BAD}


def undisputed(judgement: Judgement, incident: Incident, tried: Sequence[ActionView], at: datetime) -> Decided | None:
    """What can be said without asking any guard: something is under way, it is muted, it flaps, or nothing is left."""
    plan = ladder.plan(rule=judgement.rule, tried=tried, at=at)
    if isinstance(plan, planning.Wait):
        return _standing(plan, tried)
    acts_in_maintenance = judgement.rule.document.act_in_maintenance
    mute = kept.why(subject(judgement, incident), acts_in_maintenance=acts_in_maintenance, at=at)
    if mute is not None:
        return _muted(mute)
    if judgement.step.state.flapping:
        return _flapping(judgement)
    return _standing(plan, tried) if isinstance(plan, planning.GiveUp) else None


def _muted(mute: Mute) -> Decided:
    return Decided(answer=Answer.HOLD, guard=mute.kind.value, reason=mute.reason, numbers=mute.numbers)


def _flapping(judgement: Judgement) -> Decided:
    history, limits = judgement.step.state.history, judgement.rule.timings.flap
    return Decided(
        answer=Answer.HOLD,
        guard="flapping",
        reason=flapping.reason(history),
        numbers=flapping.numbers(history, limits),
    )


def _standing(plan: planning.Wait | planning.GiveUp, tried: Sequence[ActionView]) -> Decided:
    """Nothing to order: something is under way, or nothing is left."""
    if isinstance(plan, planning.Wait):
        return Decided(answer=Answer.NOTHING, guard="in_progress", reason=ladder.reason(plan), action=_latest(tried))
    return Decided(
        answer=Answer.REFUSE, guard="exhausted", reason=ladder.reason(plan), action=_latest(tried), exhausts=True
    )


def _take(
    judgement: Judgement,
    incident: Incident,
    plan: planning.Take,
    together: frozenset[str],
    fleet: Fleet | None,
    at: datetime,
) -> Decided:
    rule, step = judgement.rule, plan.what
    objection = _objection(judgement, step.action, control.state(), at)
    if objection is not None:
        return objection
    if modes.asks(rule.mode) and not proposals.still_in(rule.mode, policy_id=rule.policy_id):
        return Decided(answer=Answer.HOLD, guard="mode", reason="The policy's mode was changed a moment ago.")
    cause = common_causes.check(rule=rule, incident=incident, together=together, at=at)
    if cause is not None:
        return _muted(cause)
    freeze = oscillation.check(policy=rule.name, target=judgement.target, at=at)
    if freeze is not None:
        return _frozen(freeze)
    try:
        answer = dispatch.order(
            kind=step.action,
            target=judgement.target,
            params=step.params if plan.undoing else filling.params(step.params, judgement=judgement, incident=incident),
            key=ladder.key(rule, incident_id=incident.pk, take=plan),
            reason=f"{plan.reason}: {judgement.verdict.reason}" if plan.undoing else judgement.verdict.reason,
            actor=f"policy:{rule.name}",
            at=at,
            incident_id=incident.pk,
            policy_name=rule.name,
            policy_version=rule.number,
            severity=rule.severity,
            limits=rule.limits,
            fleet=fleet,
            settle=rule.document.proof(plan.step).settle,
            verified=not plan.undoing,
            asks=proposals.asks_of(rule.mode),
            asked_by=proposals.asked_by(rule.mode, policy_name=rule.name),
        )
    except rendering.UnableToRender as error:
        return Decided(answer=Answer.REFUSE, guard=filling.GUARD, reason=str(error))
    except VigilError as error:
        guard, reason = filling.refusal(error, step.params)
        return Decided(answer=Answer.REFUSE, guard=guard, reason=reason, numbers=filling.numbers(error))
    return _answered(answer, judgement)


def _frozen(freeze: Freeze) -> Decided:
    telemetry.guard_decisions_total.labels(guard=oscillation.GUARD, answer="hold").inc()
    return Decided(
        answer=Answer.HOLD,
        guard=oscillation.GUARD,
        reason=oscillation.reason(freeze),
        numbers=oscillation.numbers(freeze),
    )


def _answered(answer: dispatch.Ordered | dispatch.Held | dispatch.Refused, judgement: Judgement) -> Decided:
    match answer:
        case dispatch.Ordered(action=action, created=True):
            reason = _ordering(action, judgement.verdict.reason)
            return Decided(answer=Answer.ORDER, reason=reason, numbers=judgement.verdict.numbers, action=action)
        case dispatch.Ordered(action=action):
            return Decided(
                answer=Answer.NOTHING,
                guard="in_progress",
                reason=f"Action {action.id} ({action.kind}) is under way.",
                action=action,
            )
        case dispatch.Held():
            return Decided(answer=Answer.HOLD, guard=answer.guard, reason=answer.reason, numbers=answer.numbers)
        case dispatch.Refused():
            return Decided(answer=Answer.REFUSE, guard=answer.guard, reason=answer.reason, numbers=answer.numbers)


def _ordering(action: ActionView, because: str) -> str:
    if not action.waits_for_a_word or action.approval_expires_at is None:
        return f"Ordered {action.kind} on {action.target}: {because}"
    until = f"{action.approval_expires_at:%H:%M:%S} UTC"
    return (
        f"Proposed {action.kind} on {action.target}, which waits for {consent.describe(action.asks)} until {until}:"
        f" {because}"
    )


def _objection(judgement: Judgement, action: str, switch: ControlState, at: datetime) -> Decided | None:
    return (
        _observing(judgement.rule, action, judgement.target, switch) or _grace(judgement, at) or _doubt(judgement, at)
    )


def _observing(rule: Rule, action: str, target: str, switch: ControlState) -> Decided | None:
    """Observing is recorded as what would have happened."""
    would = f"Would have ordered {action} on {target}"
    if rule.mode == Mode.OBSERVE:
        return Decided(answer=Answer.NOTHING, guard="mode", reason=f"{would}, but the policy only observes.")
    if switch.mode == "observe":
        why = f" ({switch.reason})" if switch.reason else ""
        return Decided(answer=Answer.NOTHING, guard="control", reason=f"{would}, but Vigil only observes{why}.")
    return None


def _grace(judgement: Judgement, at: datetime) -> Decided | None:
    until = judgement.step.in_grace_until
    if until is None or until <= at:
        return None
    reason = lifecycle.grace_reason(until)
    return Decided(answer=Answer.HOLD, guard="grace", reason=reason, numbers={"until": until.isoformat()})


def _doubt(judgement: Judgement, at: datetime) -> Decided | None:
    """What it was judged by is not good enough to act on."""
    found = quality.objection(judgement.rule, judgement.verdict, at=at)
    if found is None:
        return None
    return Decided(answer=Answer.HOLD, guard=found.guard, reason=found.reason, numbers=found.numbers)


def _latest(tried: Sequence[ActionView]) -> ActionView | None:
    return tried[-1] if tried else None
