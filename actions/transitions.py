"""The one writer of an action's state: a conditional update whose row count is checked, and its audit entry with it."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from actions import signals
from actions.models import Action
from actions.states import LEASE_HELD, TERMINAL, State, may_move, status_of
from vigil.audit import entries
from vigil.audit.models import Entry
from vigil.kernel import context, statements
from vigil.telemetry import metrics

logger = structlog.get_logger(__name__)

ANYWHERE = Q()
_ONE_STEP_ON = F("state_seq") + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Who moves an action, why, and what they had in front of them: the same words go to audit and log."""

    actor: str
    reason: str
    numbers: Mapping[str, object]


def why(*, actor: str, reason: str, **numbers: object) -> Why:
    """A `Why`, written shortly."""
    return Why(actor=actor, reason=reason, numbers=numbers)


def born(row: Action, *, because: Why, at: datetime) -> None:
    """Audit and announce an action just inserted, in the same transaction."""
    _tell(row, origin="", kind=f"action.{row.state}", because=because, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A move that was made: the action as it is now, and its newest entry in the audit."""

    row: Action
    entry: Entry


def move(
    *,
    action_id: int,
    origin: State,
    goal: State,
    because: Why,
    at: datetime,
    where: Q = ANYWHERE,
    equal: Mapping[str, object] | None = None,
    values: Mapping[str, object] | None = None,
) -> bool:
    """Take the action from `origin` to `goal` if it is still there and `where` holds; False: somebody was faster.

    `at` is the database's time. `where` is a constant of its module; what varies is said in `equal`, as columns and the
    values that they must have. `values` are further columns to set.
    """
    made = step(
        action_id=action_id,
        origin=origin,
        goal=goal,
        because=because,
        at=at,
        where=where,
        equal=equal,
        values=values,
    )
    return made is not None


def step(
    *,
    action_id: int,
    origin: State,
    goal: State,
    because: Why,
    at: datetime,
    where: Q = ANYWHERE,
    equal: Mapping[str, object] | None = None,
    values: Mapping[str, object] | None = None,
    rows: QuerySet[Action] | None = None,
    held: Action | None = None,
    previous: Entry | None = None,
) -> Step | None:
    """The same, and what came of it; None: somebody was faster.

    The action is read again afterwards unless the caller has it as it is: `held` is a row that nobody else can have
    changed, because it is locked, or because it is taken only if it is still at the same step. `rows` says how to read.
    `previous` is its newest entry in the audit, where the caller wrote that.
    """
    if not may_move(origin, goal):
        raise ValueError(f"An action never goes from {origin} to {goal}.")
    changes: dict[str, object] = {"state": goal.value, "state_seq": _ONE_STEP_ON, **(values or {})}
    if goal not in LEASE_HELD:
        changes |= {"lease_owner": None, "lease_expires_at": None}
    if goal in TERMINAL:
        changes["finished_at"] = at
    same = dict(equal or {}) if held is None else {**(equal or {}), "state_seq": held.state_seq}
    if not _swap(action_id, origin, changes, where=where, equal=same):
        return None
    if held is not None:
        row = _changed(held, changes)
    else:
        row = (Action.objects.all() if rows is None else rows).get(pk=action_id)
    entry = _tell(row, origin=origin.value, kind=f"action.{goal.value}", because=because, at=at, previous=previous)
    return Step(row=row, entry=entry)


def _changed(held: Action, changes: Mapping[str, object]) -> Action:
    """The row as the database has it now. A column that only the database can work out needs `rows` instead."""
    row = copy(held)
    for name, value in {**changes, "state_seq": held.state_seq + 1}.items():
        if hasattr(value, "resolve_expression"):
            raise TypeError(f"{name} is worked out by the database: read the action again.")
        setattr(row, name, value)
    return row


def remark(
    *,
    action_id: int,
    state: State,
    kind: str,
    because: Why,
    at: datetime,
    values: Mapping[str, object],
    where: Q = ANYWHERE,
) -> bool:
    """Change something else about an action that stays in `state`; it is a numbered step as well."""
    if not _swap(action_id, state, {"state_seq": _ONE_STEP_ON, **values}, where=where, equal={}):
        return False
    row = Action.objects.get(pk=action_id)
    _audit(row, origin=state.value, kind=kind, because=because, at=at)
    transaction.on_commit(partial(_log, row, state.value, kind, because), robust=True)
    return True


def _swap(
    action_id: int, origin: State, changes: Mapping[str, object], *, where: Q, equal: Mapping[str, object]
) -> bool:
    here = {"id": action_id, "state": origin.value, **equal}
    return statements.update(Action, where=where, equal=here, values=changes) == 1


def _tell(row: Action, *, origin: str, kind: str, because: Why, at: datetime, previous: Entry | None = None) -> Entry:
    entry = _audit(row, origin=origin, kind=kind, because=because, at=at, previous=previous)
    transaction.on_commit(partial(_announce, row, origin, kind, because), robust=True)
    return entry


def _audit(row: Action, *, origin: str, kind: str, because: Why, at: datetime, previous: Entry | None = None) -> Entry:
    return entries.write(
        kind=kind,
        subject=row.subject,
        actor=because.actor,
        reason=because.reason,
        from_state=origin,
        to_state=row.state,
        numbers=because.numbers,
        seq=row.state_seq,
        at=at,
        request_id=context.request_id() or row.request_id,
        previous=previous,
    )


def _announce(row: Action, origin: str, kind: str, because: Why) -> None:
    _log(row, origin, kind, because)
    if not origin or status_of(origin) != row.status:
        metrics.actions_total.labels(action=row.action_type_id, status=row.status).inc()
    if State(row.state) in TERMINAL:
        _announce_end(row)


def _announce_end(row: Action) -> None:
    if row.started_at is not None and row.finished_at is not None:
        seconds = (row.finished_at - row.started_at).total_seconds()
        metrics.action_duration_seconds.labels(action=row.action_type_id).observe(seconds)
    signals.action_finished.send_robust(
        sender=Action,
        action_id=row.pk,
        incident_id=row.incident_id,
        target=row.target,
        status=row.status,
        verify_after=row.verify_after,
    )


def _log(row: Action, origin: str, kind: str, because: Why) -> None:
    logger.info(
        "actions.action.changed",
        kind=kind,
        action_id=row.pk,
        action=row.action_type_id,
        target=row.target,
        incident_id=row.incident_id,
        origin=origin,
        state=row.state,
        reason=because.reason,
        actor=because.actor,
        action_request_id=row.request_id,
    )
