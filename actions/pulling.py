"""Pull mode: remediators behind a firewall fetch their tasks and report how they ended.

Fetching is CLAIM, gate, INTENT and RESULT as in a worker, with "it was fetched" for a result. A task stands in an
answer only when all of that is committed: of a task whose attempt has no outcome it is certain that nobody ever got it.
"""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import structlog
from django.db import Error
from django.db.models import Q, QuerySet

from actions import circuits, execution, line, retry, settling, storable, transitions
from actions.claims import Intent
from actions.models import Action, Attempt, Circuit, Remediator
from actions.remediators import base, pull, text
from actions.reporting import SETTLED_BY_REPORT
from actions.states import State
from vigil.access import bounds
from vigil.access.principal import Principal
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict, FieldError, Invalid, NotFound

logger = structlog.get_logger(__name__)

MOST_TASKS = 50
_LOOK_BEYOND = 50
"""How many due actions that cannot start now may stand before one that can."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_KEY = "key:"

type Word = Literal["success", "failed", "timeout", "partial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a reported word says of the attempt."""

    outcome: base.OutcomeKind
    error_class: str
    said: str
    goal: State

    @property
    def doubtful(self) -> bool:
        """Whether the remediator itself does not know how it ended."""
        return self.goal == State.UNKNOWN


_MEANINGS: Mapping[Word, _Meaning] = {
    "success": _Meaning(outcome="succeeded", error_class="", said="that it is done", goal=State.SUCCEEDED),
    "failed": _Meaning(outcome="failed", error_class="answered_failed", said="that it failed", goal=State.FAILED),
    "partial": _Meaning(
        outcome="failed", error_class="partial", said="that only a part of it was done", goal=State.FAILED
    ),
    "timeout": _Meaning(
        outcome="ambiguous", error_class="timeout", said="that it does not know how it ended", goal=State.UNKNOWN
    ),
}


class NotBound(Conflict):
    """The key may fetch, but no remediator names it."""

    code = "no_remediator"


class Contradiction(Conflict):
    """Another result was reported before."""

    code = "contradicting_result"


