"""POST /ingest/alertmanager: alerts that somebody else found."""

from datetime import datetime

import msgspec
import structlog
from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from metrics.formats import alertmanager
from metrics.formats.reading import Decoded
from policies.api import taking
from policies.api.answers import ingest as answers
from policies.api.protocols import base
from policies.api.protocols.base import Answer, ProtocolView, summed_up
from policies.intake import Accepted
from vigil.http import parameters, schema
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)


@extend_schema_view(
    post=extend_schema(
        summary="Alertmanager's webhook (version 4), and Grafana's",
        description="An alert is a series alert_firing, 1 or 0, and an event at each of its changes.",
        request={base.JSON: schema.foreign("object", "A notification, as Alertmanager sends it.")},
        parameters=[parameters.IDEMPOTENCY_KEY],
        responses=schema.answers({201: answers.AlertsTaken}, 409),
    )
)
class AlertmanagerView(ProtocolView):
    """An Alertmanager as a source of readings and events."""

    protocol = "alertmanager"

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        base.media_type(request, frozenset({base.JSON}))
        notified = alertmanager.decode(
            self.plain(request, body), span=taking.span(at), max_items=settings.VIGIL_BATCH_MAX
        )
        self._truncated = notified.truncated
        return notified.decoded

    def answer(self, decoded: Decoded, accepted: Accepted) -> Answer:
        if self._truncated:
            telemetry.ingest_total.labels(kind="event", outcome="truncated").inc(self._truncated)
            log.warning("ingest.alertmanager.truncated", alerts=self._truncated)
        told = summed_up(decoded, accepted) | {"truncated_alerts": self._truncated}
        return Answer(status=201, content=msgspec.json.encode(told))
