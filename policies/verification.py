"""Did the remedy help? Judged on samples newer than the action's end, once it has had time to settle."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import structlog

from actions import dispatch, queries
from actions.queries import ActionView
from policies import book, judging, readings
from policies.book import Rule
from policies.engine import conditions, evaluation
from policies.engine.conditions import Absent
from policies.engine.values import Outcome, TargetData, Verdict
from policies.models import Incident
from policies.readings import Data
from vigil.kernel.database import tx

log = structlog.get_logger(__name__)

type Result = Literal["effective", "ineffective", "unverifiable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What fresh data says of an action."""

    result: Result
    reason: str
    numbers: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """Nothing can be said yet; asked again at the next reading, sweep or dispatcher round."""

    reason: str


def run(*, at: datetime, targets: Collection[str] | None = None) -> int:
    """Judge every action whose settle time is over; returns how many got their result."""
    due = [action for action in queries.awaiting_verification(targets=targets, due_at=at) if action.incident_id]
    if not due:
        return 0
    rules = _rules(due)
    unjudgeable = [action for action in due if (action.incident_id or 0) not in rules]
    if targets is not None:  # a reading is being answered: what asks other servers is left to the dispatcher
        rules = {number: rule for number, rule in rules.items() if not rule.needs.questions}
    known = [(action, rules[action.incident_id or 0]) for action in due if (action.incident_id or 0) in rules]
    targets = {action.target for action, _ in known}
    data = readings.load(rules={rule for _, rule in known}, at=at, targets=targets)
    proofs = [(action, _proof(action, rule, data, at)) for action, rule in known]
    proofs += [(action, _without_a_rule(action, at)) for action in unjudgeable]
    return sum(_record(action, proof, at) for action, proof in proofs)


def relapsed(helped: Sequence[tuple[ActionView, Rule]], *, at: datetime) -> int:
    """Actions that had helped, on targets that are bad by the samples after them alone; returns how many relapsed."""
    data = readings.load(rules={rule for _, rule in helped}, at=at, targets={action.target for action, _ in helped})
    return sum(_relapse(action, rule, data, at) for action, rule in helped)


def prove(*, action: ActionView, rule: Rule, data: Data, at: datetime) -> Proof | NotYet:
    """Judge one action that ended well on data that was already read."""
    if action.finished_at is None or action.verify_after is None or at < action.verify_after:
        return NotYet(reason="The action has not settled yet.")
    fresh = data.of(rule, action.target, after=action.finished_at)
    newest = _newest(fresh)
    late = at >= action.verify_after + judging.staleness()
    if newest is None and rule.needs.metrics:
        return _silence(action, rule, data, at=at, late=late)
    verdict = evaluation.evaluate(rule.condition, fresh, at=at, staleness=judging.staleness(), was_violated=True)
    return _weigh(action, rule, verdict, newest=newest, at=at, late=late)


def _relapse(action: ActionView, rule: Rule, data: Data, at: datetime) -> bool:
    if action.finished_at is None:
        return False
    fresh = data.of(rule, action.target, after=action.finished_at)
    verdict = evaluation.evaluate(rule.condition, fresh, at=at, staleness=judging.staleness(), was_violated=True)
    if not verdict.violated:
        return False
    reason = f"Bad again after it had helped: {verdict.reason}"
    return tx(
        lambda: dispatch.record_verification(
            action_id=action.id, verification="relapsed", reason=reason, numbers=verdict.numbers, at=at
        )
    )


def _weigh(
    action: ActionView, rule: Rule, verdict: Verdict, *, newest: datetime | None, at: datetime, late: bool
) -> Proof | NotYet:
    settled = action.verify_after is not None and (newest is None or newest >= action.verify_after)
    match verdict.outcome:
        case Outcome.HEALTHY if _quiet_long_enough(action, rule, at):
            return Proof(result="effective", reason=f"After it: {verdict.reason}", numbers=verdict.numbers)
        case Outcome.VIOLATED if settled or late:
            return Proof(result="ineffective", reason=f"Still bad after it: {verdict.reason}", numbers=verdict.numbers)
        case Outcome.UNKNOWN if late:
            return Proof(
                result="unverifiable", reason=f"Nothing to judge by: {verdict.reason}", numbers=verdict.numbers
            )
        case _:
            return NotYet(reason=f"Not decided yet: {verdict.reason}")


