"""Every rule that could keep Vigil from acting on a target now, each asked by itself. Nothing is stored or ordered.

`deciding` stops at the first objection; a person who asks why nothing happens wants all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from actions import dispatch, foresight, guards
from actions.foresight import Wish
from actions.queries import ActionView
from policies import deciding, filling, ladder, oscillation, proposals, quality
from policies.engine import flapping, lifecycle, planning, rendering
from policies.engine.lifecycle import Status
from policies.fleets import Fleets
from policies.judging import Judgement
from policies.models import Mode
from policies.muting import kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One rule and its answer."""

    name: str
    passed: bool
    reason: str
    numbers: Mapping[str, object] = field(default_factory=dict)


def every(*, judgement: Judgement, tried: Sequence[ActionView], at: datetime) -> tuple[Gate, ...]:
    """All gates between this judgement and an action, in the order in which an action passes them."""
    return tuple(_every(judgement, tried, at))


def _every(judgement: Judgement, tried: Sequence[ActionView], at: datetime) -> Iterator[Gate]:
    verdict, state = judgement.verdict, judgement.step.state
    yield Gate(
        name="condition", passed=judgement.counts_as_violated, reason=verdict.reason, numbers=dict(verdict.numbers)
    )
    yield Gate(name="incident", passed=judgement.acts, reason=_standing(state.status, judgement.step.reason))
    yield _mode(judgement)
    yield _grace(judgement, at)
    yield from _data(judgement, at)
    yield _mute(judgement, at)
    yield _flapping(judgement)
    yield _frozen(judgement)
    plan = ladder.plan(rule=judgement.rule, tried=tried, at=at)
    if not isinstance(plan, planning.Take):
        yield Gate(name="ladder", passed=False, reason=ladder.reason(plan))
        return
    yield Gate(name="ladder", passed=True, reason=f"the next step is {plan.what.action}")
    yield from _guards(judgement, plan.what.action, at)
    if not plan.undoing:  # it goes with what its step was ordered with
        yield from _params(judgement, plan.step)


def _standing(status: Status, reason: str) -> str:
    return f"there is no incident: {reason}" if status is Status.NONE else f"{status}: {reason}"


def _mode(judgement: Judgement) -> Gate:
    mode = judgement.rule.mode
    return Gate(name="mode", passed=mode != Mode.OBSERVE, reason=_MODES.get(mode, "the policy only observes"))


_MODES: Mapping[str, str] = {
    Mode.SUGGEST: "the policy may propose; an operator's click lets it act",
    Mode.APPROVE: "the policy may propose; an approver lets it act",
    Mode.AUTO: "the policy may act",
}


def _grace(judgement: Judgement, at: datetime) -> Gate:
    until = judgement.step.in_grace_until
    if until is None or until <= at:
        return Gate(name="grace", passed=True, reason="the policy was evaluated without a gap")
    return Gate(name="grace", passed=False, reason=lifecycle.grace_reason(until), numbers={"until": until.isoformat()})


def _data(judgement: Judgement, at: datetime) -> Iterator[Gate]:
    if not judgement.counts_as_violated:
        return
    for name, answer in quality.every(judgement.rule, judgement.verdict, at=at).items():
        yield _gate(name, answer)


def _gate(name: str, answer: guards.Answer) -> Gate:
    if isinstance(answer, guards.Allow):
        return Gate(name=name, passed=True, reason="no objection")
    return Gate(name=name, passed=False, reason=answer.reason, numbers=answer.numbers)


def _mute(judgement: Judgement, at: datetime) -> Gate:
    """Silences, maintenance, inhibition and common causes that stand."""
    subject = deciding.subject(judgement, judgement.incident)
    mute = kept.why(subject, acts_in_maintenance=judgement.rule.document.act_in_maintenance, at=at)
    if mute is None:
        return Gate(name="muting", passed=True, reason="nothing mutes it")
    return Gate(name=mute.kind.value, passed=False, reason=mute.reason, numbers=mute.numbers)


def _flapping(judgement: Judgement) -> Gate:
    history, limits = judgement.step.state.history, judgement.rule.timings.flap
    said = flapping.reason(history) if history.flapping else "it does not open and close all the time"
    return Gate(name="flapping", passed=not history.flapping, reason=said, numbers=flapping.numbers(history, limits))


def _params(judgement: Judgement, number: int) -> Iterator[Gate]:
    """Whether what is to be filled in is there; nothing for parameters that are as they are."""
    template = judgement.rule.document.steps[number].params
    if not rendering.is_filled_in(template):
        return
    incident = judgement.incident
    known = filling.facts(
        rule=judgement.rule,
        target=judgement.target,
        verdict=judgement.verdict,
        tags=judgement.tags,
        incident_id=None if incident is None else incident.pk,
    )
    try:
        rendered = rendering.render(template, known)
    except rendering.UnableToRender as error:
        yield Gate(name=filling.GUARD, passed=False, reason=str(error))
    else:
        yield Gate(name=filling.GUARD, passed=True, reason="everything is there", numbers={"params": rendered})


def _frozen(judgement: Judgement) -> Gate:
    freeze = oscillation.standing(policy=judgement.rule.name, target=judgement.target)
    if freeze is None:
        return Gate(name=oscillation.GUARD, passed=True, reason="no other policy undoes its work")
    said, numbers = oscillation.reason(freeze), oscillation.numbers(freeze)
    return Gate(name=oscillation.GUARD, passed=False, reason=said, numbers=numbers)


def _guards(judgement: Judgement, kind: str, at: datetime) -> Iterator[Gate]:
    rule = judgement.rule
    fleet = Fleets(at=at).of(rule, deciding.group(judgement), frozenset())
    wish = Wish(kind=kind, target=judgement.target, policy_name=rule.name, limits=rule.limits, fleet=fleet)
    for name, answer in foresight.every_guard(wish).items():
        yield _gate(name, answer)
    need = dispatch.needs(
        kind=kind,
        target=judgement.target,
        asks=proposals.asks_of(rule.mode),
        asked_by=f"policy {rule.name} asks first",
    )
    if need.waits:
        yield Gate(name="approval", passed=False, reason="; ".join(need.because), numbers={"people": need.people})
