"""Did the remedy help? Judged on samples newer than the action's end, once it has had time to settle."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Literal

import structlog

from actions import queries, verifications
from actions.queries import ActionView
from policies import book, demotion, documents, judging, ladder, readings
from policies.book import Rule
from policies.engine import conditions, durations, evaluation, proving
from policies.engine.conditions import Absent
from policies.engine.values import Outcome, TargetData, Verdict
from policies.models import Incident
from policies.readings import Data
from vigil.kernel import patience
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


def run(
    *, at: datetime, targets: Collection[str] | None = None, allowed: Callable[[], bool] = patience.unlimited
) -> int:
    """Judge every action whose settle time is over, as long as `allowed` says so; returns how many got their result."""
    due = [action for action in queries.awaiting_verification(targets=targets, due_at=at) if action.incident_id]
    if not due:
        return 0
    rules = _rules(due)
    unjudgeable = [action for action in due if (action.incident_id or 0) not in rules]
    if targets is not None:  # a reading is being answered: what asks other servers is left to the dispatcher
        rules = {number: rule for number, rule in rules.items() if not rule.needs.questions}
    known = [(action, rules[action.incident_id or 0]) for action in due if (action.incident_id or 0) in rules]
    targets = {action.target for action, _ in known}
    data = readings.load(rules={rule for _, rule in known}, at=at, targets=targets, back_to=_back_to(known))
    proofs = [(action, _proof(action, rule, data, at)) for action, rule in known]
    proofs += [(action, _without_a_rule(action, at)) for action in unjudgeable]
    in_time = takewhile(lambda _: allowed(), proofs)
    judged = [action for action, proof in in_time if _record(action, proof, at)]
    demotion.review({action.policy_name for action in judged}, at=at)
    return len(judged)


def relapsed(helped: Sequence[tuple[ActionView, Rule]], *, at: datetime) -> int:
    """Actions that had helped, on targets that are bad by the samples after them alone; returns how many relapsed."""
    data = readings.load(rules={rule for _, rule in helped}, at=at, targets={action.target for action, _ in helped})
    bad = [action for action, rule in helped if _relapse(action, rule, data, at)]
    demotion.review({action.policy_name for action in bad}, at=at)
    return len(bad)


def prove(*, action: ActionView, rule: Rule, data: Data, at: datetime) -> Proof | NotYet:
    """Judge one action that ended well on data that was already read."""
    if action.finished_at is None or action.verify_after is None or at < action.verify_after:
        return NotYet(reason="The action has not settled yet.")
    fresh = data.of(rule, action.target, after=action.finished_at)
    newest = _newest(fresh)
    patience = judging.staleness() + (rule.document.proof(ladder.step_of(action)).stable_for or timedelta(0))
    late = at >= action.verify_after + patience
    if newest is None and rule.needs.metrics:
        return _silence(action, rule, data, at=at, late=late)
    verdict = evaluation.evaluate(rule.condition, fresh, at=at, staleness=judging.staleness(), was_violated=True)
    if verdict.outcome is Outcome.HEALTHY:
        doubt = _doubt(action, rule, fresh, at)
        if doubt:
            return _unproved(verdict, doubt) if late else NotYet(reason=f"Not decided yet: {doubt}")
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
        lambda: verifications.record(
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


def _back_to(known: Sequence[tuple[ActionView, Rule]]) -> datetime | None:
    """How far back samples are needed because one newest sample does not prove it."""
    ends = (action.finished_at for action, rule in known if _asks_for_more(rule.document.proof(ladder.step_of(action))))
    return min((end for end in ends if end is not None), default=None)


def _asks_for_more(proof: documents.Proof) -> bool:
    return bool(proof.stable_for) or (proof.samples or 1) > 1


def _doubt(action: ActionView, rule: Rule, fresh: TargetData, at: datetime) -> str:
    """What is still missing to believe it, though the condition is healthy now; "" for nothing."""
    wanted = rule.document.proof(ladder.step_of(action))
    if not _asks_for_more(wanted):
        return ""
    stable_for = wanted.stable_for or timedelta(0)
    if not rule.needs.metrics:  # nothing was sampled: healthy since it settled is all that can be said
        waited = at - (action.verify_after or at)
        return "" if waited >= stable_for else f"healthy for less than {durations.text(stable_for)}"
    seen = proving.calm(rule.condition, fresh, at=at, staleness=judging.staleness())
    if seen.samples < (wanted.samples or 1):
        return f"{seen.samples} of {wanted.samples} samples since it ended"
    lasted = timedelta(0) if seen.healthy_since is None else at - seen.healthy_since
    if lasted < stable_for:
        return f"healthy for {lasted.total_seconds():.0f} s of {durations.text(stable_for)}"
    return ""


def _unproved(verdict: Verdict, doubt: str) -> Proof:
    return Proof(
        result="unverifiable",
        reason=f"It looks well, but too little data says so in time: {doubt}.",
        numbers=verdict.numbers,
    )


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
        lambda: verifications.record(
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
