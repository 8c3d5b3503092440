"""How each policy's own evaluation fares: errors are recorded on it, gaps in evaluation become a grace period."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import F

from policies import book
from policies.book import Rule
from policies.engine import lifecycle
from policies.models import Policy, PolicyHealth
from vigil.audit import entries
from vigil.kernel.database import tx
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)

ERRORS_MAX = 5
"""After so many failed evaluations in a row a policy is switched off by itself, until someone edits it."""


_seen: dict[int, datetime] = {}
"""When this process last looked at a policy's health; it saves a query for nearly every reading."""


def unseen(policy_id: int, at: datetime) -> bool:
    """Whether this process has not looked at the policy's health for half a sweep interval."""
    last = _seen.get(policy_id)
    return last is None or abs(at - last) > timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS / 2)


def look(policy_ids: Collection[int], *, at: datetime) -> dict[int, PolicyHealth]:
    """The health of these policies, and a note that this process looked."""
    _seen.update(dict.fromkeys(policy_ids, at))
    return of(policy_ids) if policy_ids else {}


def of(policy_ids: Collection[int]) -> dict[int, PolicyHealth]:
    """The health of these policies; one that was never swept has none."""
    return {health.policy_id: health for health in PolicyHealth.objects.filter(policy_id__in=policy_ids)}


def failed(errors: Mapping[Rule, str], *, at: datetime) -> None:
    """Record evaluations that failed; a policy that keeps failing disables itself and nothing else."""
    for rule, error in errors.items():
        telemetry.of_policy(telemetry.policy_errors_total, rule.name).inc()
        log.error("policies.evaluation.failed", policy=rule.name, version=rule.number, reason=error)
        tx(lambda rule=rule, error=error: _fail(rule, error, at))  # type: ignore[misc]


def evaluated(
    rules: Iterable[Rule], *, failures: Collection[Rule], known: Mapping[int, PolicyHealth], at: datetime, sweep: bool
) -> None:
    """Note that these policies were judged; one that had not been for long enters a grace period.

    Sweeps make the rows, so a policy that was never swept has no gap. Readings only keep them fresh, and only when they
    got older than a sweep interval: the usual reading writes nothing here.
    """
    by_id = {rule.policy_id: rule for rule in rules}
    due = {policy_id for policy_id in by_id if sweep or _overdue(known.get(policy_id), at)}
    if due:
        fine = due - {rule.policy_id for rule in failures}
        tx(lambda: _evaluated([by_id[policy_id] for policy_id in sorted(due)], fine, known, at))


def renew(policy: Policy) -> None:
    """Forget errors and gaps: the policy was edited or switched on. Call it in the transaction of the change."""
    PolicyHealth.objects.filter(policy=policy).update(
        consecutive_errors=0, disabled_by_error=False, last_error="", last_error_at=None
    )


def restart(policy: Policy) -> None:
    """As `renew`, and the time while the policy was off is no gap."""
    renew(policy)
    PolicyHealth.objects.filter(policy=policy).update(last_evaluated_at=None, grace_until=None)


def _overdue(health: PolicyHealth | None, at: datetime) -> bool:
    interval = timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS)
    return health is not None and health.last_evaluated_at is not None and at - health.last_evaluated_at > interval


def _evaluated(rules: list[Rule], fine: Collection[int], known: Mapping[int, PolicyHealth], at: datetime) -> None:
    missing = [PolicyHealth(policy_id=rule.policy_id) for rule in rules if rule.policy_id not in known]
    PolicyHealth.objects.bulk_create(missing, ignore_conflicts=True)
    for rule in rules:
        _begin_grace(rule, known.get(rule.policy_id), at)
    PolicyHealth.objects.filter(policy_id__in=[rule.policy_id for rule in rules]).update(last_evaluated_at=at)
    PolicyHealth.objects.filter(policy_id__in=fine, consecutive_errors__gt=0).update(consecutive_errors=0)


def _begin_grace(rule: Rule, health: PolicyHealth | None, at: datetime) -> None:
    last = health.last_evaluated_at if health else None
    until = lifecycle.grace_until(last, at=at, timings=rule.timings)
    if until is not None and until > at:
        PolicyHealth.objects.filter(policy_id=rule.policy_id).update(grace_until=until)
        log.warning(
            "policies.grace.began",
            policy=rule.name,
            until=until.isoformat(),
            last_evaluated_at=str(last),
            reason="It was not evaluated for too long; until then it orders nothing.",
        )


def _fail(rule: Rule, error: str, at: datetime) -> None:
    PolicyHealth.objects.get_or_create(policy_id=rule.policy_id)
    mine = PolicyHealth.objects.filter(policy_id=rule.policy_id)
    mine.update(consecutive_errors=F("consecutive_errors") + 1, last_error=error, last_error_at=at)
    if mine.filter(consecutive_errors__gte=ERRORS_MAX, disabled_by_error=False).update(disabled_by_error=True):
        entries.write(
            kind="policy.disabled_by_error",
            subject=f"policy:{rule.name}",
            actor="vigil",
            reason=f"Its evaluation failed {ERRORS_MAX} times in a row; the last time: {error}",
            at=at,
        )
        book.bump()
