"""CLAIM and INTENT: two short transactions between a waiting action and its effect."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError
from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Coalesce, Now

import vigil
from actions import budgets, circuits, control, guards, line, quarantines, transitions
from actions.models import Action, Attempt, TargetGuard, with_remediators
from actions.remediators import pull, registry
from actions.states import CLAIMABLE, State
from vigil.audit.models import Entry
from vigil.kernel import failpoints
from vigil.kernel.database import database_now, tx

LEASE = timedelta(seconds=25)
"""Above the task's hard time limit (24 s): a live worker never loses its lease."""

DROPPED_FOR = timedelta(seconds=5)
"""How long an action rests whose lease was dropped, so that nothing spins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The lease on an action."""

    action_id: int
    token: int
    """The fence of this claim: only its holder may go on."""
    worker: str
    entry: Entry
    """Its newest entry in the audit."""
    remediator_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotClaimed:
    """Somebody else has it, or it must wait; nothing changed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An attempt that is committed: what is sent now is on record."""

    claim: Claimed
    row: Action
    attempt: Attempt
    entry: Entry
    """Its newest entry in the audit."""
    now: datetime
    asked_monotonic: float
    """When the switch and the deadline were looked at, by time.monotonic()."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The claim was given up before anything was sent."""

    reason: str


class _Lost(Exception):
    """Ends the claim's transaction without a trace."""


def read(action_id: int) -> Action | None:
    """The action as a worker needs it; what has become of it since is found out when it is claimed."""
    return with_remediators(Action.objects.filter(pk=action_id)).first()


def claim(*, action_id: int, worker: str, fetched: bool = False, row: Action | None = None) -> Claimed | NotClaimed:
    """Take the action for 25 s if it is due, first in its line, known here, and every cap has room.

    What a remediator of kind pull does is claimed by itself alone, when it has `fetched` the action. `row` is the
    action as it was just `read`: it is taken only if it is still at that step.
    """
    try:
        claimed = tx(lambda: _claim(row or read(action_id), worker, fetched=fetched))
    except _Lost as lost:
        return NotClaimed(reason=str(lost))
    except IntegrityError:
        return NotClaimed(reason="another action holds the target")
    failpoints.hit("claim.after_commit")
    return claimed


def intend(claimed: Claimed) -> Intent | Dropped:
    """Commit the attempt, unless switch, cancellation, deadline or lease speak against it by now."""
    answer = tx(lambda: _intend(claimed))
    failpoints.hit("intent.after_commit")
    return answer


def drop(claimed: Claimed, *, goal: State, reason: str) -> Dropped:
    """Give the lease back before anything was sent: to the line (`ready`), or for good (`cancelled`)."""
    return tx(lambda: _drop(claimed, goal=goal, reason=reason))


def _claim(found: Action | None, worker: str, *, fetched: bool) -> Claimed:
    row = _claimable(found, fetched=fetched)
    # The lease counts from before any wait for a lock: so does the time limit of the worker that it must outlive.
    control_state, now = control.state_and_time()
    answer = guards.kill_switch(control_state.switch)
    if isinstance(answer, guards.Hold):
        raise _Lost(answer.reason)
    _check_circuit(row, now=now)
    load = budgets.Load(
        kind=row.action_type_id, policy_name=row.policy_name, group=row.concurrency_group, fleet=row.fleet
    )
    room = budgets.room_to_start(load, action_id=row.pk, by_hand=row.by_hand, now=now)
    if not isinstance(room, guards.Allow):
        raise _Lost(room.reason)
    token = _next_fence(row.target)
    entry = _take(row, token=token, worker=worker, now=now)
    failpoints.hit("claim.before_commit")
    return Claimed(
        action_id=row.pk, token=token, worker=worker, entry=entry, remediator_id=row.action_type.remediator_id
    )


def _claimable(row: Action | None, *, fetched: bool) -> Action:
    if row is None:
        raise _Lost("there is no such action")
    if row.state not in CLAIMABLE:
        raise _Lost(f"it is {row.state}")
    remediator = row.action_type.remediator
    if remediator.kind not in registry.kinds(settings.VIGIL_REMEDIATORS):
        raise _Lost(f"this worker knows no remediator of kind {remediator.kind}")
    if (remediator.kind == pull.KIND) is not fetched:
        raise _Lost("its remediator fetches it" if not fetched else "its remediator is called by a worker")
    if not row.action_type.enabled or not remediator.enabled:
        raise _Lost(f"{row.action_type_id} or its remediator is switched off")
    return row


def _check_circuit(row: Action, *, now: datetime) -> None:
    """Nobody leases what could not be sent; INTENT asks again, with the circuit locked."""
    answer = circuits.before_call(row.action_type.remediator_id, now=now)
    if not isinstance(answer, guards.Allow):
        raise _Lost(answer.reason)


