"""Routes of pull mode, below /remediator: where the remediators that are there already look for them."""

from django.urls import URLPattern, re_path

from actions.api import pull_views

urlpatterns: list[URLPattern] = [
    re_path(r"^tasks/?$", pull_views.TasksView.as_view(), name="remediator-tasks"),
    re_path(r"^results/?$", pull_views.ResultsView.as_view(), name="remediator-results"),
]
