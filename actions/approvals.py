"""What people say about actions that wait for their word: yes, no, and what they had in front of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import cast

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from actions import consent, dispatch, editors, gate, guards, hints, queries, transitions
from actions.consent import Voice
from actions.guards import GateAnswer
from actions.models import Action, Approval, with_remediators
from actions.queries import ActionView
from actions.states import State
from vigil.kernel import failpoints, plugins
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict, FieldError, Invalid, VigilError
from vigil.telemetry import metrics

logger = structlog.get_logger(__name__)

LONGEST_REASON = 2_000
_STILL_WAITING = Q(approval_expires_at__gt=Now())
BEFORE_SHOWN = 5
"""How many earlier actions on the target are shown."""


class UnableToApprove(Conflict):
    """The action does not wait for a word, or may not start now."""

    code = "unable_to_approve"


class NotYourWord(VigilError):
    """Somebody else has to say it."""

    code = "needs_another_person"
    status = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What one person said."""

    by: str
    verdict: str
    """approved or rejected."""
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What became of an earlier action on the same target."""

    action_id: int
    kind: str
    state: str
    verification: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything somebody needs to judge an action that waits, or how it was judged."""

    needed: int
    asks: str
    because: tuple[str, ...]
    risk: str
    given: tuple[Word, ...]
    missing: int
    expires_at: datetime | None
    approved_at: datetime | None
    waits: bool
    own_work: Mapping[str, str] = field(default_factory=dict)
    """Whose yes does not count, as a second pair of eyes is wanted, each with what they did."""
    now: GateAnswer | None = None
    """What fresh data say of it; None: they were not asked, or cannot tell."""
    before: tuple[Earlier, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)
    """What whoever ordered it knows: the incident, the decision and its numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Not:
    """The answer to a word that did not let the action start."""

    code: str
    detail: str


def approve(*, action_id: int, voice: Voice, reason: str, at: datetime) -> ActionView:
    """Say yes. With the last yes that it needs, the action goes to its line and its deadline begins to count.

    The same person's second yes changes nothing. NotYourWord: it waits for somebody else. UnableToApprove: it does not
    wait, a guard holds it (it goes on waiting), or nothing wants it any more (then it is cancelled).
    """
    _check_reason(reason)
    row = _found(action_id)
    if _said(row, voice, Approval.Verdict.APPROVED) and (row.approved_at or row.state == State.AWAITING_APPROVAL):
        return queries.view(row)
    _check(row, voice, approving=True)
    wanted = gate.ask(row, at=at)  # outside of the transaction: it reads a lot
    if wanted is None:
        raise UnableToApprove(
            f"Action {action_id} is not approved: nobody can tell now whether it is still wanted. Try again.",
            code="held_gate",
        )
    answer = tx(lambda: _approve(action_id, voice, reason, wanted))
    if isinstance(answer, _Not):
        raise UnableToApprove(answer.detail, code=answer.code)
    failpoints.hit("approve.after_commit")
    return answer


def reject(*, action_id: int, voice: Voice, reason: str, at: datetime) -> ActionView:
    """Say no: the action is over. The same person's second no changes nothing; one's own yes may be taken back so."""
    _check_reason(reason)
    row = _found(action_id)
    if row.state == State.REJECTED and _said(row, voice, Approval.Verdict.REJECTED):
        return queries.view(row)
    _check(row, voice, approving=False)
    return tx(lambda: _reject(action_id, voice, reason, judged_at=at))


def picture(action: ActionView, *, at: datetime) -> Picture | None:
    """What there is to see about an action that needs, or needed, somebody's word; None for one that never did."""
    if not action.people:
        return None
    row = Action.objects.select_related("action_type").get(pk=action.id)
    given = tuple(Word(by=one.by, verdict=one.verdict, reason=one.reason, at=one.at) for one in row.approvals.all())
    own = _own_work_shown(row) if action.waits_for_a_word else {}
    approved = [one.by for one in given if one.verdict == Approval.Verdict.APPROVED and one.by not in own]
    return Picture(
        needed=row.people,
        asks=row.asks,
        because=tuple(row.approval_reasons),
        risk=row.action_type.risk,
        given=given,
        missing=consent.missing(row.people, approved),
        expires_at=row.approval_expires_at,
        approved_at=row.approved_at,
        waits=action.waits_for_a_word,
        own_work=own,
        now=gate.ask(row, at=at) if action.waits_for_a_word and not row.by_hand else None,
        before=_before(row),
        evidence=_evidence(row),
    )


