"""What a remediator reports by itself about work it took on: the signed callback that a poll would otherwise fetch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from actions import circuits, queries, retry, settling, storable, transitions
from actions.models import Action, Attempt, with_remediators
from actions.queries import ActionView
from actions.remediators import answers, base, signing, text
from actions.states import State
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict, FieldError, Invalid

SETTLED_BY_REPORT = frozenset({State.ACCEPTED, State.UNKNOWN, State.NEEDS_HUMAN})
"""The request has left, and nothing else says what became of it."""

_GOALS: Mapping[State, base.OutcomeKind] = {State.SUCCEEDED: "succeeded", State.FAILED: "failed"}


class UnableToSettle(Conflict):
    """The action is not in a state in which a report says anything new."""

    code = "unable_to_settle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the work under one key ended."""

    key: str
    """The Idempotency-Key of the call."""
    status: str
    """One of the words that an answer may use: success, failed ..."""
    message: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    run_id: str = ""

    @property
    def goal(self) -> State | None:
        """Where the action goes; None for a word that ends nothing."""
        if self.status in answers.SUCCEEDED:
            return State.SUCCEEDED
        return State.FAILED if self.status in answers.FAILED else None


def signer(*, action_id: int, headers: Mapping[str, str], body: bytes, at: datetime) -> str:
    """The name of the action's remediator if it signed `body`; "" when it did not, or has no secret to sign with."""
    row = with_remediators(Action.objects.filter(pk=action_id)).first()
    remediator = row.action_type.remediator if row is not None else None
    if remediator is None or not remediator.secret:
        return ""
    return "" if signing.refusal(secret=remediator.secret, headers=headers, body=body, at=at) else remediator.name


def settle(*, action_id: int, report: Report, actor: str) -> ActionView:
    """End the action as its remediator reports it; the same report again changes nothing.

    Invalid: the report is about another call, or says no end. UnableToSettle: the action is not waiting for one.
    """
    return tx(lambda: _settle(action_id, report, actor))


def _settle(action_id: int, report: Report, actor: str) -> ActionView:
    remediator_id = Action.objects.values_list("action_type__remediator_id", flat=True).get(pk=action_id)
    circuit = circuits.hold_for_report(remediator_id, doubtful=False)  # before the action, as calls hold it first
    row = Action.objects.select_for_update(of=("self",)).select_related("action_type").get(pk=action_id)
    attempt = Attempt.objects.filter(action_id=row.pk, number=row.attempt_no).first()
    goal = _checked(row, attempt, report)
    if row.state == goal:
        return queries.view(row)
    if attempt is None or row.state not in SETTLED_BY_REPORT:
        raise _not_now(row)
    now = database_now()
    circuits.reported(circuit, doubtful=False, began_at=attempt.intent_at, now=now)
    said = text.sentence(report.message)
    ended = "is done" if goal == State.SUCCEEDED else "failed"
    step = retry.Next(state=goal, reason=f"the remediator reports that it {ended}")
    transitions.move(
        action_id=row.pk,
        origin=State(row.state),
        goal=goal,
        because=transitions.why(
            actor=actor, reason=f"{step.reason} ({said})" if said else step.reason, attempt=attempt.number
        ),
        at=now,
        values=settling.columns(row, step, message=said, now=now),
    )
    Attempt.objects.filter(pk=attempt.pk).update(
        outcome=_GOALS[goal],
        message=said or step.reason,
        details=storable.details(text.details(report.details)),
        finished_at=now,
    )
    return queries.get(row.pk)


def _checked(row: Action, attempt: Attempt | None, report: Report) -> State:
    if report.key != str(row.uid):
        raise _wrong("key", "the Idempotency-Key of this action's call")
    if report.run_id and attempt is not None and attempt.run_id not in ("", report.run_id):
        raise _wrong("run_id", "that of the present run, or left out")
    if report.goal is None:
        raise _wrong("status", f"one of {', '.join(sorted(answers.SUCCEEDED | answers.FAILED))}")
    return report.goal


def _wrong(path: str, what: str) -> Invalid:
    return Invalid(f"The report's {path} must be {what}.", errors=[FieldError(path=path, message=f"must be {what}")])


def _not_now(row: Action) -> UnableToSettle:
    if row.state == State.EXECUTING:
        return UnableToSettle(
            f"Action {row.pk} is still being sent: answer that call first, then report again.", retry_after=2
        )
    return UnableToSettle(f"Action {row.pk} is {row.state.replace('_', ' ')}: it waits for no report.")
