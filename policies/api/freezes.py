"""Freezes: which policies fought over which target, and the way to let them act again."""

from typing import Annotated

import msgspec
from django.db.models import Q
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policies import oscillation
from policies.api import shapes
from policies.api.answers import freezes as answers
from policies.models import Freeze
from vigil.access import bounds, scopes
from vigil.http import pagination, parameters, query, schema
from vigil.http.views import ApiView
from vigil.kernel.database import database_now
from vigil.kernel.errors import NotFound

_STATES = ("live", "expired")


class LiftNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The optional body of a lift."""

    note: Annotated[str, msgspec.Meta(max_length=500)] = ""


class FreezesView(ApiView):
    """Policies that fought over a target."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="freezes_list",
        summary="Freezes, newest first: policies that undid each other's work on a target, and so act there no more",
        parameters=[
            parameters.choice("state", _STATES, "All without it."),
            parameters.text("target"),
            *parameters.PAGE,
        ],
        responses=schema.answers({200: answers.Freezes}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, {"state", "target", "limit", "offset"})
        rows = Freeze.objects.filter(bounds.among(self.caller(request).targets))
        live = Q(lifted_at=None, until__gt=database_now())
        if state := query.choice(request, "state", _STATES):
            rows = rows.filter(live if state == "live" else ~live)
        if target := query.text(request, "target"):
            rows = rows.filter(target=target)
        page = pagination.page(request, rows)
        return Response({**page.head(), "freezes": [shapes.freeze(row) for row in page.rows]})


class LiftView(ApiView):
    """A person lets the policies act again."""

    required_scopes = {"POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        summary="Lift a freeze: its policies may act on the target again",
        request=schema.body(LiftNote),
        responses=schema.answers({200: answers.Freeze}, 409),
        examples=[OpenApiExample("why", value={"note": "low-cpu now ends below 20 %."}, request_only=True)],
    )
    def post(self, request: Request, freeze_id: str) -> Response:
        caller = self.caller(request)
        if not bounds.covers(caller.targets, oscillation.get(int(freeze_id)).target):
            raise NotFound(f"There is no freeze {freeze_id}.")
        note = self.body(request, LiftNote).note if self.raw_body(request).strip() else ""
        lifted = oscillation.lift(freeze_id=int(freeze_id), actor=caller.actor, note=note, at=self.at(request))
        return Response(shapes.freeze(lifted))
