"""Reads actions; everything comes back as plain values."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Q, QuerySet

from actions.models import Action, ActionType, Attempt
from actions.states import TERMINAL, State, Status, states_of, status_of
from vigil.kernel import statements
from vigil.kernel.database import one_of
from vigil.kernel.errors import NotFound

HISTORY_POINTS = 12
HISTORY_STEP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionView:
    """An action as it was when it was read."""

    id: int
    uid: uuid.UUID
    dedup_key: str
    kind: str
    target: str
    params: Mapping[str, object]
    state: State
    status: Status
    """The public word: pending, running, completed, failed, cancelled."""
    needs_human: bool
    policy_name: str
    policy_version: int | None
    severity: str
    incident_id: int | None
    reason: str
    ordered_by: str
    by_hand: bool
    attempts: int
    max_attempts: int
    verification: str
    """"" until judged; then effective, ineffective, unverifiable or relapsed."""
    verify_after: datetime | None
    """From then on samples may judge it; None: nothing to verify, or not yet ended well."""
    notes: str
    details: str
    request_id: str
    retry_of: int | None
    cancel_requested: bool
    deadline: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    verified: bool = True
    """Whether fresh data is to say if it helped; not of what only tells people, or undoes a step."""
    asks: str = ""
    """Whose word it needs: "" nobody's, operator, approver."""
    people: int = 0
    """How many have to approve it."""
    approval_expires_at: datetime | None = None

    @property
    def ended_ok(self) -> bool:
        """Whether the remediator did it."""
        return self.state == State.SUCCEEDED

    @property
    def is_live(self) -> bool:
        """Whether it may still have an effect."""
        return self.state not in TERMINAL

    @property
    def waits_for_a_word(self) -> bool:
        """Whether somebody has to approve it first."""
        return self.state == State.AWAITING_APPROVAL


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One call to a remediator."""

    number: int
    fence: int
    worker: str
    intent_at: datetime
    first_byte_at: datetime | None
    finished_at: datetime | None
    outcome: str
    """succeeded, failed, accepted, ambiguous; "" while nothing came back."""
    late: bool
    http_status: int | None
    error_class: str
    message: str
    excerpt: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTypeView:
    """One known action type."""

    name: str
    description: str
    schema: Mapping[str, object]
    retry_safety: str
    risk: str
    max_seconds: int
    cancel: bool
    enabled: bool
    remediator: str
    remediator_kind: str
    rollback: str = ""
    """The type that undoes it; "" when none does."""
    tells: bool = False
    """It tells people and mends nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectView:
    """That a policy's action acted on a target."""

    id: int
    policy_name: str
    kind: str
    at: datetime


def view(row: Action) -> ActionView:
    """The row as a plain value."""
    return ActionView(
        id=row.pk,
        uid=row.uid,
        dedup_key=row.dedup_key,
        kind=row.action_type_id,
        target=row.target,
        params=row.params,
        state=State(row.state),
        status=status_of(row.state),
        needs_human=row.state == State.NEEDS_HUMAN,
        policy_name=row.policy_name,
        policy_version=row.policy_version,
        severity=row.severity,
        incident_id=row.incident_id,
        reason=row.reason,
        ordered_by=row.ordered_by,
        by_hand=row.by_hand,
        attempts=row.attempt_no,
        max_attempts=row.max_attempts,
        verification=row.verification,
        verify_after=row.verify_after,
        notes=row.notes,
        details=row.details,
        request_id=row.request_id,
        retry_of=row.retry_of_id,
        cancel_requested=row.cancel_requested_at is not None,
        asks=row.asks,
        people=row.people,
        approval_expires_at=row.approval_expires_at,
        deadline=row.deadline,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        verified=row.verified,
    )


def get(action_id: int) -> ActionView:
    """One action; NotFound says so."""
    row = Action.objects.filter(pk=action_id).first()
    if row is None:
        raise NotFound(f"There is no action {action_id}; GET /api/v1/actions lists those there are.")
    return view(row)


def for_incident(incident_id: int) -> list[ActionView]:
    """An incident's actions, oldest first."""
    return for_incidents([incident_id]).get(incident_id, [])


def for_incidents(ids: Collection[int]) -> dict[int, list[ActionView]]:
    """The actions of many incidents in one query, oldest first; an incident without any is left out."""
    found: defaultdict[int, list[ActionView]] = defaultdict(list)
    for row in Action.objects.filter(incident_id__in=list(ids)).order_by("id"):
        if row.incident_id is not None:
            found[row.incident_id].append(view(row))
    return dict(found)


def some(ids: Collection[int]) -> list[ActionView]:
    """These actions, newest first."""
    return [view(row) for row in Action.objects.filter(pk__in=list(ids)).order_by("-id")]


def judged(
    *, policy_name: str, version: int, since: datetime, verifications: Collection[str], most: int
) -> list[tuple[int, str]]:
    """A policy version's own actions, ordered later than `since`, that were judged one of these: id and word, newest
    first."""
    mine = Action.objects.filter(policy_name=policy_name, policy_version=version, by_hand=False, created_at__gt=since)
    found = mine.filter(verification__in=list(verifications)).order_by("-id")
    return list(found.values_list("id", "verification")[:most])


def awaiting_verification(*, targets: Collection[str] | None = None, due_at: datetime) -> list[ActionView]:
    """Actions that ended well, whose settle time is over by `due_at`, and that nobody judged yet."""
    rows = Action.objects.filter(state=State.SUCCEEDED, verification="", verify_after__lte=due_at)
    if targets is not None:
        rows = rows.filter(target__in=list(targets))
    return [view(row) for row in rows.order_by("verify_after", "id")]


