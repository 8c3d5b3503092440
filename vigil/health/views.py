"""/health, /ready and /metrics."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from vigil.access import keys, scopes
from vigil.health import checks
from vigil.http import address, exceptions
from vigil.kernel import clock, networks
from vigil.kernel.errors import VigilError
from vigil.telemetry import exposition


@csrf_exempt  # another verb is a 405, not a missing token
@login_not_required
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Liveness: this process answers."""
    return JsonResponse({"status": "healthy", "service": "vigil"})


@csrf_exempt  # another verb is a 405, not a missing token
@login_not_required
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Readiness: each part with its state; 503 when a part that is needed has failed.

    What a part says about its state names people, policies and reasons: that is for whoever may read the metrics too.
    """
    reports = checks.run_all()
    is_ready, is_known = checks.ready(reports), _may_look_inside(request)
    return JsonResponse(
        {
            "status": "ready" if is_ready else "not ready",
            "checks": {name: _shown(report, whole=is_known) for name, (_, report) in reports.items()},
        },
        status=200 if is_ready else 503,
    )


@csrf_exempt  # another verb is a 405, not a missing token
@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' scrape: from allowed networks, else with a key that may read."""
    if not _may_look_inside(request):
        return exceptions.plain(
            VigilError(
                "Metrics are for allowed networks (VIGIL_METRICS_ALLOW) and keys with the scope 'read'.",
                code="unauthenticated",
                status=401,
            )
        )
    return HttpResponse(exposition.render(), content_type=exposition.CONTENT_TYPE)


def _shown(report: checks.Report, *, whole: bool) -> dict[str, str]:
    return {"state": report.state, "detail": report.detail} if whole else {"state": report.state}


def _may_look_inside(request: HttpRequest) -> bool:
    return networks.within(address.known_client(request), settings.VIGIL_METRICS_ALLOW) or _may_read(request)


def _may_read(request: HttpRequest) -> bool:
    scheme, _, plain = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    known = keys.find(plain.strip(), at=clock.now()) if scheme.lower() == "bearer" else None
    return known is not None and scopes.READ in known.scopes
