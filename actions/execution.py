"""Runs one action: CLAIM, the gate, INTENT, SEND, RESULT. Only SEND calls outside, and only between transactions."""

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection

from actions import circuits, gate, line, permission, retry, settling, storable, transitions
from actions.claims import Dropped, Intent, NotClaimed, claim, drop, intend, read
from actions.models import Action, Attempt, Remediator
from actions.remediators import base, pull, registry
from actions.states import State
from vigil.kernel import context, failpoints, statements
from vigil.kernel.database import DatabaseNow, tx
from vigil.kernel.statements import Given, Select
from vigil.telemetry import metrics

logger = structlog.get_logger(__name__)

SEND_WITHIN_SECONDS = 4.0
"""Counted from INTENT's start; later than that nothing is sent, as what the gate saw is old by then."""

SWITCH_SECONDS = 5.0
"""The kill switch's promise: so long after INTENT asked it the first byte may leave, and never after the deadline."""

RUN_SECONDS = 16.0
"""Claim, intent and call together; with 3 s for the result this stays below the task's soft limit of 20 s."""

RESULT_RETRY_SECONDS = 3.0

_LOOK_BEYOND = 200
"""How many due actions that no cap lets start may stand before one that can."""

type Ran = Intent | Dropped | NotClaimed


def run(*, action_id: int, worker: str, fetched: bool = False) -> Ran:
    """Run the action once if it may be claimed; what stood in the way otherwise.

    `fetched`: the worker is a remediator that fetches what it does.
    """
    started = time.monotonic()
    row = read(action_id)
    if row is None:
        answer: Ran = NotClaimed(reason="there is no such action")
    else:
        with context.bind(request_id=row.request_id or context.request_id()):
            answer = _run(row, worker, fetched=fetched, started=started)
    if isinstance(answer, NotClaimed):
        logger.debug("actions.claim.declined", action_id=action_id, reason=answer.reason)
    return answer


def run_due(
    *,
    limit: int,
    worker: str,
    stopping: Callable[[], bool] = lambda: False,
    watched: Callable[[int], AbstractContextManager[object]] = nullcontext,
) -> int:
    """Claim and run due actions in this process, one after the other: how many ran. For when no hint gets through.

    Once `stopping` says so, none is begun. Each is run inside of what `watched` makes of its id.
    """
    ran = 0
    for action_id in list(line.due().values_list("id", flat=True)[: limit + _LOOK_BEYOND]):
        if ran >= limit or stopping():
            break
        with watched(action_id):
            ran += isinstance(run(action_id=action_id, worker=worker), Intent)
    return ran


def build(row: Action) -> base.Remediator:
    """The action's remediator; raises what its configuration raises."""
    stored = row.action_type.remediator
    if "secret" in stored.get_deferred_fields():
        stored.secret = _secret(stored.pk)
    return registry.build(
        kind=stored.kind,
        config=stored.config,
        secret=stored.secret,
        commands=settings.VIGIL_COMMANDS,
        extra=settings.VIGIL_REMEDIATORS,
    )


_WITH_SECRET = Select(
    lambda: Remediator.objects.filter(pk=Given("id", Remediator._meta.get_field("id"))).defer(None).only("id", "secret")
)


def _secret(remediator_id: int) -> str:
    """Decrypted, or what UnableToDecrypt says."""
    found = _WITH_SECRET.one(id=remediator_id)
    if found is None:
        raise base.wrong(path="remediator", message="It was removed.")
    plain: str = found.secret
    return plain


def _run(row: Action, worker: str, *, fetched: bool, started: float) -> Ran:
    claimed = claim(action_id=row.pk, worker=worker, fetched=fetched, row=row)
    if isinstance(claimed, NotClaimed) and claimed.for_room and line.turn_away(row.pk):
        # What stood in its way may have ended before that was noted, and then nobody would hint at it any more.
        claimed = claim(action_id=row.pk, worker=worker, fetched=fetched)
    if isinstance(claimed, NotClaimed):
        return claimed
    intent_started = time.monotonic()
    answer = gate.ask(row)
    if answer is None:
        reason = "the gate failed, so nobody can tell whether it is still wanted"
        return drop(claimed, goal=State.READY, reason=reason)
    if not answer.wanted:
        return drop(claimed, goal=State.CANCELLED, reason=f"no longer wanted: {answer.reason}")
    intent = intend(claimed)
    if isinstance(intent, Dropped):
        return intent
    outcome, durable_keys = _send(intent, intent_started=intent_started, until=started + RUN_SECONDS)
    _result(intent, outcome, durable_keys=durable_keys)
    return intent


def _send(intent: Intent, *, intent_started: float, until: float) -> tuple[base.Outcome, bool]:
    """What came back, and whether the remediator keeps keys durably. Whatever it does is an outcome."""
    try:
        remediator = build(intent.row)
    except Error as error:
        logger.warning("actions.remediator.unread", action_id=intent.row.pk, error=str(error))
        return _unsent("database", "the remediator could not be read from the database", retryable=True), True
    except Exception as error:
        logger.exception("actions.remediator.unusable", action_id=intent.row.pk, reason=str(error))
        return _unsent("configuration", f"the remediator cannot be used: {error}", retryable=False), False
    now = time.monotonic()
    if now - intent_started > SEND_WITHIN_SECONDS:
        return _unsent("too_slow", "the worker was too slow to send it; nothing left", retryable=True), True
    try:
        outcome = remediator.call(_call(intent), deadline_monotonic=min(now + base.CALL_SECONDS, until))
    except Exception as error:
        logger.exception("actions.remediator.crashed", action_id=intent.row.pk, remediator=remediator.kind)
        outcome = base.Outcome(
            kind="ambiguous",
            error_class="crashed",
            message=f"the remediator's code failed: {type(error).__name__}",
            first_byte_at_monotonic=now,
        )
    metrics.remediator_calls_total.labels(kind=remediator.kind, outcome=outcome.kind).inc()
    return outcome, remediator.durable_keys


