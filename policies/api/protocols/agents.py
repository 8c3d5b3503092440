"""POST /ingest/telegraf, /ingest/collectd and /ingest/agent/metrics: what agents on hosts send as JSON."""

from datetime import datetime

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import agent, collectd, telegraf
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.answers import ingest as answers
from policies.api.protocols import base
from policies.api.protocols.base import JSON, ProtocolView
from vigil.http import parameters, query, schema

_TAKEN = frozenset({JSON})


@extend_schema_view(
    post=extend_schema(
        summary="Telegraf's JSON",
        request={JSON: schema.foreign("object", "A metric, or `metrics`, as Telegraf writes them.")},
        parameters=[
            parameters.choice("precision", telegraf.UNITS, "Of timestamps.", default="s"),
            parameters.IDEMPOTENCY_KEY,
        ],
        responses=schema.answers({201: answers.Taken}, 409),
    )
)
class TelegrafView(ProtocolView):
    """Telegraf's HTTP output with `data_format = "json"`."""

    protocol = "telegraf"
    parameters = frozenset({"precision"})

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        base.media_type(request, _TAKEN)
        unit = query.choice(request, "precision", telegraf.UNITS.keys(), default="s")
        plain = self.plain(request, body)
        return telegraf.decode(plain, unit=unit, span=taking.span(at), max_items=settings.VIGIL_BATCH_MAX)


@extend_schema_view(
    post=extend_schema(
        summary="collectd's write_http, as JSON",
        request={JSON: schema.foreign("array", "Value lists, as collectd writes them.")},
        parameters=[parameters.IDEMPOTENCY_KEY],
        responses=schema.answers({201: answers.Taken}, 409),
    )
)
class CollectdView(ProtocolView):
    """collectd's plugin write_http with `Format "JSON"`."""

    protocol = "collectd"

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        base.media_type(request, _TAKEN)
        return collectd.decode(self.plain(request, body), span=taking.span(at), max_items=settings.VIGIL_BATCH_MAX)


@extend_schema_view(
    post=extend_schema(
        summary="Metrics of one host, in the shape of the earlier agents",
        request={JSON: schema.foreign("object", "A `hostname` and its `metrics`.")},
        parameters=[parameters.IDEMPOTENCY_KEY],
        responses=schema.answers({201: answers.Taken}, 409),
        examples=[
            OpenApiExample(
                "one host",
                value={"hostname": "web-01", "metrics": {"cpu_usage": 87.5}, "agent_version": "1.2.0"},
                request_only=True,
            )
        ],
    )
)
class AgentView(ProtocolView):
    """Agents of the earlier Vigil."""

    protocol = "agent"

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        base.media_type(request, _TAKEN)
        return agent.decode(self.plain(request, body), span=taking.span(at), max_items=settings.VIGIL_BATCH_MAX)
