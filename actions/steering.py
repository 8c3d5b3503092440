"""What becomes of an action by somebody's word after it was ordered: cancelled, withdrawn, ordered again, noted."""

from datetime import datetime

from django.db import transaction

from actions import consent, dispatch, queries, transitions
from actions.consent import Asks
from actions.dispatch import OrderAnswer, Ordered
from actions.guards import Limits
from actions.models import Action
from actions.queries import ActionView
from actions.states import HOLDING, LIVE, TERMINAL, State, status_of
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict, FieldError, Invalid

LONGEST_NOTES = 10_000
_RETRIABLE = frozenset({State.FAILED, State.EXPIRED, State.CANCELLED, State.REJECTED, State.NEEDS_HUMAN})


class UnableToCancel(Conflict):
    """The action is over."""

    code = "unable_to_cancel"


class UnableToRetry(Conflict):
    """The action is not over, or needs no second one."""

    code = "unable_to_retry"


def cancel(*, action_id: int, actor: str, reason: str, at: datetime) -> ActionView:
    """Cancel what waits at once; of what may be running, request it: then no further attempt starts.

    An action that needs a human is settled by this: the person says that nothing runs any more.
    """
    return tx(lambda: _cancel(action_id, transitions.why(actor=actor, reason=reason, asked_at=at.isoformat())))


def retry(*, action_id: int, actor: str, reason: str, at: datetime) -> OrderAnswer:
    """Order a failed, expired, cancelled or stuck action again, as a new action that names it in `retry_of`."""

    def place() -> OrderAnswer:
        answer = _retry(action_id, actor=actor, reason=reason, at=at)
        if not isinstance(answer, Ordered):
            transaction.set_rollback(True)  # without a new action the old one stays as it was
        return answer

    return tx(place)


def annotate(*, action_id: int, notes: str, actor: str, at: datetime) -> ActionView:
    """Replace an action's notes."""
    if len(notes) > LONGEST_NOTES or "\x00" in notes:
        raise Invalid(
            "The notes are too long, or hold a NUL.",
            errors=[FieldError(path="notes", message="at most 10,000 characters, no NUL")],
        )
    return tx(lambda: _annotate(action_id, notes, transitions.why(actor=actor, reason="", asked_at=at.isoformat())))


def cancel_pending(
    *, policy_name: str | None = None, incident_id: int | None = None, actor: str, reason: str, at: datetime
) -> int:
    """Cancel what waits for a policy or an incident, inside the caller's transaction; how many were cancelled.

    Of those at work the cancellation is requested; they are not counted.
    """
    if not policy_name and incident_id is None:
        raise ValueError("cancel_pending wants a policy or an incident: nothing never means everything.")
    rows = Action.objects.filter(state__in=LIVE).exclude(state=State.NEEDS_HUMAN).order_by("id")
    if policy_name:
        rows = rows.filter(policy_name=policy_name)
    if incident_id is not None:
        rows = rows.filter(incident_id=incident_id)
    because = transitions.why(actor=actor, reason=reason, asked_at=at.isoformat())
    now = database_now()
    return sum(_stop(row, because, now=now) == "cancelled" for row in rows.select_for_update())


def withdraw_waiting(*, incident_id: int, reason: str, at: datetime) -> int:
    """Cancel what still waits for somebody's word, as nothing is wrong any more, inside the caller's transaction."""
    because = transitions.why(actor="vigil", reason=reason, judged_at=at.isoformat())
    now = database_now()
    rows = Action.objects.filter(incident_id=incident_id, state=State.AWAITING_APPROVAL).order_by("id")
    return sum(_stop(row, because, now=now) == "cancelled" for row in rows.select_for_update())


