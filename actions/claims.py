"""CLAIM and INTENT: two short transactions between a waiting action and its effect."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

import vigil
from actions import budgets, circuits, guards, line, permission, quarantines, transitions
from actions.models import Action, Attempt, with_remediators
from actions.remediators import pull, registry
from actions.states import CLAIMABLE, State
from vigil.audit import entries
from vigil.audit.models import Entry
from vigil.kernel import failpoints, statements
from vigil.kernel.database import database_now, tx
from vigil.kernel.statements import Given

LEASE = timedelta(seconds=25)
"""Above the task's hard time limit (24 s): a live worker never loses its lease."""

DROPPED_FOR = timedelta(seconds=5)
"""How long an action rests whose lease was dropped, so that nothing spins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The lease on an action."""

    row: Action
    """As it was when it was leased."""
    token: int
    """The fence of this claim: only its holder may go on."""
    worker: str
    entry: Entry
    """Its newest entry in the audit."""

    @property
    def action_id(self) -> int:
        """The action's number."""
        return self.row.pk

    @property
    def remediator_id(self) -> int:
        """Whom it is to be sent to."""
        return self.row.action_type.remediator_id


@dataclass(frozen=True, slots=True, kw_only=True)
class NotClaimed:
    """Somebody else has it, or it must wait; nothing changed."""

    reason: str
    for_room: bool = False
    """It may go as soon as some other action ends."""
    for_others: bool = False
    """Another worker may know what this one does not."""


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

    def __init__(self, reason: str, *, for_room: bool = False, for_others: bool = False) -> None:
        super().__init__(reason)
        self.for_room = for_room
        self.for_others = for_others


def read(action_id: int) -> Action | None:
    """The action as a worker needs it; what has become of it since is found out when it is claimed."""
    return _READ.one(id=action_id, subject=f"action:{action_id}")


def claim(*, action_id: int, worker: str, fetched: bool = False, row: Action | None = None) -> Claimed | NotClaimed:
    """Take the action for 25 s if it is due, first in its line, known here, and every cap has room.

    What a remediator of kind pull does is claimed by itself alone, when it has `fetched` the action. `row` is the
    action as it was just `read`: it is taken only if it is still at that step.
    """
    try:
        claimed = tx(lambda: _claim(row or read(action_id), worker, fetched=fetched))
    except _Lost as lost:
        return NotClaimed(reason=str(lost), for_room=lost.for_room, for_others=lost.for_others)
    except IntegrityError:
        return NotClaimed(reason="another action holds the target", for_room=True)
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
    seen = permission.look(row.action_type.remediator_id)
    now = seen.now
    # Nobody leases what could not be sent; INTENT asks again, with a circuit that is in trouble locked.
    for answer in (guards.kill_switch(seen.control.switch), circuits.asked(seen.circuit, now=now)):
        if not isinstance(answer, guards.Allow):
            raise _Lost(answer.reason)
    load = budgets.Load(
        kind=row.action_type_id, policy_name=row.policy_name, group=row.concurrency_group, fleet=row.fleet
    )
    room = budgets.room_to_start(load, action_id=row.pk, by_hand=row.by_hand, now=now)
    if not isinstance(room, guards.Allow):
        raise _Lost(room.reason, for_room=room.guard == "concurrency")
    token = budgets.next_fence(row.target)
    taken = _take(row, token=token, worker=worker, now=now)
    failpoints.hit("claim.before_commit")
    return Claimed(row=taken.row, token=token, worker=worker, entry=taken.entry)


def _claimable(row: Action | None, *, fetched: bool) -> Action:
    if row is None:
        raise _Lost("there is no such action")
    if row.state not in CLAIMABLE:
        raise _Lost(f"it is {row.state}")
    remediator = row.action_type.remediator
    if remediator.kind not in registry.kinds(settings.VIGIL_REMEDIATORS):
        raise _Lost(f"this worker knows no remediator of kind {remediator.kind}", for_others=True)
    if (remediator.kind == pull.KIND) is not fetched:
        raise _Lost("its remediator fetches it" if not fetched else "its remediator is called by a worker")
    if not row.action_type.enabled or not remediator.enabled:
        raise _Lost(f"{row.action_type_id} or its remediator is switched off")
    return row