def _next_fence(target: str) -> int:
    """Raise the target's fence. On PostgreSQL the row's lock makes claims of one target come one by one."""
    guard = TargetGuard.objects.filter(target=target)
    if not guard.update(fence=F("fence") + 1):
        budgets.lock_target(target)
        guard.update(fence=F("fence") + 1)
    return TargetGuard.objects.values_list("fence", flat=True).get(target=target)


def _take(row: Action, *, token: int, worker: str, now: datetime) -> Entry:
    still_due = Q(
        line.unobstructed(),
        run_after__lte=Now(),
        deadline__gt=Now(),
        cancel_requested_at__isnull=True,
    )
    taken = transitions.step(
        action_id=row.pk,
        held=row,
        origin=State(row.state),
        goal=State.LEASED,
        because=transitions.why(actor=f"worker:{worker}", reason="claimed", token=token),
        at=now,
        where=still_due,
        values={"lease_owner": worker, "lease_token": token, "lease_expires_at": now + LEASE},
    )
    if taken is None:
        raise _Lost("it is not due, not first in its line, or somebody was faster")
    return taken.entry


def _intend(claimed: Claimed) -> Intent | Dropped:
    asked = time.monotonic()
    switch = guards.kill_switch(control.state().switch)
    if isinstance(switch, guards.Hold):
        return _drop(claimed, goal=State.READY, reason=switch.reason)
    circuit = circuits.lock(claimed.remediator_id)
    now = database_now()  # under the lock: what is committed while the circuit is closed also began before it opened
    answer = circuits.asked(circuit, now=now)
    if not isinstance(answer, guards.Allow):
        return _drop(claimed, goal=State.READY, reason=answer.reason)
    begun = _begin(claimed, now=now)
    if begun is None:
        return _say_why_not(claimed, now=now)
    circuits.let_through(circuit, now=now)
    row = begun.row
    attempt = Attempt.objects.create(
        action_id=row.pk,
        number=row.attempt_no,
        token=claimed.token,
        worker=claimed.worker,
        code_version=str(getattr(vigil, "__version__", "")),
        intent_at=now,
    )
    if not row.by_hand:
        quarantines.after_effect(row, now=now)
    failpoints.hit("intent.before_commit")
    return Intent(claim=claimed, row=row, attempt=attempt, entry=begun.entry, now=now, asked_monotonic=asked)


def _begin(claimed: Claimed, *, now: datetime) -> transitions.Step | None:
    mine = Q(lease_token=claimed.token, lease_owner=claimed.worker, lease_expires_at__gt=Now())
    wanted = Q(cancel_requested_at__isnull=True, deadline__gt=Now(), attempt_no__lt=F("max_attempts"))
    return transitions.step(
        action_id=claimed.action_id,
        rows=with_remediators(Action.objects.all()),
        previous=claimed.entry,
        origin=State.LEASED,
        goal=State.EXECUTING,
        because=transitions.why(actor=f"worker:{claimed.worker}", reason="about to call", token=claimed.token),
        at=now,
        where=mine & wanted,
        values={
            "attempt_no": F("attempt_no") + 1,
            "asked": 0,
            "run_id": "",
            "started_at": Coalesce(F("started_at"), Value(now, output_field=DateTimeField())),
        },
    )


def _say_why_not(claimed: Claimed, *, now: datetime) -> Dropped:
    row = Action.objects.get(pk=claimed.action_id)
    if row.state != State.LEASED or row.lease_token != claimed.token:
        return Dropped(reason="the lease was lost")
    if row.cancel_requested_at is not None:
        return _drop(claimed, goal=State.CANCELLED, reason="cancelled before it began")
    if row.deadline <= now:
        return _drop(claimed, goal=State.EXPIRED, reason="its deadline passed before it began")
    if row.attempt_no >= row.max_attempts:
        return _drop(claimed, goal=State.NEEDS_HUMAN, reason=f"no attempt left of {row.max_attempts}")
    return Dropped(reason="the lease ran out")


def _drop(claimed: Claimed, *, goal: State, reason: str) -> Dropped:
    if goal == State.READY:
        if _leave(claimed, goal=goal, reason=reason, where=Q(cancel_requested_at__isnull=True)):
            return Dropped(reason=reason)
        # Nobody claims what is to be cancelled: back in its line it would only block the target until its deadline.
        goal, reason = State.CANCELLED, "cancelled before it began"
    return Dropped(reason=reason if _leave(claimed, goal=goal, reason=reason) else "the lease was lost")


def _leave(claimed: Claimed, *, goal: State, reason: str, where: Q = transitions.ANYWHERE) -> bool:
    now = database_now()
    return transitions.move(
        action_id=claimed.action_id,
        origin=State.LEASED,
        goal=goal,
        because=transitions.why(actor=f"worker:{claimed.worker}", reason=reason, token=claimed.token),
        at=now,
        where=Q(where, lease_token=claimed.token),
        values={"run_after": now + DROPPED_FOR} if goal == State.READY else {"details": reason},
    )
