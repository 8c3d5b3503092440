"""Puts right what died on the way: leases, deadlines, doubts, hints. Run it as often as you like, wherever you like."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile

import structlog
from django.db import DatabaseError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from actions import asking, consent, control, hints, line, retry, transitions
from actions.models import Action
from actions.states import CLAIMABLE, State
from vigil.kernel import context, failpoints
from vigil.kernel.database import database_now, tx
from vigil.telemetry import metrics

logger = structlog.get_logger(__name__)

ACTOR = "dispatcher"
HINT_AGAIN_AFTER = timedelta(seconds=15)
LOSSES_MAX = 2
"""Leases an action may lose: the second time it may be what kills the worker, and a person looks at it."""

_BATCH = 200

_LEASE_OVER = Q(lease_expires_at__lte=Now())
_PAST_DEADLINE = Q(deadline__lte=Now())
_UNHEARD = Q(approval_expires_at__lte=Now())


def run(*, at: datetime) -> dict[str, int]:
    """One whole pass: how much of what was put right.

    Comparisons use the database's clock; `at` only dates the log.
    """
    return put_right(at=at) | ask(at=at)


def put_right(*, at: datetime) -> dict[str, int]:
    """Leases, deadlines and hints: the part of a pass that waits for nobody outside."""
    return _each_of(
        {
            "leases_returned": _return_leases,
            "executions_lost": _doubt_executions,
            "expired": _expire,
            "unapproved": _expire_unapproved,
            "hinted": _hint,
        },
        at=at,
    )


def ask(*, at: datetime) -> dict[str, int]:
    """Doubts: remediators are asked, and may let us wait."""
    return _each_of({"unknown_settled": asking.settle_unknown, "accepted_settled": asking.poll_accepted}, at=at)


def _each_of(steps: Mapping[str, Callable[[], int]], *, at: datetime) -> dict[str, int]:
    """A step that fails is logged and counted and stops no other."""
    return {name: _attempted(name, step, at=at) for name, step in steps.items()}


def _attempted(name: str, step: Callable[[], int], *, at: datetime) -> int:
    try:
        return step()
    except Exception:
        logger.exception("actions.reaper.step_failed", step=name, at=at.isoformat())
        metrics.dispatcher_reaped_total.labels(what=f"{name}_failed").inc()
        return 0


def _return_leases() -> int:
    """A worker that died before it sent anything: the action goes back to its line."""
    return _each(Action.objects.filter(_LEASE_OVER, state=State.LEASED), _return_lease)


def _return_lease(row: Action) -> bool:
    losses = row.lease_losses + 1
    if losses >= LOSSES_MAX:
        goal, reason = State.NEEDS_HUMAN, f"{losses} workers were lost with it: it may be what kills them"
    elif row.cancel_requested_at is not None:
        goal, reason = State.CANCELLED, "cancelled before it began"
    else:
        goal, reason = State.READY, "its worker was lost before it sent anything"
    return _lose_lease(row, goal=goal, reason=reason, losses=losses)


def _doubt_executions() -> int:
    """A worker that died after it committed the intent: nobody knows what the remediator got."""
    return _each(Action.objects.filter(_LEASE_OVER, state=State.EXECUTING), _doubt_execution)


def _doubt_execution(row: Action) -> bool:
    losses = row.lease_losses + 1
    if losses >= LOSSES_MAX:
        reason = f"{losses} workers were lost with it: it may be what kills them"
        return _lose_lease(row, goal=State.NEEDS_HUMAN, reason=reason, losses=losses)
    reason = "its worker was lost while calling: asking the remediator by key"
    return _lose_lease(row, goal=State.UNKNOWN, reason=reason, losses=losses)


def _lose_lease(row: Action, *, goal: State, reason: str, losses: int) -> bool:
    now = database_now()
    wait = retry.ask_again_in(0) if goal == State.UNKNOWN else timedelta(0)
    return transitions.move(
        action_id=row.pk,
        origin=State(row.state),
        goal=goal,
        because=transitions.why(actor=ACTOR, reason=reason, lease_losses=losses, worker=row.lease_owner),
        at=now,
        where=_LEASE_OVER,
        equal={"state_seq": row.state_seq},  # a cancellation meanwhile changes the goal
        values={"lease_losses": losses, "run_after": now + wait, "asked": 0, "details": reason},
    )


def _expire() -> int:
    """Nothing starts after its deadline; what waits for it is over."""
    return _each(Action.objects.filter(_PAST_DEADLINE, state__in=CLAIMABLE), _expire_one)


def _expire_one(row: Action) -> bool:
    reason = "its deadline passed before it could run"
    return transitions.move(
        action_id=row.pk,
        origin=State(row.state),
        goal=State.EXPIRED,
        because=transitions.why(actor=ACTOR, reason=reason, deadline=row.deadline.isoformat()),
        at=database_now(),
        where=_PAST_DEADLINE,
        values={"details": row.details or reason},
    )


def _expire_unapproved() -> int:
    """Nobody said a word in time. What is still wrong is proposed again by the next evaluation."""
    waited = Action.objects.filter(_UNHEARD, state=State.AWAITING_APPROVAL)
    return _each(waited, _expire_one_unapproved)


def _expire_one_unapproved(row: Action) -> bool:
    reason = f"nobody approved it in time: it waited for {consent.describe(row.asks)}"
    return transitions.move(
        action_id=row.pk,
        origin=State.AWAITING_APPROVAL,
        goal=State.EXPIRED,
        because=transitions.why(
            actor=ACTOR, reason=reason, people=row.people, approved_by=[one.by for one in row.approvals.all()]
        ),
        at=database_now(),
        where=_UNHEARD,
        values={"details": reason},
    )


def _each(rows: QuerySet[Action], put_right: Callable[[Action], bool]) -> int:
    """One short transaction for each, so that one that cannot be put right now keeps no other waiting."""
    changed = 0
    for row in list(rows.order_by("id")[:_BATCH]):
        with context.bind(request_id=row.request_id):
            try:
                changed += tx(partial(put_right, row))
            except DatabaseError:
                logger.exception("actions.reaper.row_failed", action_id=row.pk, state=row.state)
    return changed


def _hint() -> int:
    """A waiting row that nobody was told of lately is the outbox: mark, commit, then publish."""
    if control.state().mode != "active":
        return 0
    due = dict(line.due().filter(_silent(database_now())).values_list("id", "request_id")[:_BATCH])
    if not due:
        return 0
    tx(lambda: _mark(list(due)))
    failpoints.hit("sweep.between_mark_and_publish")
    return sum(1 for _ in takewhile(_told, due.items()))


def _told(row: tuple[int, str]) -> bool:
    """Hint at one action, under the request that ordered it; False when nothing goes out."""
    action_id, ordered_under = row
    with context.bind(request_id=ordered_under or context.request_id()):
        return hints.publish([action_id]) == 1


def _mark(ids: list[int]) -> int:
    now = database_now()
    return Action.objects.filter(_silent(now), pk__in=ids).update(
        hinted_at=now, hint_count=F("hint_count") + 1, turned_away_at=None
    )


def _silent(now: datetime) -> Q:
    """Not hinted for a while, or not since it became due."""
    return Q(hinted_at__isnull=True) | Q(hinted_at__lte=now - HINT_AGAIN_AFTER) | Q(hinted_at__lt=F("run_after"))