def targets_to_verify(targets: Collection[str], *, due_at: datetime) -> set[str]:
    """Those of `targets` that have such an action. In plain SQL: every reading that a policy covers asks this."""
    where, parameter = one_of("target", targets)
    # Literally, so that the index of just these is taken.
    sql = f"""
        SELECT DISTINCT target FROM actions_action
        WHERE state = '{State.SUCCEEDED.value}' AND verification = '' AND verify_after <= %s AND {where}
    """  # noqa: S608
    with statements.planned(connection) as cursor:
        cursor.execute(sql, [connection.ops.adapt_datetimefield_value(due_at), parameter])
        return {target for (target,) in cursor.fetchall()}


def kinds() -> list[ActionTypeView]:
    """Every action type, by name."""
    rows = ActionType.objects.select_related("remediator").defer("remediator__secret").order_by("name")
    return [
        ActionTypeView(
            name=row.name,
            description=row.description,
            schema=row.schema,
            retry_safety=row.retry_safety,
            risk=row.risk,
            max_seconds=row.max_seconds,
            cancel=row.cancel,
            enabled=row.enabled,
            remediator=row.remediator.name,
            remediator_kind=row.remediator.kind,
            rollback=row.rollback,
            tells=row.tells,
        )
        for row in rows
    ]


def undoing(names: Collection[str]) -> dict[str, str]:
    """Of these action types, those that an enabled other one undoes, with its name."""
    usable = ActionType.objects.filter(enabled=True).values("name")
    rows = ActionType.objects.filter(name__in=list(names), rollback__in=usable)
    return dict(rows.values_list("name", "rollback"))


def policies_effects(*, target: str, since: datetime, most: int) -> list[EffectView]:
    """The newest effects that policies had on a target later than `since`, oldest first.

    What people ordered, what only tells people, and what takes a step of a ladder back is left out.
    """
    own = Action.objects.filter(target=target, by_hand=False, started_at__gt=since, action_type__tells=False)
    found = own.exclude(policy_name="").exclude(dedup_key__endswith=":rollback").order_by("-id")
    return [
        EffectView(id=row.pk, policy_name=row.policy_name, kind=row.action_type_id, at=row.started_at)
        for row in reversed(found[: max(most, 0)])
        if row.started_at is not None
    ]


def attempts_of(action_id: int) -> list[AttemptView]:
    """An action's attempts, oldest first."""
    return [
        AttemptView(
            number=row.number,
            fence=row.token,
            worker=row.worker,
            intent_at=row.intent_at,
            first_byte_at=row.first_byte_at,
            finished_at=row.finished_at,
            outcome=row.outcome,
            late=row.late,
            http_status=row.http_status,
            error_class=row.error_class,
            message=row.message,
            excerpt=row.excerpt,
            details=row.details,
        )
        for row in Attempt.objects.filter(action_id=action_id).order_by("number")
    ]


def filtered(
    *,
    status: str | None = None,
    target: str | None = None,
    policy: str | None = None,
    incident_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Action]:
    """The actions that match everything given, newest first; `since` and `until` bound the time of the order."""
    rows = Action.objects.order_by("-id")
    if status is not None:
        rows = rows.filter(state__in=states_of(status))
    if target is not None:
        rows = rows.filter(target=target)
    if policy is not None:
        rows = rows.filter(policy_name=policy)
    if incident_id is not None:
        rows = rows.filter(incident_id=incident_id)
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    if until is not None:
        rows = rows.filter(created_at__lt=until)
    return rows


def counts_by_state() -> dict[str, int]:
    """How many actions are in each state; every state is there, with 0 where none is."""
    rows = Action.objects.order_by().values_list("state").annotate(total=Count("id"))
    return {state.value: 0 for state in State} | dict(rows)


def queue_stats(at: datetime, *, seen: QuerySet[Action]) -> dict[str, object]:
    """Depth, totals and the last hour's depth, as the API shows them; the one action told of is among `seen`."""
    totals: defaultdict[Status, int] = defaultdict(int)
    for state, total in counts_by_state().items():
        totals[status_of(state)] += total
    depth, done, failed = totals[Status.PENDING], totals[Status.COMPLETED], totals[Status.FAILED]
    ordered = sum(totals.values())
    return {
        "queue_length": depth,
        "tasks_enqueued": ordered,
        "tasks_dequeued": ordered - depth,
        "tasks_failed": failed,
        "tasks_completed": done,
        "last_processed_task": _last_processed(seen),
        "queue_depth": depth,
        "completed": done,
        "failed": failed,
        "success_rate": round(100 * done / (done + failed), 1) if done + failed else None,
        "history": _history(at),
    }


def _last_processed(seen: QuerySet[Action]) -> dict[str, object] | None:
    last = seen.filter(finished_at__isnull=False).order_by("-finished_at", "-id").first()
    if last is None:
        return None
    return {"task_id": str(last.uid), "action_id": last.pk, "target": last.target, "timestamp": last.finished_at}


def _history(at: datetime) -> list[dict[str, object]]:
    moments = [at - step * HISTORY_STEP for step in reversed(range(HISTORY_POINTS))]
    recent = Action.objects.filter(Q(finished_at__isnull=True) | Q(finished_at__gt=moments[0]))
    depths = recent.aggregate(
        **{f"at_{index}": Count("id", filter=_queued_at(moment)) for index, moment in enumerate(moments)}
    )
    return [{"time": moment, "depth": depths[f"at_{index}"]} for index, moment in enumerate(moments)]


def _queued_at(moment: datetime) -> Q:
    """Ordered by then, and by then neither begun nor ended."""
    begun_later = Q(started_at__isnull=True) | Q(started_at__gt=moment)
    ended_later = Q(finished_at__isnull=True) | Q(finished_at__gt=moment)
    return Q(created_at__lte=moment) & begun_later & ended_later
