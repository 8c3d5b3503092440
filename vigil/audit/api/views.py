"""GET /audit: who did what, when, why."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from vigil.access import scopes
from vigil.audit import entries
from vigil.audit.api import answers
from vigil.audit.models import Entry
from vigil.http import pagination, parameters, query, schema
from vigil.http.views import ApiView

_TEXTS = ("subject", "actor", "kind", "request_id")
_FILTERS = (*_TEXTS, "since", "until")


class AuditView(ApiView):
    """The append-only history, newest first."""

    required_scopes = {"GET": scopes.READ}
    concerns_all_targets = True

    @extend_schema(
        operation_id="audit_list",
        summary="Who did what, when, why",
        parameters=[*(parameters.text(name) for name in _TEXTS), *parameters.SPAN, *parameters.PAGE],
        responses=schema.answers({200: answers.Entries}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, {*_FILTERS, "limit", "offset"})
        page = pagination.page(request, _matching(request).order_by("-id"))
        return Response({**page.head(), "entries": [entries.shown(entry) for entry in page.rows]})


def _matching(request: Request) -> Any:
    found = Entry.objects.all()
    for name in _TEXTS:
        if wanted := query.text(request, name):
            found = found.filter(**{name: wanted})
    if (since := query.moment(request, "since")) is not None:
        found = found.filter(at__gte=since)
    if (until := query.moment(request, "until")) is not None:
        found = found.filter(at__lt=until)
    return found