def may_judge(action: ActionView, voice: Voice) -> bool:
    """Whether this voice's no would count; its yes may still need somebody else's."""
    return action.waits_for_a_word and voice.counts_for(action.asks)


def why_not_approve(action: ActionView, voice: Voice) -> str:
    """Why this voice's yes would not count, or ""."""
    try:
        own = _own_work(action)
    except editors.UnableToTell as unknown:
        return unknown.detail
    return consent.objection(voice=voice, asks=action.asks, own=own, approving=True)


def _check_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON or "\x00" in reason:
        message = "at most 2,000 characters, no NUL"
        raise Invalid("The reason is too long, or holds a NUL.", errors=[FieldError(path="reason", message=message)])


def _found(action_id: int) -> Action:
    queries.get(action_id)  # says so in a sentence when there is none
    return with_remediators(Action.objects.all()).get(pk=action_id)


def _said(row: Action, voice: Voice, verdict: str) -> bool:
    return row.approvals.filter(by=voice.actor, verdict=verdict).exists()


def _check(row: Action, voice: Voice, *, approving: bool) -> None:
    _check_waits(row, now=database_now())
    _check_voice(row, voice, own=_own_work(row) if approving else {}, approving=approving)


def _check_voice(row: Action, voice: Voice, *, own: Mapping[str, str], approving: bool) -> None:
    against = consent.objection(voice=voice, asks=row.asks, own=own, approving=approving)
    if against:
        raise NotYourWord(against)


def _check_waits(row: Action, *, now: datetime) -> None:
    if row.state != State.AWAITING_APPROVAL:
        state = row.state.replace("_", " ")
        raise UnableToApprove(f"Action {row.pk} is {state}: it does not wait for anybody's word.", code="not_waiting")
    if row.approval_expires_at is not None and row.approval_expires_at <= now:
        until = f"{row.approval_expires_at:%Y-%m-%d %H:%M:%S} UTC"
        raise UnableToApprove(
            f"Action {row.pk} waited until {until} and is over; if it is still needed it is proposed again.",
            code="not_waiting",
        )


def _own_work(action: Action | ActionView) -> Mapping[str, str]:
    """Whose yes does not count; nobody's where people may approve what they ordered or wrote themselves."""
    if not settings.VIGIL_SECOND_PAIR_OF_EYES:
        return {}
    return consent.own_work(
        asks=action.asks, ordered_by=action.ordered_by, by_hand=action.by_hand, editors=editors.of(action)
    )


def _own_work_shown(row: Action) -> Mapping[str, str]:
    """The same for a page, which is shown also when nobody can tell."""
    try:
        return _own_work(row)
    except editors.UnableToTell:
        return {}


def _approve(action_id: int, voice: Voice, reason: str, wanted: GateAnswer) -> ActionView | _Not:
    before = _found(action_id)
    answer = dispatch.ask_guards_again(
        before, wanted.limits, wanted.fleet
    )  # takes the locks that come before the action's
    row = _locked(action_id)
    now = database_now()
    _check_waits(row, now=now)
    own = _own_work(row)
    _check_voice(row, voice, own=own, approving=True)  # who edited the policy a moment ago is no second pair any more
    if not wanted.wanted:
        return _unwanted(row, voice, wanted, now=now)
    if not isinstance(answer, guards.Allow):
        return _held(row, voice, answer, now=now)
    Approval.objects.update_or_create(
        action=row, by=voice.actor, defaults={"verdict": Approval.Verdict.APPROVED, "reason": reason, "at": now}
    )
    said_yes = row.approvals.filter(verdict=Approval.Verdict.APPROVED).values_list("by", flat=True)
    given = [by for by in said_yes if by not in own]
    because = transitions.why(
        actor=voice.actor,
        reason=reason or "approved",
        approved_by=given,
        people=row.people,
        seen=wanted.reason,
    )
    if consent.missing(row.people, given):
        _note(row, "action.approved", because, now=now)
    else:
        _release(row, because, now=now)
    failpoints.hit("approve.before_commit")
    return queries.get(action_id)


