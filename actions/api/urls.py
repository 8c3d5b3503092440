"""Routes of this app, below /api/v1."""

from django.urls import URLPattern, re_path

from actions.api import views

urlpatterns: list[URLPattern] = [
    re_path(r"^actions/?$", views.ActionsView.as_view(), name="actions"),
    re_path(r"^actions/(?P<action_id>[0-9]{1,18})/?$", views.OneActionView.as_view(), name="action"),
    re_path(r"^actions/(?P<action_id>[0-9]{1,18})/cancel/?$", views.CancelView.as_view(), name="action-cancel"),
    re_path(r"^actions/(?P<action_id>[0-9]{1,18})/approve/?$", views.ApproveView.as_view(), name="action-approve"),
    re_path(r"^actions/(?P<action_id>[0-9]{1,18})/reject/?$", views.RejectView.as_view(), name="action-reject"),
    re_path(r"^actions/(?P<action_id>[0-9]{1,18})/retry/?$", views.RetryView.as_view(), name="action-retry"),
    re_path(r"^actions/(?P<action_id>[0-9]{1,18})/result/?$", views.ResultView.as_view(), name="action-result"),
    re_path(r"^actions/(?P<action_id>[0-9]{1,18})/notes/?$", views.NotesView.as_view(), name="action-notes"),
    re_path(r"^actions/status/(?P<status>[^/]+)/?$", views.ActionsByStatusView.as_view(), name="actions-by-status"),
    re_path(r"^control/?$", views.ControlView.as_view(), name="control"),
    re_path(r"^guards/?$", views.GuardsView.as_view(), name="guards"),
    re_path(r"^guards/reset/?$", views.ResetView.as_view(), name="guards-reset"),
    re_path(r"^guards/lift/?$", views.LiftView.as_view(), name="guards-lift"),
    re_path(r"^action-types/?$", views.ActionTypesView.as_view(), name="action-types"),
    re_path(r"^queue/stats/?$", views.QueueStatsView.as_view(), name="queue-stats"),
    re_path(r"^ui/queue/stats/?$", views.QueueStatsView.as_view(), name="ui-queue-stats"),
]
