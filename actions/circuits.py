"""Circuit breakers: a remediator's is a row, locked before each call; a policy's is seen from its last actions."""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from actions import breaker, guards
from actions.breaker import CLOSED, Lately, Limits, Position, Result
from actions.models import Action, Attempt, Circuit
from actions.remediators import base, pull
from actions.states import LIVE, State
from vigil.audit import entries

logger = structlog.get_logger(__name__)

NOT_CALLED = frozenset({"database", "configuration", "too_slow"})
"""Outcomes that say nothing about the remediator: nothing was even tried."""

_COUNTED = Q(state=State.FAILED, attempt_no__gt=0) | Q(verification__in=["effective", "ineffective"])


def limits() -> Limits:
    """Those of remediators."""
    return Limits(
        failures=int(settings.VIGIL_BREAKER_FAILURES), rest=timedelta(seconds=settings.VIGIL_BREAKER_REST_SECONDS)
    )


def policy_limits() -> Limits:
    """Those of policies: whether an action helped is known later than whether a call got through."""
    rest = timedelta(seconds=settings.VIGIL_POLICY_BREAKER_REST_SECONDS)
    return Limits(failures=int(settings.VIGIL_BREAKER_FAILURES), rest=rest)


def troubled(*, kind: str, error_class: str, http_status: int | None, first_byte_sent: bool) -> bool | None:
    """Did the remediator itself fail? One that reports a failure works. None: it was not even called."""
    if kind == "failed" and error_class in NOT_CALLED:
        return None
    if kind == "ambiguous":
        return True
    if kind != "failed":
        return False
    return http_status >= 500 if http_status is not None else not first_byte_sent


def calm(row: Circuit | None) -> bool:
    """Its last call, if any, went well. A circuit is locked only while it is not calm: workers of a remediator that
    works never wait for one another."""
    return row is None or (row.position == Position.CLOSED and row.failures == 0)


def lock(remediator_id: int) -> Circuit | None:
    """The remediator's circuit, locked until the commit; None while none of its calls ever failed."""
    return Circuit.objects.select_for_update().filter(pk=remediator_id).first()


def asked(row: Circuit | None, *, now: datetime) -> guards.Answer:
    """Whether a call of the remediator may begin now."""
    if row is None:
        return guards.ALLOWED
    return guards.circuit("its remediator", _of(row), limits(), at=now)


def let_through(row: Circuit | None, *, now: datetime) -> None:
    """Note that a call begins, with the circuit locked since it was asked: of an open one it is the probe."""
    after = None if row is None else breaker.admit(_of(row), limits(), at=now)
    if row is not None and after is not None and after.position is not Position.CLOSED:
        _keep(row, after)


def tell(remediator_id: int, *, seen: Circuit | None, outcome: base.Outcome, began_at: datetime, now: datetime) -> None:
    """Note how a call ended; `seen` is the circuit as it was just read. Before the action's row is locked: calls lock
    circuits first."""
    bad = troubled(
        kind=outcome.kind,
        error_class=outcome.error_class,
        http_status=outcome.http_status,
        first_byte_sent=outcome.first_byte_sent,
    )
    if bad is not None:
        row = hold(remediator_id, seen=seen, bad=bad)
        _note(row, bad=bad, began_at=began_at, now=now)


def hold(remediator_id: int, *, seen: Circuit | None, bad: bool) -> Circuit | None:
    """The circuit that news of its remediator is for, locked until the commit; None when good news changes nothing.

    Before the action's row is locked: calls lock circuits first.
    """
    if not bad:
        return None if calm(seen) else lock(remediator_id)
    Circuit.objects.bulk_create(
        [Circuit(remediator_id=remediator_id, position=Position.CLOSED.value)], ignore_conflicts=True
    )
    return Circuit.objects.select_for_update().get(pk=remediator_id)


def hold_for_report(remediator_id: int, *, doubtful: bool) -> Circuit | None:
    """The same for what comes later than the answer to a call: a report, or that none came."""
    return hold(remediator_id, seen=Circuit.objects.filter(pk=remediator_id).first(), bad=doubtful)