def _release(row: Action, because: transitions.Why, *, now: datetime) -> None:
    moved = transitions.move(
        action_id=row.pk,
        origin=State.AWAITING_APPROVAL,
        goal=State.READY,
        because=because,
        at=now,
        where=_STILL_WAITING,
        values={"approved_at": now, "run_after": now, "hinted_at": now, "deadline": now + row.run_span},
    )
    if not moved:
        raise UnableToApprove(f"Action {row.pk} changed at the same moment; look at it again.", code="not_waiting")
    transaction.on_commit(partial(hints.give, [row.pk]), robust=True)


def _unwanted(row: Action, voice: Voice, wanted: GateAnswer, *, now: datetime) -> _Not:
    """Nothing wants it any more. Vigil cancels it, not the person, so that the ladder does not count it as tried."""
    reason = f"no longer wanted: {wanted.reason}"
    transitions.move(
        action_id=row.pk,
        origin=State.AWAITING_APPROVAL,
        goal=State.CANCELLED,
        because=transitions.why(actor="vigil", reason=reason, approved_by=[voice.actor]),
        at=now,
        values={"details": reason},
    )
    return _Not(code="no_longer_wanted", detail=f"Action {row.pk} is cancelled, not approved. {wanted.reason}")


def _held(row: Action, voice: Voice, answer: guards.Hold | guards.Refuse, *, now: datetime) -> _Not:
    """It goes on waiting; who asked and which guard answered is kept."""
    metrics.guard_decisions_total.labels(guard=answer.guard, answer=type(answer).__name__.lower()).inc()
    numbers = {"guard": answer.guard, **answer.numbers}
    because = transitions.Why(actor=voice.actor, reason=f"not approved: {answer.reason}", numbers=numbers)
    _note(row, "action.approval_held", because, now=now)
    word = "held" if isinstance(answer, guards.Hold) else "refused"
    return _Not(
        code=f"{word}_{answer.guard}",
        detail=f"Action {row.pk} is not approved and goes on waiting: {answer.reason}. Try again later.",
    )


def _note(row: Action, kind: str, because: transitions.Why, *, now: datetime) -> None:
    transitions.remark(action_id=row.pk, state=State.AWAITING_APPROVAL, kind=kind, because=because, at=now, values={})


def _reject(action_id: int, voice: Voice, reason: str, *, judged_at: datetime) -> ActionView:
    row = _locked(action_id)
    now = database_now()
    _check_waits(row, now=now)
    Approval.objects.update_or_create(
        action=row, by=voice.actor, defaults={"verdict": Approval.Verdict.REJECTED, "reason": reason, "at": now}
    )
    said = reason or "no reason was given"
    transitions.move(
        action_id=action_id,
        origin=State.AWAITING_APPROVAL,
        goal=State.REJECTED,
        because=transitions.why(actor=voice.actor, reason=said, judged_at=judged_at.isoformat()),
        at=now,
        values={"details": f"rejected by {voice.actor}: {said}"},
    )
    failpoints.hit("reject.before_commit")
    return queries.get(action_id)


def _locked(action_id: int) -> Action:
    return Action.objects.select_for_update().get(pk=action_id)


def _before(row: Action) -> tuple[Earlier, ...]:
    earlier = Action.objects.filter(target=row.target, pk__lt=row.pk).order_by("-id")[:BEFORE_SHOWN]
    return tuple(
        Earlier(
            action_id=one.pk,
            kind=one.action_type_id,
            state=one.state,
            verification=one.verification,
            at=one.finished_at or one.created_at,
        )
        for one in earlier
    )


def _evidence(row: Action) -> Mapping[str, object]:
    if row.incident_id is None or not settings.ACTION_EVIDENCE:
        return {}
    try:
        about = cast("Callable[..., Mapping[str, object]]", plugins.load(settings.ACTION_EVIDENCE))
        return about(action_id=row.pk, incident_id=row.incident_id)
    except Exception:
        logger.exception("actions.evidence.failed", action_id=row.pk, reason="the action is shown without it")
        return {}