def _take(row: Action, *, token: int, worker: str, now: datetime) -> transitions.Step:
    taken = transitions.step(
        action_id=row.pk,
        held=row,
        previous=entries.known(subject=row.subject, seq=row.state_seq, digest=getattr(row, "newest_digest", None)),
        origin=State(row.state),
        goal=State.LEASED,
        because=transitions.why(actor=f"worker:{worker}", reason="claimed", token=token),
        at=now,
        where=_MAY_GO,
        values={"lease_owner": worker, "lease_token": token, "lease_expires_at": now + LEASE, "turned_away_at": None},
    )
    if taken is None:
        raise _Lost("it is not due, not first in its line, or somebody was faster", for_room=True)
    return taken


def _intend(claimed: Claimed) -> Intent | Dropped:
    asked = time.monotonic()
    seen = permission.look(claimed.remediator_id)
    switch = guards.kill_switch(seen.control.switch)
    if isinstance(switch, guards.Hold):
        return _drop(claimed, goal=State.READY, reason=switch.reason)
    circuit, now = seen.circuit, seen.now
    if not circuits.calm(circuit):
        circuit = circuits.lock(claimed.remediator_id)
        now = database_now()  # under the lock: what is committed while it is closed also began before it opened
    answer = circuits.asked(circuit, now=now)
    if not isinstance(answer, guards.Allow):
        return _drop(claimed, goal=State.READY, reason=answer.reason)
    begun = _begin(claimed, now=now)
    if begun is None:
        return _say_why_not(claimed, now=now)
    circuits.let_through(circuit, now=now)
    row = begun.row
    attempt = Attempt(
        action_id=row.pk,
        number=row.attempt_no,
        token=claimed.token,
        worker=claimed.worker,
        code_version=str(getattr(vigil, "__version__", "")),
        intent_at=now,
    )
    statements.insert(attempt)
    if not row.by_hand:
        quarantines.after_effect(row, now=now)
    failpoints.hit("intent.before_commit")
    return Intent(claim=claimed, row=row, attempt=attempt, entry=begun.entry, now=now, asked_monotonic=asked)


def _begin(claimed: Claimed, *, now: datetime) -> transitions.Step | None:
    begun = _begin_as(claimed.row, claimed, previous=claimed.entry, now=now)
    if begun is not None:
        return begun
    row = read(claimed.action_id)  # a note that somebody made meanwhile is a step too, and no reason to give it up
    return None if row is None else _begin_as(row, claimed, previous=None, now=now)


def _begin_as(row: Action, claimed: Claimed, *, previous: Entry | None, now: datetime) -> transitions.Step | None:
    return transitions.step(
        action_id=row.pk,
        held=row,
        previous=previous,
        origin=State.LEASED,
        goal=State.EXECUTING,
        because=transitions.why(actor=f"worker:{claimed.worker}", reason="about to call", token=claimed.token),
        at=now,
        where=_STILL_TO_BEGIN,
        equal={"lease_token": claimed.token, "lease_owner": claimed.worker},
        values={
            "attempt_no": row.attempt_no + 1,
            "asked": 0,
            "run_id": "",
            "started_at": row.started_at or now,
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
        if _leave(claimed, goal=goal, reason=reason, where=_NOT_CANCELLED):
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
        where=where,
        equal={"lease_token": claimed.token},
        values={"run_after": now + DROPPED_FOR} if goal == State.READY else {"details": reason},
    )


def _rows() -> QuerySet[Action]:
    entry = Entry.objects.filter(subject=Given("subject", Entry._meta.get_field("subject")), seq=OuterRef("state_seq"))
    rows = with_remediators(Action.objects.filter(pk=Given("id", Action._meta.get_field("id"))))
    return rows.annotate(newest_digest=Subquery(entry.values("digest")[:1]))


_READ = statements.Select(_rows)
_MAY_GO = line.DUE & line.UNOBSTRUCTED
_NOT_CANCELLED = Q(cancel_requested_at__isnull=True)
_STILL_TO_BEGIN = _NOT_CANCELLED & Q(lease_expires_at__gt=Now(), deadline__gt=Now(), attempt_no__lt=F("max_attempts"))