class NotYet(Conflict):
    """The task is being handed over at this moment."""

    code = "not_handed_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An action that was handed over."""

    row: Action
    handed_at: datetime
    tries: int
    """How often the remediator may try it by itself: once, unless repeating it is harmless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a task ended, as its remediator says."""

    task_id: str
    status: Word
    remediator_id: str
    resource: str
    action: str
    error_message: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A result was kept."""

    action_id: int
    message: str


def fetch(*, remediator_id: str, limit: int, caller: Principal) -> list[Task]:
    """Hand over up to `limit` due actions of the caller's remediators; each goes to one caller only.

    NotBound: no remediator of kind pull names the caller's key.
    """
    _check_name(remediator_id)
    mine = _remediators(caller)
    until = time.monotonic() + pull.GATHER_SECONDS
    tasks: list[Task] = []
    for action_id in list(_due(mine, caller).values_list("id", flat=True)[: limit + _LOOK_BEYOND]):
        if len(tasks) >= limit or time.monotonic() >= until:
            break
        try:
            task = _handed(action_id, _worker(remediator_id))
        except Error as error:  # what was handed over before must leave: nobody else will get it
            if not tasks:
                raise
            logger.error("actions.tasks.cut_short", handed=len(tasks), error=str(error))
            break
        if task is not None:
            tasks.append(task)
    return tasks


def record(result: Result, *, caller: Principal) -> Recorded:
    """Settle the task by its result; the same result again changes nothing and is answered the same.

    NotFound: no such task was handed to that remediator. Contradiction: it reported another result before.
    """
    _check_name(result.remediator_id)
    mine = _remediators(caller)
    action_id = _find(result, mine, caller)
    return tx(lambda: _record(action_id, result))


def _check_name(remediator_id: str) -> None:
    if not _NAME.fullmatch(remediator_id):
        message = "name yourself with 1 to 100 letters, digits and ._:- , such as edge-1"
        raise Invalid(f"remediator_id: {message}.", errors=[FieldError(path="remediator_id", message=message)])


def _remediators(caller: Principal) -> list[int]:
    key = caller.actor.removeprefix(_KEY) if caller.actor.startswith(_KEY) else ""
    found = Remediator.objects.filter(kind=pull.KIND, enabled=True).only("id", "config")
    mine = [row.pk for row in found if key and pull.names_key(row.config, key)]
    if not mine:
        raise NotBound(
            f"No remediator of kind pull is for {caller.actor or 'this caller'}: an administrator writes the name of "
            'the API key into its configuration, as in {"keys": ["edge-1"]}.'
        )
    return mine


def _due(mine: Sequence[int], caller: Principal) -> QuerySet[Action]:
    return line.due_for(mine).filter(bounds.among(caller.targets))


def _handed(action_id: int, worker: str) -> Task | None:
    ran = execution.run(action_id=action_id, worker=worker, fetched=True)
    if not isinstance(ran, Intent):
        return None
    # Only what is known to be on record leaves: the result may have come to nothing, or the lease been lost.
    committed = Q(pk=action_id, state=State.ACCEPTED, attempt_no=ran.attempt.number, lease_token=ran.claim.token)
    row = Action.objects.select_related("action_type").filter(committed).first()
    if row is None:
        return None
    once = settling.rules(row, durable_keys=execution.build(ran.row).durable_keys).safety == "at_most_once"
    return Task(row=row, handed_at=ran.now, tries=1 if once else row.max_attempts - row.attempt_no + 1)


def _worker(remediator_id: str) -> str:
    return f"{pull.WORKER}{remediator_id}"


def _find(result: Result, mine: Sequence[int], caller: Principal) -> int:
    """The action of the task, if it was handed to this remediator."""
    handed = Attempt.objects.filter(
        action__uid=_uid(result.task_id),
        action__action_type__remediator_id__in=mine,
        worker=_worker(result.remediator_id),
    )
    found = handed.select_related("action").first()
    if found is None or not bounds.covers(caller.targets, found.action.target):
        raise NotFound(f"No task {result.task_id[:100]!r} was handed to {result.remediator_id}.")
    same = {"resource": found.action.target, "action": found.action.action_type_id}
    wrong = [name for name, value in same.items() if getattr(result, name) != value]
    if wrong:
        errors = [FieldError(path=name, message=f"must be that of the task, {same[name]}") for name in wrong]
        raise Invalid("The result is about something else than the task.", errors=errors)
    return found.action_id


def _uid(task_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(task_id)
    except ValueError:
        raise NotFound(f"There is no task {task_id[:100]!r}; send the id as it was fetched.") from None


def _record(action_id: int, result: Result) -> Recorded:
    meaning = _MEANINGS[result.status]
    # Held before the action, as calls hold it first; it is left alone unless this is the first that is heard of it.
    remediator_id = Action.objects.values_list("action_type__remediator_id", flat=True).get(pk=action_id)
    circuit = circuits.hold_for_report(remediator_id, doubtful=meaning.doubtful)
    row = Action.objects.select_for_update(of=("self",)).select_related("action_type").get(pk=action_id)
    tries = Attempt.objects.filter(action_id=action_id, worker=_worker(result.remediator_id))
    attempt = tries.order_by("-number")[0]
    if attempt.outcome not in ("", "accepted"):
        _refuse_contradiction(row, attempt, meaning)
    else:
        _take(row, attempt, result, meaning, circuit)
    return Recorded(action_id=action_id, message=f"The remediator reports {meaning.said}.")


def _refuse_contradiction(row: Action, attempt: Attempt, meaning: _Meaning) -> None:
    if (attempt.outcome, attempt.error_class) != (meaning.outcome, meaning.error_class):
        raise Contradiction(
            f"Task {row.uid} was reported before, with another result; the first one stands. Action {row.pk} is "
            f"{row.state.replace('_', ' ')}: settle it in the console if that is wrong."
        )


def _take(row: Action, attempt: Attempt, result: Result, meaning: _Meaning, circuit: Circuit | None) -> None:
    """Keep the first result of an attempt, and let it settle the action if that still waits for it."""
    present = row.attempt_no == attempt.number
    if present and row.state == State.EXECUTING:
        raise NotYet(f"Task {row.uid} is being handed over at this moment: report again.", retry_after=2)
    now = database_now()
    said = text.sentence(result.error_message)
    settles = present and row.state in SETTLED_BY_REPORT
    known = meaning.doubtful and not (settles and row.state == State.ACCEPTED)  # its silence counted already
    if not known:
        circuits.reported(circuit, doubtful=meaning.doubtful, began_at=attempt.intent_at, now=now)
    Attempt.objects.filter(pk=attempt.pk).update(
        outcome=meaning.outcome,
        error_class=meaning.error_class,
        late=not settles,
        finished_at=now,
        message=said or f"The remediator reports {meaning.said}.",
        details=storable.details(text.details(dict(result.details))),
    )
    if settles:
        _settle(row, attempt, meaning, said, actor=f"remediator:{result.remediator_id}", now=now)
        return
    logger.warning(
        "actions.result.late",
        action_id=row.pk,
        state=row.state,
        outcome=meaning.outcome,
        reason="it was given up before the report came: the report is kept and moves nothing",
    )


def _settle(row: Action, attempt: Attempt, meaning: _Meaning, said: str, *, actor: str, now: datetime) -> None:
    if meaning.doubtful and row.state != State.ACCEPTED:
        return  # it was in doubt before, and still is
    reason = f"the remediator reports {meaning.said}"
    step = retry.Next(state=meaning.goal, reason=reason, wait=retry.AT_ONCE if meaning.doubtful else None)
    transitions.move(
        action_id=row.pk,
        origin=State(row.state),
        goal=meaning.goal,
        because=transitions.why(actor=actor, reason=f"{reason} ({said})" if said else reason, attempt=attempt.number),
        at=now,
        values=settling.columns(row, step, message=said, now=now),
    )
