"""How the background evaluation fares right now: the sweep as a whole, and each policy in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from policies import book, fitness, sweep
from policies.models import Policy, PolicyHealth, SweepStatus

MISSED = 4
"""After so many intervals without a sweep it is not running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fares:
    """How one policy fares."""

    policy: str
    last_evaluated_at: datetime | None
    """None before its first sweep."""
    lag_seconds: float
    """How much later than one interval after its last evaluation it is now."""
    errors_in_a_row: int
    last_error: str
    last_error_at: datetime | None
    stopped: bool
    """It is enabled but not judged: its errors switched it off, or it cannot be read."""
    grace_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How all of it fares."""

    sweep: SweepStatus
    running: bool
    lag_seconds: float
    """Of the last sweep, or of the one that should have begun by now, whichever is later."""
    policies: tuple[Fares, ...]


def status(*, at: datetime) -> Runner:
    """How the sweep and every enabled policy fare at this moment."""
    row = sweep.status()
    age = None if row.last_run_at is None else (at - row.last_run_at).total_seconds()
    broken = book.current(at).broken
    enabled = Policy.objects.filter(enabled=True).order_by("name")
    health = fitness.of([policy.pk for policy in enabled])
    return Runner(
        sweep=row,
        running=age is not None and age <= MISSED * settings.VIGIL_SWEEP_INTERVAL_SECONDS,
        lag_seconds=max(row.lag_seconds, _late(row.last_run_at, at)),
        policies=tuple(_fares(policy.name, health.get(policy.pk), broken, at) for policy in enabled),
    )


def _fares(name: str, health: PolicyHealth | None, broken: Mapping[str, str], at: datetime) -> Fares:
    known = health or PolicyHealth()
    grace = known.grace_until
    return Fares(
        policy=name,
        last_evaluated_at=known.last_evaluated_at,
        lag_seconds=_late(known.last_evaluated_at, at),
        errors_in_a_row=known.consecutive_errors,
        last_error=broken.get(name) or known.last_error,
        last_error_at=known.last_error_at,
        stopped=name in broken,
        grace_until=grace if grace is not None and grace > at else None,
    )


def _late(last: datetime | None, at: datetime) -> float:
    if last is None:
        return 0.0
    return round(max(0.0, (at - last).total_seconds() - settings.VIGIL_SWEEP_INTERVAL_SECONDS), 3)
