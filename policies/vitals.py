"""How deciding fares: what /ready, `doctor` and Prometheus see of it."""

from collections.abc import Iterable

from django.conf import settings
from django.db.models import Count, Max, Q
from django.db.models.functions import Now
from prometheus_client.core import GaugeMetricFamily, Metric

from policies import sweep
from policies.engine.muting import Kind
from policies.models import CommonCause, Decision, FlapHistory, Freeze, Incident, IncidentStatus, Policy, Severity
from vigil.health import checks
from vigil.health.checks import Report
from vigil.kernel import clock
from vigil.telemetry import collectors


def register() -> None:
    """Put the checks behind /ready and the gauges behind /metrics."""
    checks.register("sweep", sweep_report, readiness=False)
    checks.register("policies", policies_report, readiness=False)
    collectors.register("policies", gauges)


def sweep_report() -> Report:
    """The periodic evaluation ran lately."""
    last = sweep.status().last_success_at
    hint = "It is run by celery beat or by `manage.py dispatcher`; is one of them running?"
    if last is None:
        return Report(state="degraded", detail="has never run", hint=hint)
    age = (clock.now() - last).total_seconds()
    if age > 4 * settings.VIGIL_SWEEP_INTERVAL_SECONDS:
        return Report(state="degraded", detail=f"last ran {age:.0f} s ago", hint=hint)
    return Report(state="ok", detail=f"ran {max(age, 0):.0f} s ago")


def _muted() -> Metric:
    """Open incidents of which the newest decision says that something mutes them; one query."""
    muted = GaugeMetricFamily("vigil_incidents_muted", "Open incidents that are held, by what.", labels=["by"])
    opened = Decision.objects.order_by().filter(incident__status=IncidentStatus.OPEN)
    newest = opened.values("incident_id").annotate(newest=Max("id")).values("newest")
    held = Decision.objects.order_by().filter(pk__in=newest, guard__in=list(Kind))
    counts = dict(held.values_list("guard").annotate(total=Count("id")))
    for kind in Kind:
        muted.add_metric([kind.value], counts.get(kind.value, 0))
    return muted


def policies_report() -> Report:
    """No policy had to switch itself off."""
    stopped = list(
        Policy.objects.filter(enabled=True, health__disabled_by_error=True).values_list("name", flat=True)[:5]
    )
    if stopped:
        return Report(
            state="degraded",
            detail=f"switched off by their own errors: {', '.join(stopped)}",
            hint="GET /api/v1/policies/NAME shows the last error; an edit or a reload puts the policy back in force.",
        )
    return Report(state="ok", detail="none switched off by an error")


def gauges() -> Iterable[Metric]:
    """State read at scrape time, so that every process tells the same."""
    opened = GaugeMetricFamily("vigil_incidents_open", "Open incidents.", labels=["severity"])
    counts = dict(
        Incident.objects.order_by()
        .filter(status=IncidentStatus.OPEN)
        .values_list("severity")
        .annotate(total=Count("id"))
    )
    for severity in Severity.values:
        opened.add_metric([severity], counts.get(severity, 0))
    yield opened
    yield _muted()
    yield GaugeMetricFamily(
        "vigil_incidents_flapping",
        "Policies on targets whose incidents open and close all the time.",
        value=FlapHistory.objects.filter(flapping_since__isnull=False).count(),
    )
    yield GaugeMetricFamily(
        "vigil_common_causes",
        "Groups of targets held because many went bad at once.",
        value=CommonCause.objects.filter(ended_at=None).count(),
    )
    frozen = Freeze.objects.filter(lifted_at=None, until__gt=Now()).order_by()
    yield GaugeMetricFamily(
        "vigil_targets_frozen",
        "Targets where policies that undid each other act no more.",
        value=frozen.values("target").distinct().count(),
    )
    totals = Policy.objects.aggregate(
        in_force=Count("id", filter=Q(enabled=True)),
        broken=Count("id", filter=Q(enabled=True, health__disabled_by_error=True)),
    )
    yield GaugeMetricFamily("vigil_policies_enabled", "Policies in force.", value=totals["in_force"])
    yield GaugeMetricFamily(
        "vigil_policies_disabled_by_error", "Policies switched off by their own errors.", value=totals["broken"]
    )
    row = sweep.status()
    last = row.last_success_at.timestamp() if row.last_success_at is not None else 0
    yield GaugeMetricFamily("vigil_sweep_last_success_timestamp", "When a sweep last succeeded (epoch s).", value=last)
    yield GaugeMetricFamily("vigil_sweep_lag_seconds", "How late the last sweep began.", value=row.lag_seconds)
    yield GaugeMetricFamily(
        "vigil_sweep_overruns", "Ticks skipped because a sweep was still running.", value=row.overruns
    )
