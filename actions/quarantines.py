"""Targets that were repaired too often are left to people for a day, or until a person lifts it."""

from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction

from actions import budgets, guards
from actions.guards import Quarantine
from actions.models import Action, Attempt, TargetGuard
from vigil.audit import entries
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict

logger = structlog.get_logger(__name__)

RELAPSES_WITHIN = timedelta(days=1)


class UnableToLift(Conflict):
    """The target is in no quarantine."""

    code = "not_quarantined"


def of_row(row: TargetGuard | None) -> Quarantine | None:
    """A target's quarantine as the guards see it."""
    if row is None or row.quarantined_until is None:
        return None
    return Quarantine(until=row.quarantined_until, reason=row.quarantine_reason)


def standing() -> list[TargetGuard]:
    """The targets that are in quarantine now, by name."""
    return list(TargetGuard.objects.filter(quarantined_until__gt=database_now()).order_by("target"))


def after_effect(action: Action, *, now: datetime) -> None:
    """In the transaction of an attempt of a policy's action: was that one too many for its target?"""
    within = timedelta(seconds=settings.VIGIL_QUARANTINE_REPAIRS_SECONDS)
    most = int(settings.VIGIL_QUARANTINE_REPAIRS)
    tries = Attempt.objects.filter(action__target=action.target, action__by_hand=False, intent_at__gt=now - within)
    begun: dict[int, datetime] = {}
    for action_id, at in tries.order_by("-intent_at").values_list("action_id", "intent_at"):
        begun[action_id] = at  # a retry is no other repair: what counts is when it began
    row = TargetGuard.objects.filter(target=action.target).first()
    since = [at for at in begun.values() if row is None or row.lifted_at is None or at > row.lifted_at]
    if guards.repairs_too_often(since, most=most, within=within) is not None:
        _begin(action.target, guards.repaired_reason(len(since), within=within), now=now)


def after_relapse(action: Action, *, now: datetime) -> None:
    """In the transaction that calls an action relapsed: has that happened too often to its target?"""
    row = TargetGuard.objects.filter(target=action.target).first()
    since = now - RELAPSES_WITHIN
    if row is not None and row.lifted_at is not None:
        since = max(since, row.lifted_at)
    relapsed = Action.objects.filter(
        target=action.target, policy_name=action.policy_name, verification="relapsed", finished_at__gt=since
    ).count()
    if relapsed >= int(settings.VIGIL_QUARANTINE_RELAPSES):
        _begin(
            action.target, f"bad again soon after {relapsed} repairs of policy {action.policy_name} had helped", now=now
        )


def lift(*, target: str, actor: str, reason: str) -> None:
    """A person has looked: let Vigil act on the target again. UnableToLift when it is in no quarantine."""
    tx(lambda: _lift(target, actor, reason))


def _begin(target: str, reason: str, *, now: datetime) -> None:
    budgets.lock_target(target)
    until = now + timedelta(seconds=settings.VIGIL_QUARANTINE_SECONDS)
    TargetGuard.objects.filter(target=target).update(quarantined_until=until, quarantine_reason=reason)
    entries.write(
        kind="quarantine.began",
        subject=f"quarantine:{target}",
        actor="vigil",
        reason=reason,
        numbers={"until": until.isoformat()},
        at=now,
    )
    transaction.on_commit(partial(_tell, target, reason, until), robust=True)


def _tell(target: str, reason: str, until: datetime) -> None:
    logger.error(
        "actions.quarantine.began",
        target=target,
        reason=reason,
        until=until.isoformat(),
        hint="look at the target, then: manage.py guards --lift TARGET",
    )


def _lift(target: str, actor: str, reason: str) -> None:
    now = database_now()
    row = TargetGuard.objects.select_for_update().filter(target=target, quarantined_until__gt=now).first()
    if row is None:
        raise UnableToLift(f"{target[:250]!r} is in no quarantine; GET /api/v1/guards lists the targets that are.")
    TargetGuard.objects.filter(target=target).update(quarantined_until=None, quarantine_reason="", lifted_at=now)
    entries.write(
        kind="quarantine.lifted",
        subject=f"quarantine:{target}",
        actor=actor,
        reason=reason,
        numbers={"was": row.quarantine_reason},
        at=now,
    )
    transaction.on_commit(partial(logger.warning, "actions.quarantine.lifted", target=target, actor=actor), robust=True)