def _unsent(error_class: str, message: str, *, retryable: bool) -> base.Outcome:
    return base.Outcome(kind="failed", error_class=error_class, message=message, retryable=retryable)


def _call(intent: Intent) -> base.Call:
    row = intent.row
    return base.Call(
        action_id=row.pk,
        uid=str(row.uid),
        kind=row.action_type_id,
        target=row.target,
        params=row.params,
        policy=row.policy_name,
        severity=row.severity,
        incident_id=row.incident_id,
        reason=row.reason,
        attempt=intent.attempt.number,
        fence=intent.claim.token,
        deadline=row.deadline,
        request_id=row.request_id or context.request_id(),
        at=intent.now,
        begin_by_monotonic=intent.asked_monotonic + min(SWITCH_SECONDS, (row.deadline - intent.now).total_seconds()),
    )


def _result(intent: Intent, outcome: base.Outcome, *, durable_keys: bool) -> None:
    """Store the outcome, trying for 3 s while the database is away; then the reaper finds the lease expired."""
    fraction = random.random()  # noqa: S311  spreads retries, protects nothing
    give_up_at = time.monotonic() + RESULT_RETRY_SECONDS
    while True:
        try:
            tx(lambda: _store(intent, outcome, durable_keys=durable_keys, fraction=fraction))
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() >= give_up_at:
                logger.error("actions.result.unstored", action_id=intent.row.pk, error=str(error))
                return
            connection.close_if_unusable_or_obsolete()
            time.sleep(0.2)
        else:
            failpoints.hit("result.after_commit")
            return


def _store(intent: Intent, outcome: base.Outcome, *, durable_keys: bool, fraction: float) -> None:
    remediator_id = intent.claim.remediator_id
    seen = permission.look(remediator_id)
    began_at = intent.attempt.intent_at
    if not intent.claim.worker.startswith(pull.WORKER):  # of what was fetched only its report tells
        circuits.tell(remediator_id, seen=seen.circuit, outcome=outcome, began_at=began_at, now=seen.now)
    settle = partial(_settle, intent=intent, outcome=outcome, durable_keys=durable_keys, fraction=fraction)
    # As a rule nothing has happened to it meanwhile, and then it need not be read again.
    if settle(intent.row, now=seen.now):
        _keep(intent.attempt, outcome, late=False, now=seen.now)
    else:
        _store_on_changed(intent, outcome, settle)
    failpoints.hit("result.before_commit")


def _store_on_changed(intent: Intent, outcome: base.Outcome, settle: Callable[..., bool]) -> None:
    locked = Action.objects.select_for_update(of=("self",)).annotate(read_at=DatabaseNow())
    row = locked.select_related("action_type").get(pk=intent.row.pk)
    now = row.read_at
    mine = row.state == State.EXECUTING and row.lease_token == intent.claim.token
    _keep(intent.attempt, outcome, late=not mine, now=now)
    if mine:
        settle(row, now=now)
    else:
        logger.warning(
            "actions.result.late",
            action_id=row.pk,
            state=row.state,
            outcome=outcome.kind,
            reason="its lease was gone when the result came: it is kept and moves nothing",
        )


def _settle(
    row: Action, *, intent: Intent, outcome: base.Outcome, durable_keys: bool, now: datetime, fraction: float
) -> bool:
    step = retry.after_attempt(
        as_result(outcome), settling.rules(row, durable_keys=durable_keys), at=now, fraction=fraction
    )
    said = storable.words(outcome.message)
    because = transitions.why(
        actor=f"worker:{intent.claim.worker}",
        reason=f"{step.reason} ({said})" if said else step.reason,
        attempt=intent.attempt.number,
        http_status=outcome.http_status,
        error_class=outcome.error_class,
    )
    made = transitions.step(
        action_id=row.pk,
        held=row,
        previous=intent.entry,
        origin=State.EXECUTING,
        goal=step.state,
        because=because,
        at=now,
        equal={"lease_token": intent.claim.token},
        values=settling.columns(row, step, message=outcome.message, run_id=outcome.run_id, now=now),
    )
    return made is not None


def as_result(outcome: base.Outcome) -> retry.Result:
    """The outcome in the words of the retry decision."""
    return retry.Result(
        kind=outcome.kind,
        retryable=outcome.retryable,
        first_byte_sent=outcome.first_byte_sent,
        retry_after=outcome.retry_after,
        temporary=outcome.temporary,
    )


def _keep(attempt: Attempt, outcome: base.Outcome, *, late: bool, now: datetime) -> None:
    told = {
        "outcome": outcome.kind,
        "retryable": outcome.retryable,
        "late": late,
        "finished_at": now,
        "first_byte_at": _first_byte_at(outcome, now=now),
        "http_status": outcome.http_status,
        "error_class": outcome.error_class[:50],
        "message": storable.words(outcome.message),
        "excerpt": storable.words(outcome.excerpt),
        "details": storable.details(outcome.details),
        "run_id": storable.words(outcome.run_id)[:250],
    }
    statements.update(Attempt, where=transitions.ANYWHERE, equal={"id": attempt.pk}, values=told)


def _first_byte_at(outcome: base.Outcome, *, now: datetime) -> datetime | None:
    if outcome.first_byte_at_monotonic is None:
        return None
    return now - timedelta(seconds=max(0.0, time.monotonic() - outcome.first_byte_at_monotonic))
