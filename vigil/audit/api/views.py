"""GET /audit: who did what, when, why."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from vigil.access import scopes
from vigil.audit import entries
from vigil.audit.models import Entry
from vigil.http import pagination, query
from vigil.http.views import ApiView

_FILTERS = ("subject", "actor", "kind", "request_id", "since", "until")


class AuditView(ApiView):
    """The append-only history, newest first."""

    required_scopes = {"GET": scopes.READ}
    concerns_all_targets = True

    @extend_schema(
        operation_id="audit_list",
        summary="Who did what, when, why",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in (*_FILTERS, "limit", "offset")],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        query.only(request, {*_FILTERS, "limit", "offset"})
        page = pagination.page(request, _matching(request).order_by("-id"))
        return Response({**page.head(), "entries": [entries.shown(entry) for entry in page.rows]})


def _matching(request: Request) -> Any:
    found = Entry.objects.all()
    for name in ("subject", "actor", "kind", "request_id"):
        if wanted := query.text(request, name):
            found = found.filter(**{name: wanted})
    if (since := query.moment(request, "since")) is not None:
        found = found.filter(at__gte=since)
    if (until := query.moment(request, "until")) is not None:
        found = found.filter(at__lt=until)
    return found
