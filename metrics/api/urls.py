"""Routes of this app, below /api/v1."""

from django.urls import URLPattern, re_path

from metrics.api import views

urlpatterns: list[URLPattern] = [
    re_path(r"^metrics/?$", views.SeriesView.as_view(), name="metrics-series"),
    re_path(r"^metrics/query/?$", views.RangeView.as_view(), name="metrics-query"),
]
