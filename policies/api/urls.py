"""Routes of this app, below /api/v1; every one takes an optional trailing slash."""

from django.urls import URLPattern, re_path

from policies.api import backtests, checks, explain, freezes, incidents, ingest, muting, policies
from policies.api.protocols import (
    agents,
    alertmanager,
    cloudevents,
    exposition,
    influx,
    otlp,
    prometheus,
)
from policies.api.protocols import (
    checks as check_results,
)

_NAME = r"(?P<name>[^/]+)"
_ID = r"(?P<incident_id>[0-9]{1,18})"

urlpatterns: list[URLPattern] = [
    re_path(r"^ingest/?$", ingest.IngestView.as_view(), name="ingest"),
    re_path(r"^ingest/prometheus/?$", prometheus.PrometheusView.as_view(), name="ingest-prometheus"),
    re_path(r"^ingest/otlp/v1/metrics/?$", otlp.OtlpView.as_view(), name="ingest-otlp"),
    re_path(r"^ingest/alertmanager/?$", alertmanager.AlertmanagerView.as_view(), name="ingest-alertmanager"),
    re_path(r"^ingest/influx/write/?$", influx.InfluxView.as_view(), name="ingest-influx"),
    re_path(r"^ingest/influx/api/v2/write/?$", influx.InfluxTwoView.as_view(), name="ingest-influx-2"),
    re_path(r"^ingest/telegraf/?$", agents.TelegrafView.as_view(), name="ingest-telegraf"),
    re_path(r"^ingest/collectd/?$", agents.CollectdView.as_view(), name="ingest-collectd"),
    re_path(r"^ingest/agent/metrics/?$", agents.AgentView.as_view(), name="ingest-agent"),
    re_path(r"^ingest/cloudevents/?$", cloudevents.CloudEventsView.as_view(), name="ingest-cloudevents"),
    re_path(r"^ingest/exposition/?$", exposition.ExpositionView.as_view(), name="ingest-exposition"),
    re_path(r"^ingest/checks/?$", check_results.ChecksView.as_view(), name="ingest-checks"),
    re_path(r"^policies/?$", policies.PoliciesView.as_view(), name="policies"),
    re_path(r"^policies/check/?$", checks.CheckView.as_view(), name="policies-check"),
    re_path(r"^policies/evaluate/?$", policies.EvaluateView.as_view(), name="policies-evaluate"),
    re_path(r"^policies/reload/?$", policies.ReloadView.as_view(), name="policies-reload"),
    re_path(r"^policies/runner/status/?$", policies.RunnerView.as_view(), name="policies-runner"),
    re_path(r"^policies/severity/(?P<severity>[^/]+)/?$", policies.SeverityView.as_view(), name="policies-severity"),
    re_path(rf"^policies/{_NAME}/?$", policies.PolicyView.as_view(), name="policy"),
    re_path(rf"^policies/{_NAME}/backtest/?$", backtests.BacktestView.as_view(), name="policy-backtest"),
    re_path(rf"^policies/{_NAME}/enable/?$", policies.EnableView.as_view(), name="policy-enable"),
    re_path(rf"^policies/{_NAME}/promote/?$", policies.PromoteView.as_view(), name="policy-promote"),
    re_path(rf"^policies/{_NAME}/disable/?$", policies.DisableView.as_view(), name="policy-disable"),
    re_path(r"^incidents/?$", incidents.IncidentsView.as_view(), name="incidents"),
    re_path(rf"^incidents/{_ID}/?$", incidents.IncidentView.as_view(), name="incident"),
    re_path(rf"^incidents/{_ID}/acknowledge/?$", incidents.AcknowledgeView.as_view(), name="incident-acknowledge"),
    re_path(rf"^incidents/{_ID}/resolve/?$", incidents.ResolveView.as_view(), name="incident-resolve"),
    re_path(rf"^incidents/{_ID}/explain/?$", incidents.ExplainView.as_view(), name="incident-explain"),
    re_path(r"^explain/?$", explain.ExplainView.as_view(), name="explain"),
    re_path(
        r"^actions/(?P<action_id>[0-9]{1,18})/explain/?$", explain.ExplainActionView.as_view(), name="action-explain"
    ),
    re_path(r"^silences/?$", muting.SilencesView.as_view(), name="silences"),
    re_path(r"^silences/preview/?$", muting.SilencePreviewView.as_view(), name="silences-preview"),
    re_path(r"^silences/(?P<silence_id>[0-9]{1,18})/?$", muting.SilenceView.as_view(), name="silence"),
    re_path(r"^maintenance/?$", muting.MaintenancesView.as_view(), name="maintenance"),
    re_path(r"^maintenance/preview/?$", muting.MaintenancePreviewView.as_view(), name="maintenance-preview"),
    re_path(r"^maintenance/(?P<window_id>[0-9]{1,18})/?$", muting.MaintenanceView.as_view(), name="maintenance-one"),
    re_path(r"^common-causes/?$", muting.CommonCausesView.as_view(), name="common-causes"),
    re_path(r"^freezes/?$", freezes.FreezesView.as_view(), name="freezes"),
    re_path(r"^freezes/(?P<freeze_id>[0-9]{1,18})/lift/?$", freezes.LiftView.as_view(), name="freeze-lift"),
    re_path(r"^inhibitions/?$", muting.InhibitionsView.as_view(), name="inhibitions"),
    re_path(r"^inhibitions/(?P<rule_id>[0-9]{1,18})/?$", muting.InhibitionView.as_view(), name="inhibition"),
]
