"""Which step of a remedy comes next, from what became of an incident's actions so far."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from actions import queries
from actions.queries import ActionView
from actions.states import State
from policies.book import Rule
from policies.engine import planning
from vigil.audit import entries

_STEP = re.compile(r":step:(\d+)(:rollback)?$")


def plan(*, rule: Rule, tried: Sequence[ActionView], at: datetime) -> planning.NextStep:
    """The ladder as the engine wants it: each step's wait is what the document calls `after` on the one behind it."""
    done = [_tried(action) for action in tried if not _never_begun(action)]
    return planning.next_step(rungs(rule, tried=done), done, at=at)


def rungs(rule: Rule, *, tried: Sequence[planning.Tried]) -> planning.Ladder:
    """The steps of a rule. What undoes them is only looked up where one of `tried` may have to be undone."""
    mattering = any(one.effect is planning.Effect.INEFFECTIVE for one in tried)
    kinds = {step.action for step in rule.document.steps if step.rollback} if mattering else set()
    return steps_of(rule, undone_by=queries.undoing(kinds) if kinds else {})


def steps_of(rule: Rule, *, undone_by: Mapping[str, str]) -> planning.Ladder:
    """The steps of a rule, given the action types that undo others."""
    steps = rule.document.steps
    waits = [*(step.after for step in steps[1:]), timedelta(0)]
    return tuple(
        planning.LadderStep(
            action=step.action,
            params=step.params,
            wait=wait,
            undone_by=undone_by.get(step.action, "") if step.rollback else "",
        )
        for step, wait in zip(steps, waits, strict=True)
    )


def key(rule: Rule, *, incident_id: int, take: planning.Take) -> str:
    """What makes this step of this incident, or its undoing, once."""
    rollback = ":rollback" if take.undoing else ""
    return f"policy:{rule.name}:incident:{incident_id}:step:{take.step}{rollback}"


def _tried(action: ActionView) -> planning.Tried:
    return planning.Tried(
        step=step_of(action),
        effect=_effect_of(action),
        ended_at=action.finished_at,
        undoing=undoes(action),
        params=action.params,
    )


def step_of(action: ActionView) -> int:
    """The step of the ladder that an action was, from 0; the first where its key names none."""
    found = _STEP.search(action.dedup_key)
    return int(found[1]) if found else 0


def undoes(action: ActionView) -> bool:
    """Whether the action takes a step back."""
    return action.dedup_key.endswith(":rollback")


def _effect_of(action: ActionView) -> planning.Effect:
    if action.waits_for_a_word:
        return planning.Effect.ASKED
    if action.is_live:
        return planning.Effect.RUNNING
    if action.ended_ok and not action.verified:
        return planning.Effect.DONE
    if action.ended_ok:
        return planning.Effect(action.verification) if action.verification else planning.Effect.UNVERIFIED
    if action.state == State.REJECTED:
        return planning.Effect.REJECTED
    return planning.Effect.CANCELLED if action.status == "cancelled" else planning.Effect.FAILED


def _never_begun(action: ActionView) -> bool:
    """Ended before any attempt and by no person's will: expired in a pause or for want of a word, or dropped at the
    gate. Not a try."""
    if action.attempts or action.cancel_requested:
        return False
    return action.state == State.EXPIRED or (action.state == State.CANCELLED and _dropped(action))


def _dropped(action: ActionView) -> bool:
    end = entries.of(f"action:{action.id}").filter(kind=f"action.{State.CANCELLED}").last()
    return end is not None and (end.actor.startswith("worker:") or end.actor == "vigil")


def reason(plan: planning.Wait | planning.GiveUp) -> str:
    """With the time of day rather than the time left, so that the reason stays the same while it waits."""
    if isinstance(plan, planning.GiveUp) or plan.until is None:
        return plan.reason
    return f"{plan.reason.partition(';')[0]}; the next step comes at {plan.until:%H:%M:%S} UTC"