def reported(row: Circuit | None, *, doubtful: bool, began_at: datetime, now: datetime) -> None:
    """Note how work ended that the remediator took on: one that reports a failure works, one that cannot say, or says
    nothing, is as one that did not answer its call. `row` is the circuit as it is held."""
    _note(row, bad=doubtful, began_at=began_at, now=now)


def of_policy(policy_name: str) -> breaker.Circuit:
    """Where the circuit of a policy stands: two small reads by index at most."""
    if not policy_name:
        return CLOSED
    own = Action.objects.filter(policy_name=policy_name, by_hand=False)
    known = policy_limits()
    rows = own.filter(_COUNTED).order_by("-id").values_list("verification", "finished_at")[: known.failures]
    results = [Result(ok=verification == "effective", at=at) for verification, at in rows if at is not None]
    if len(results) < known.failures or any(result.ok for result in results):
        return breaker.of_results(results, known, newest_try_at=None)
    tried = own.filter(Q(attempt_no__gt=0) | Q(state__in=LIVE)).order_by("-id")
    return breaker.of_results(results, known, newest_try_at=tried.values_list("created_at", flat=True).first())


def standing(remediator_ids: Collection[int] | None = None) -> dict[int, breaker.Circuit]:
    """The circuits of these remediators, or of all, that are not closed."""
    rows = Circuit.objects.exclude(position=Position.CLOSED)
    if remediator_ids is not None:
        rows = rows.filter(pk__in=list(remediator_ids))
    return {row.pk: _of(row) for row in rows}


def _of(row: Circuit) -> breaker.Circuit:
    return breaker.Circuit(
        position=Position(row.position),
        failures=row.failures,
        opened_at=row.opened_at,
        probe_at=row.probe_at,
        reason=row.reason,
    )


def _note(row: Circuit | None, *, bad: bool, began_at: datetime, now: datetime) -> None:
    if row is None:
        return
    if not bad:
        _keep(row, breaker.succeeded(_of(row), began_at=began_at))
        return
    lately = _lately(row.pk, now=now)
    _keep(row, breaker.failed(_of(row), limits(), began_at=began_at, at=now, lately=lately))


def _lately(remediator_id: int, *, now: datetime) -> Lately:
    """How the calls that began lately ended; the one being told is among them. What was fetched and is not reported yet
    has not ended."""
    rows = Attempt.objects.filter(intent_at__gt=now - limits().within, action__action_type__remediator_id=remediator_id)
    rows = rows.exclude(outcome="accepted", worker__startswith=pull.WORKER)
    ends = [
        troubled(kind=outcome, error_class=error, http_status=status, first_byte_sent=first_byte_at is not None)
        for outcome, error, status, first_byte_at in rows.exclude(outcome="").values_list(
            "outcome", "error_class", "http_status", "first_byte_at"
        )
    ]
    counted = [bad for bad in ends if bad is not None]
    return Lately(calls=len(counted), failures=sum(counted))


def _keep(row: Circuit, after: breaker.Circuit) -> None:
    before = Position(row.position)
    Circuit.objects.filter(pk=row.pk).update(
        position=after.position.value,
        failures=after.failures,
        opened_at=after.opened_at,
        probe_at=after.probe_at,
        reason=after.reason,
    )
    opened = after.position is Position.OPEN and before is Position.CLOSED
    if not opened and not (after.position is Position.CLOSED and before is not Position.CLOSED):
        return
    name = row.remediator.name
    reason = after.reason if opened else "a probe was answered"
    entries.write(
        kind="circuit.opened" if opened else "circuit.closed",
        subject=f"remediator:{name}",
        actor="vigil",
        reason=reason,
        numbers={"failures": after.failures},
    )
    say = logger.error if opened else logger.warning
    transaction.on_commit(
        partial(say, "actions.circuit.changed", remediator=name, position=after.position.value, reason=reason),
        robust=True,
    )
