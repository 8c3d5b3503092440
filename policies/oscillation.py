"""Two policies that undo each other's work on a target are found out, and act there no more for a while."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction

from actions import queries
from policies import conflicts
from policies.engine import oscillation
from policies.engine.oscillation import Effect, Limits, Oscillation
from policies.models import Freeze
from vigil.audit import entries
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict, NotFound
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)

GUARD = "oscillation"


class UnableToLift(Conflict):
    """The freeze is over."""

    code = "freeze_over"


def check(*, policy: str, target: str, at: datetime) -> Freeze | None:
    """The freeze that holds the policy's actions on the target: one that stands, or one that begins now.

    In the transaction of the decision.
    """
    now = database_now()
    standing = _standing(policy, target, now)
    if standing is not None:
        return standing
    found = _find(target, now)
    return _freeze(found, target, now=now, at=at) if found is not None and policy in found.policies else None


def standing(*, policy: str, target: str) -> Freeze | None:
    """The freeze that holds the policy's actions on the target now, if any does."""
    return _standing(policy, target, database_now())


def reason(freeze: Freeze) -> str:
    """In one sentence, the same as long as it lasts."""
    return f"Frozen until {freeze.until:%H:%M:%S} UTC, or until a person lifts freeze {freeze.pk}: {freeze.reason}"


def numbers(freeze: Freeze) -> Mapping[str, object]:
    """What the decision keeps."""
    return {
        "freeze": freeze.pk,
        "policies": freeze.policies,
        "actions": freeze.evidence,
        "effects": len(freeze.evidence),
        "within_seconds": settings.VIGIL_OSCILLATION_SECONDS,
        "until": freeze.until.isoformat(),
    }


def get(freeze_id: int) -> Freeze:
    """One freeze; NotFound says so."""
    found = Freeze.objects.filter(pk=freeze_id).first()
    if found is None:
        raise NotFound(f"There is no freeze {freeze_id}; GET /api/v1/freezes lists those there are.")
    return found


def lift(*, freeze_id: int, actor: str, note: str, at: datetime) -> Freeze:
    """A person lets the policies act again. What had alternated before does not freeze them anew."""
    get(freeze_id)
    return tx(partial(_lift, freeze_id, actor, note, at))


def _standing(policy: str, target: str, now: datetime) -> Freeze | None:
    rows = Freeze.objects.filter(target=target, lifted_at=None, until__gt=now)
    return next((row for row in rows if policy in row.policies), None)


def _find(target: str, now: datetime) -> Oscillation | None:
    limits = Limits(
        effects=settings.VIGIL_OSCILLATION_EFFECTS, within=timedelta(seconds=settings.VIGIL_OSCILLATION_SECONDS)
    )
    last = Freeze.objects.filter(target=target).first()
    begin = now - limits.within
    since = begin if last is None else max(begin, last.lifted_at or last.until)
    found = queries.policies_effects(target=target, since=since, most=limits.effects)
    if len(found) < limits.effects:  # the usual case by far: nothing more is asked
        return None
    effects = [Effect(action_id=one.id, policy=one.policy_name, kind=one.kind, at=one.at) for one in found]
    return oscillation.find(effects, limits, pairs=conflicts.known().pairs, at=now)


def _freeze(found: Oscillation, target: str, *, now: datetime, at: datetime) -> Freeze:
    row, began = Freeze.objects.get_or_create(
        target=target,
        newest_action_id=found.effects[-1].action_id,
        defaults={
            "policies": list(found.policies),
            "reason": found.reason,
            "evidence": [one.action_id for one in found.effects],
            "since": now,
            "until": now + timedelta(seconds=settings.VIGIL_FREEZE_SECONDS),
        },
    )
    if began:
        _record("began", row, actor="vigil", reason=row.reason, at=at)
        transaction.on_commit(partial(_tell, row), robust=True)
    return row


def _tell(row: Freeze) -> None:
    telemetry.freezes_total.inc()
    log.error(
        "policies.oscillation.frozen", target=row.target, policies=row.policies, until=row.until, reason=row.reason
    )


def _lift(freeze_id: int, actor: str, note: str, at: datetime) -> Freeze:
    now = database_now()
    standing = Freeze.objects.filter(pk=freeze_id, lifted_at=None, until__gt=now)
    if not standing.update(lifted_at=now, lifted_by=actor):
        raise UnableToLift(f"Freeze {freeze_id} is over already; nothing is held by it.")
    row = get(freeze_id)
    _record("lifted", row, actor=actor, reason=note or f"Lifted by {actor}.", at=at)
    return row


def _record(verb: str, row: Freeze, *, actor: str, reason: str, at: datetime) -> None:
    entries.write(
        kind=f"freeze.{verb}",
        subject=f"freeze:{row.pk}",
        actor=actor,
        reason=f"{row.target}: {reason}",
        numbers={"target": row.target, **numbers(row)},
        at=at,
    )