def withdraw_unless_asked(*, policy_name: str, asks: Asks | None, reason: str, at: datetime) -> int:
    """Cancel what waits for another word than it would if the policy ordered it now, inside the caller's transaction.

    `asks` is what the policy asks for by now; None: it orders nothing any more. What people ordered goes on waiting.
    """
    because = transitions.why(actor="vigil", reason=reason, judged_at=at.isoformat())
    now = database_now()
    rows = Action.objects.filter(policy_name=policy_name, by_hand=False, state=State.AWAITING_APPROVAL).order_by("id")
    locked = rows.select_for_update(of=("self",)).select_related("action_type")
    stale = [row for row in locked if asks is None or not _still_waits_for(row, asks)]
    return sum(_stop(row, because, now=now) == "cancelled" for row in stale)


def _locked(action_id: int) -> Action:
    queries.get(action_id)  # says so in a sentence when there is none
    return Action.objects.select_for_update().get(pk=action_id)


def _cancel(action_id: int, because: transitions.Why) -> ActionView:
    row = _locked(action_id)
    if row.state in TERMINAL:
        raise UnableToCancel(f"Action {action_id} is over ({status_of(row.state)}): there is nothing to cancel.")
    _stop(row, because, now=database_now())
    return queries.get(action_id)


def _stop(row: Action, because: transitions.Why, *, now: datetime) -> str:
    """Cancelled, requested, or nothing ("") when it was requested before."""
    state = State(row.state)
    if state not in HOLDING or state == State.NEEDS_HUMAN:
        moved = transitions.move(action_id=row.pk, origin=state, goal=State.CANCELLED, because=because, at=now)
        return "cancelled" if moved else ""
    if row.cancel_requested_at is not None:
        return ""
    transitions.remark(
        action_id=row.pk,
        state=state,
        kind="action.cancel_requested",
        because=because,
        at=now,
        # Work that was taken on is asked about, and told to stop, at once rather than at its next question.
        values={"cancel_requested_at": now, **({"run_after": now} if state == State.ACCEPTED else {})},
    )
    return "requested"


def _still_waits_for(row: Action, asks: Asks) -> bool:
    wanted = consent.need(
        kind=row.action_type_id,
        risk=row.action_type.risk,
        target=row.target,
        by_hand=False,
        protected_by=dispatch.protecting(row.target),
        asks=asks,
    )
    return (wanted.asks, wanted.people) == (row.asks, row.people)


def _retry(action_id: int, *, actor: str, reason: str, at: datetime) -> OrderAnswer:
    row = _locked(action_id)
    if row.state not in _RETRIABLE:
        raise UnableToRetry(
            f"Action {action_id} is {status_of(row.state)}: only one that failed, was cancelled or is stuck is retried."
        )
    done = row.retries.filter(state=State.SUCCEEDED).order_by("id").first()
    if done is not None:
        raise UnableToRetry(
            f"Action {action_id} was ordered again as action {done.pk}, which succeeded; for more, give a new order."
        )
    if row.state == State.NEEDS_HUMAN:
        because = transitions.why(actor=actor, reason=f"ordered again: {reason}")
        transitions.move(
            action_id=row.pk, origin=State.NEEDS_HUMAN, goal=State.FAILED, because=because, at=database_now()
        )
    return dispatch.order(
        kind=row.action_type_id,
        target=row.target,
        params=row.params,
        key=f"retry:{row.pk}",
        reason=reason or f"retry of action {row.pk}",
        actor=actor,
        at=at,
        incident_id=row.incident_id,
        policy_name=row.policy_name,
        policy_version=row.policy_version,
        severity=row.severity,
        limits=Limits(
            concurrency_group=row.concurrency_group,
            max_attempts=row.max_attempts,
            deadline=row.run_span,
        ),
        settle=row.settle,
        verified=row.verified,
        retry_of=row.pk,
        by_hand=True,
        asks=Asks.APPROVER if row.asks == Asks.APPROVER else Asks.NOBODY,  # who retries has clicked already
        asked_by=f"action {row.pk}, which this retries, needed an approver",
    )


def _annotate(action_id: int, notes: str, because: transitions.Why) -> ActionView:
    row = _locked(action_id)
    transitions.remark(
        action_id=action_id,
        state=State(row.state),
        kind="action.noted",
        because=because,
        at=database_now(),
        values={"notes": notes},
    )
    return queries.get(action_id)