def _quiet_long_enough(action: ActionView, rule: Rule, at: datetime) -> bool:
    """Where only events can violate a condition, their silence proves something once it filled the whole window."""
    if rule.needs.metrics or action.finished_at is None:
        return True
    return at - action.finished_at >= max(rule.needs.events.values(), default=timedelta(0))


def _silence(action: ActionView, rule: Rule, data: Data, *, at: datetime, late: bool) -> Proof | NotYet:
    """No sample since the action: proof of nothing, except that what was absent still is."""
    if _still_absent(action, rule, data, at):
        return Proof(result="ineffective", reason="It is still silent after the action.", numbers={})
    if not late:
        return NotYet(reason="No reading since the action ended.")
    metrics = ", ".join(sorted(rule.needs.metrics))
    return Proof(
        result="unverifiable",
        reason=f"No reading of {metrics} since the action ended, so nothing shows that it helped.",
        numbers={"finished_at": action.finished_at, "waited_until": at},
    )


def _still_absent(action: ActionView, rule: Rule, data: Data, at: datetime) -> bool:
    spans = [node.silent_for for node in conditions.walk(rule.condition) if isinstance(node, Absent)]
    if not spans or action.finished_at is None or at - action.finished_at < max(spans):
        return False
    whole = data.of(rule, action.target)
    verdict = evaluation.evaluate(rule.condition, whole, at=at, staleness=judging.staleness(), was_violated=True)
    return verdict.violated


def _newest(data: TargetData) -> datetime | None:
    moments = [series.samples[-1].at for many in data.series.values() for series in many if series.samples]
    moments += [event.at for event in data.events]
    return max(moments, default=None)


def _proof(action: ActionView, rule: Rule, data: Data, at: datetime) -> Proof | NotYet:
    try:
        return prove(action=action, rule=rule, data=data, at=at)
    except Exception as error:  # a condition that cannot be judged proves nothing, and stops no other
        log.exception("policies.verification.failed", action_id=action.id, policy=rule.name, reason=str(error))
        reason = f"The condition could not be judged: {type(error).__name__}: {error}"
        return Proof(result="unverifiable", reason=reason, numbers={})


def _without_a_rule(action: ActionView, at: datetime) -> Proof | NotYet:
    """Nobody can read what it was ordered under; a Vigil that can has the usual time to come and judge it."""
    if action.verify_after is None or at < action.verify_after + judging.staleness():
        return NotYet(reason="The policy's version cannot be read here.")
    return Proof(
        result="unverifiable",
        reason=f"This Vigil cannot read version {action.policy_version} of {action.policy_name}, under which it was "
        "ordered, so nothing shows that it helped.",
        numbers={"policy_version": action.policy_version, "waited_until": at},
    )


def _rules(due: Sequence[ActionView]) -> dict[int, Rule]:
    """By incident: the version each incident was opened under, in force or not."""
    ids = {action.incident_id for action in due if action.incident_id is not None}
    found = Incident.objects.filter(pk__in=ids).select_related("policy", "policy_version")
    rules = {incident.pk: book.of_version(incident.policy_version_id, mode=incident.policy.mode) for incident in found}
    return {incident_id: rule for incident_id, rule in rules.items() if rule is not None}


def _record(action: ActionView, proof: Proof | NotYet, at: datetime) -> bool:
    if isinstance(proof, NotYet):
        return False
    recorded = tx(
        lambda: dispatch.record_verification(
            action_id=action.id, verification=proof.result, reason=proof.reason, numbers=proof.numbers, at=at
        )
    )
    if recorded:
        log.info(
            "policies.action.verified",
            action_id=action.id,
            incident_id=action.incident_id,
            policy=action.policy_name,
            target=action.target,
            verification=proof.result,
            reason=proof.reason,
        )
    return recorded
