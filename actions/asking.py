"""Settles what is in doubt: asks remediators by key about `unknown` actions and polls `accepted` ones."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import structlog
from django.db.models.functions import Now

from actions import circuits, execution, retry, settling, storable, transitions
from actions.models import Action, Attempt, with_remediators
from actions.remediators import base, pull
from actions.states import State
from vigil.kernel import context
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import VigilError

logger = structlog.get_logger(__name__)

ACTOR = "dispatcher"
ASK_SECONDS = 3.0
PASS_SECONDS = 6.0
"""How long one pass may ask around before the dispatcher goes on with its other work."""

PATIENCE_BEYOND_MAX = timedelta(seconds=50)
"""After a type's `max_seconds`; then a person is asked, whatever remediators say."""

_BATCH = 50
_CANNOT_SAY = base.Answer(state="cannot_say")
_OUTCOMES: Mapping[base.AnswerState, base.OutcomeKind] = {
    "running": "accepted",
    "done": "succeeded",
    "failed": "failed",
    "cancelled": "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """An action to ask about, marked as asked so that nobody else asks at the same time."""

    row: Action
    attempt: Attempt
    asked: int
    now: datetime

    @property
    def overdue(self) -> timedelta:
        """How much longer than its type allows the attempt has been going."""
        return self.now - self.attempt.intent_at - timedelta(seconds=self.row.action_type.max_seconds)


def settle_unknown() -> int:
    """Ask about the unknown actions whose next question is due; how many were settled."""
    return _each(State.UNKNOWN, _settle_unknown)


def poll_accepted() -> int:
    """Ask how the accepted actions are doing whose next question is due; how many moved on."""
    return _each(State.ACCEPTED, _poll)


def _each(state: State, look: Callable[[_Doubt], bool]) -> int:
    until = time.monotonic() + PASS_SECONDS
    due = Action.objects.filter(state=state, run_after__lte=Now()).order_by("run_after", "id")
    moved = 0
    for row in list(with_remediators(due)[:_BATCH]):
        if time.monotonic() > until:
            break
        with context.bind(request_id=row.request_id):
            doubt = _mark(row)
            moved += doubt is not None and look(doubt)
    return moved


def _mark(row: Action) -> _Doubt | None:
    """Take the question: of two dispatchers one asks, and a question that got lost is asked again later."""
    attempt = Attempt.objects.filter(action_id=row.pk, number=row.attempt_no).first()
    if attempt is None:
        return None
    doubt = _Doubt(row=row, attempt=attempt, asked=row.asked + 1, now=database_now())
    unchanged = Action.objects.filter(pk=row.pk, state=row.state, state_seq=row.state_seq, asked=row.asked)
    return doubt if unchanged.update(asked=doubt.asked, run_after=_asked_again_at(doubt)) else None


def _asked_again_at(doubt: _Doubt) -> datetime:
    """Never long after patience has ended: then it must not take another half minute to notice."""
    left = (PATIENCE_BEYOND_MAX if doubt.row.state == State.UNKNOWN else timedelta(0)) - doubt.overdue
    wait = retry.ask_again_in(doubt.asked)
    return doubt.now + (min(wait, left + timedelta(seconds=1)) if left > timedelta(0) else wait)


def _settle_unknown(doubt: _Doubt) -> bool:
    late = _late_result(doubt)
    if late is not None:
        return _go(doubt, late, message=doubt.attempt.message)
    if doubt.overdue > PATIENCE_BEYOND_MAX:
        reason = "nobody could say in time what became of it"
        return _go(doubt, retry.Next(state=State.NEEDS_HUMAN, reason=reason), message=reason)
    answer, durable_keys = _ask(doubt)
    if doubt.row.action_type.remediator.kind == pull.KIND:
        return _settle_unreported(doubt, durable_keys)
    if answer.state == "not_found" and doubt.attempt.outcome == "accepted":
        # It had begun: whoever has forgotten that would not know the key of a second request either.
        answer = replace(answer, state="cannot_say")
    if answer.state == "running" and doubt.overdue < timedelta(0):
        step = retry.Next(
            state=State.ACCEPTED, reason="asked by key, the remediator is still at it", wait=retry.ask_again_in(1)
        )
    else:
        step = retry.after_answer(
            answer.state, _rules(doubt, durable_keys), asked=doubt.asked, at=doubt.now, fraction=_fraction()
        )
    return step.state != State.UNKNOWN and _go(doubt, step, message=answer.message, answer=answer)


def _settle_unreported(doubt: _Doubt, durable_keys: bool) -> bool:
    """Of a task that was fetched, or would have been: no question helps."""
    fetched = doubt.attempt.worker.startswith(pull.WORKER)  # or called, when its remediator was of another kind
    step = retry.after_silence(
        _rules(doubt, durable_keys),
        handed_over=not fetched or _ever_left(doubt.row),
        at=doubt.now,
        fraction=_fraction(),
    )
    return _go(doubt, step, message=doubt.attempt.message if doubt.attempt.outcome == "ambiguous" else step.reason)


def _ever_left(row: Action) -> bool:
    """Whether this attempt or one before it reached anybody: the one before may still be at work."""
    return Attempt.objects.filter(action_id=row.pk, first_byte_at__isnull=False).exists()


def _poll(doubt: _Doubt) -> bool:
    if doubt.overdue > timedelta(0):
        limit = doubt.row.action_type.max_seconds
        reason = f"accepted, but not done within {limit} s: asking what became of it"
        return _go(doubt, retry.Next(state=State.UNKNOWN, reason=reason, wait=timedelta(0)), message=reason)
    answer, _ = _ask(doubt)
    match answer.state:
        case "done":
            step = retry.Next(state=State.SUCCEEDED, reason="the remediator says it is done")
        case "failed":
            step = retry.Next(state=State.FAILED, reason="the remediator says it failed")
        case "cancelled":
            step = retry.after_cancellation(_rules(doubt, durable_keys=False))
        case "not_found":
            reason = "the remediator no longer knows what it accepted"
            step = retry.Next(state=State.UNKNOWN, reason=reason, wait=retry.ask_again_in(0))
        case _:
            return False
    return _go(doubt, step, message=answer.message, answer=answer)


def _late_result(doubt: _Doubt) -> retry.Next | None:
    """What an attempt reported after its lease was gone; nothing when it reported nothing, or nothing clear."""
    attempt = doubt.attempt
    if not attempt.late or attempt.outcome not in ("succeeded", "failed", "accepted"):
        return None
    if attempt.outcome == "accepted" and doubt.overdue > timedelta(0):
        return None
    result = retry.Result(
        kind=cast("retry.OutcomeKind", attempt.outcome),
        retryable=attempt.retryable,
        first_byte_sent=attempt.first_byte_at is not None,
    )
    return retry.after_attempt(result, _rules(doubt, durable_keys=False), at=doubt.now, fraction=_fraction())


def _ask(doubt: _Doubt) -> tuple[base.Answer, bool]:
    """The remediator's answer, and whether it keeps keys durably."""
    try:
        remediator = execution.build(doubt.row)
    except VigilError as error:
        return base.Answer(state="cannot_say", message=error.detail), False
    try:
        until = time.monotonic() + ASK_SECONDS
        answer = _stopped(doubt, remediator, until=until) or remediator.ask(
            str(doubt.row.uid), doubt.row.run_id, deadline_monotonic=until
        )
    except Exception:
        logger.exception("actions.remediator.crashed", action_id=doubt.row.pk, remediator=remediator.kind)
        return _CANNOT_SAY, remediator.durable_keys
    return answer, remediator.durable_keys


def _stopped(doubt: _Doubt, remediator: base.Remediator, *, until: float) -> base.Answer | None:
    """Where a person wants work to stop that can be stopped, say so; the answer if that is the end of it."""
    row = doubt.row
    wanted = row.state == State.ACCEPTED and row.cancel_requested_at is not None and row.action_type.cancel
    if not wanted or not isinstance(remediator, base.Cancels):
        return None
    answer = remediator.cancel(str(row.uid), row.run_id, deadline_monotonic=until)
    return answer if answer.state in ("cancelled", "done", "failed") else None


def _rules(doubt: _Doubt, durable_keys: bool) -> retry.Rules:
    return settling.rules(doubt.row, durable_keys=durable_keys)


def _go(doubt: _Doubt, step: retry.Next, *, message: str, answer: base.Answer | None = None) -> bool:
    return tx(lambda: _settle(doubt, step, message=message, answer=answer))


def _settle(doubt: _Doubt, step: retry.Next, *, message: str, answer: base.Answer | None) -> bool:
    unreported = _falls_silent(doubt, step)
    circuit = None
    if unreported:  # held before the action, as calls hold it first
        circuit = circuits.hold_for_report(doubt.row.action_type.remediator_id, doubtful=True)
    now = database_now()
    said = storable.words(message)
    moved = transitions.move(
        action_id=doubt.row.pk,
        origin=State(doubt.row.state),
        goal=step.state,
        because=transitions.why(
            actor=ACTOR,
            reason=f"{step.reason} ({said})" if said and said != step.reason else step.reason,
            asked=doubt.asked,
            answer=answer.state if answer is not None else "",
        ),
        at=now,
        equal={"state_seq": doubt.row.state_seq},
        values=settling.columns(doubt.row, step, message=message, run_id=doubt.attempt.run_id, now=now),
    )
    if moved and unreported:
        circuits.reported(circuit, doubtful=True, began_at=doubt.attempt.intent_at, now=now)
    outcome = _OUTCOMES.get(answer.state) if answer is not None else None
    if moved and answer is not None and outcome is not None:
        Attempt.objects.filter(pk=doubt.attempt.pk).update(
            outcome=outcome,
            message=said or "asked by key",
            details=storable.details(answer.details),
            finished_at=now,
        )
    return moved


def _falls_silent(doubt: _Doubt, step: retry.Next) -> bool:
    """Whether a task that was fetched was not reported in time: as a call that nobody answered."""
    fetched = doubt.attempt.worker.startswith(pull.WORKER)
    return fetched and doubt.row.state == State.ACCEPTED and step.state == State.UNKNOWN


def _fraction() -> float:
    return random.random()  # noqa: S311  spreads retries, protects nothing
