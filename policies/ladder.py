"""Which step of a remedy comes next, from what became of an incident's actions so far."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from actions.queries import ActionView
from actions.states import State
from policies.book import Rule
from policies.engine import planning
from vigil.audit import entries

_STEP = re.compile(r":step:(\d+)$")


def plan(*, rule: Rule, tried: Sequence[ActionView], at: datetime) -> planning.NextStep:
    """The ladder as the engine wants it: each step's wait is what the document calls `after` on the one behind it."""
    steps = rule.document.steps
    waits = [*(step.after for step in steps[1:]), timedelta(0)]
    rungs = tuple(
        planning.LadderStep(action=step.action, params=step.params, wait=wait)
        for step, wait in zip(steps, waits, strict=True)
    )
    return planning.next_step(rungs, [_tried(action) for action in tried if not _never_begun(action)], at=at)


def _tried(action: ActionView) -> planning.Tried:
    return planning.Tried(step=_step_of(action), effect=_effect_of(action), ended_at=action.finished_at)


def _step_of(action: ActionView) -> int:
    found = _STEP.search(action.dedup_key)
    return int(found[1]) if found else 0


def _effect_of(action: ActionView) -> planning.Effect:
    if action.waits_for_a_word:
        return planning.Effect.ASKED
    if action.is_live:
        return planning.Effect.RUNNING
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
