"""The roof's map: apps are named by string, so no circle closes."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from vigil.health import views as health

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("policies.api.urls")),
    path("api/v1/", include("metrics.api.urls")),
    path("api/v1/", include("actions.api.urls")),
    path("api/v1/", include("simulator.api.urls")),
    path("api/v1/", include("vigil.audit.api.urls")),
    path("remediator/", include("actions.api.pull_urls")),
    re_path(r"^api/schema/?$", SpectacularAPIView.as_view(), name="schema"),
    re_path(r"^api/docs/?$", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    re_path(r"^health/?$", health.health, name="health"),
    re_path(r"^ready/?$", health.ready, name="ready"),
    re_path(r"^metrics/?$", health.metrics, name="metrics"),
]
