"""The storm brake: who proposes too much at once does nothing until a person resets it. Budget rows carry the mark."""

from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from actions import budgets, guards
from actions.models import Budget, Proposal
from vigil.audit import entries
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import Conflict, NotFound

logger = structlog.get_logger(__name__)

REMEMBERED = timedelta(days=7)
"""How long a proposal is known as an old one. A wish that is held for longer counts once more."""


class UnableToReset(Conflict):
    """The scope is not held."""

    code = "not_held"


def note(*, key: str, policy_name: str, now: datetime) -> None:
    """Count a wish of a policy, once, and hold the policy or all of Vigil from now on when that was too many.

    In the order's transaction, after the policy's budget was locked: of one policy nobody counts at the same time.
    """
    if Proposal.objects.filter(pk=key).exists():
        return
    Proposal.objects.bulk_create([Proposal(key=key, policy_name=policy_name, at=now)], ignore_conflicts=True)
    within = timedelta(seconds=settings.VIGIL_STORM_SECONDS)
    lately = Proposal.objects.filter(at__gt=now - within)
    _look(f"policy:{policy_name}", f"policy {policy_name}", lately.filter(policy_name=policy_name), now=now)
    # A policy that is held by itself already must not hold all the others with it.
    held = [storm.scope.removeprefix("policy:") for storm in budgets.storms() if storm.scope != budgets.GLOBAL]
    _look(budgets.GLOBAL, "Vigil", lately.exclude(policy_name__in=held), now=now)


def reset(*, scope: str, actor: str, reason: str) -> None:
    """A person has looked: let the scope act again. NotFound or UnableToReset when it is not held."""
    tx(lambda: _reset(scope, actor, reason))


def forget_old() -> int:
    """Drop proposals that are too old to tell anything; how many."""
    return Proposal.objects.filter(at__lt=database_now() - REMEMBERED).delete()[0]


def _look(scope: str, who: str, lately: QuerySet[Proposal], *, now: datetime) -> None:
    within = timedelta(seconds=settings.VIGIL_STORM_SECONDS)
    reason = guards.storm_begins(lately.count(), most=int(settings.VIGIL_STORM_PROPOSALS), within=within, who=who)
    if reason:
        _begin(scope, reason, now=now)


def _begin(scope: str, reason: str, *, now: datetime) -> None:
    if not Budget.objects.filter(scope=scope, storm_since=None).update(storm_since=now, storm_reason=reason):
        return
    entries.write(kind="storm.began", subject=f"storm:{scope}", actor="vigil", reason=reason, at=now)
    transaction.on_commit(partial(_tell, scope, reason), robust=True)


def _tell(scope: str, reason: str) -> None:
    logger.error("actions.storm.began", scope=scope, reason=reason, hint="look, then: manage.py guards --reset SCOPE")


def _reset(scope: str, actor: str, reason: str) -> None:
    row = Budget.objects.select_for_update().filter(scope=scope).first()
    if row is None:
        raise NotFound(f"There is no scope {scope[:200]!r}; GET /api/v1/guards lists what is held.")
    if row.storm_since is None:
        raise UnableToReset(f"{scope} is not held: there is nothing to reset.")
    now = database_now()
    Budget.objects.filter(pk=row.pk).update(storm_since=None, storm_reason="")
    # What was proposed until now has been looked at: it must not begin the next storm.
    seen = Proposal.objects.filter(at__gt=now - timedelta(seconds=settings.VIGIL_STORM_SECONDS))
    name = scope.removeprefix("policy:")
    (seen if scope == budgets.GLOBAL else seen.filter(policy_name=name)).update(
        at=now - timedelta(seconds=settings.VIGIL_STORM_SECONDS)
    )
    entries.write(
        kind="storm.reset",
        subject=f"storm:{scope}",
        actor=actor,
        reason=reason,
        numbers={"since": row.storm_since.isoformat(), "was": row.storm_reason},
        at=now,
    )
    transaction.on_commit(partial(logger.warning, "actions.storm.reset", scope=scope, actor=actor), robust=True)
