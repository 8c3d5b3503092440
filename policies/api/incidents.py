"""Incidents: what was wrong, what Vigil did, and a person's word on it."""

from typing import Annotated

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import queries
from policies import explaining, flaps, incidents, story
from policies.api import explanations, shapes
from policies.api.answers import explain as explained
from policies.api.answers import incidents as answers
from policies.models import Incident, IncidentStatus, Resolution, Severity
from policies.muting import kept
from vigil.access import bounds, scopes
from vigil.access.principal import Principal
from vigil.http import pagination, parameters, query, schema
from vigil.http.views import ApiView
from vigil.kernel.errors import NotFound

_FILTERS = ("status", "policy", "target", "severity", "resolution", "since", "until")


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The optional body of acknowledge and resolve."""

    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class IncidentsView(ApiView):
    """Episodes, newest first; those too brief to open only when asked for (`resolution=brief`)."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="incidents_list",
        summary="Incidents, newest first",
        parameters=[
            parameters.choice("status", IncidentStatus.values),
            parameters.text("policy"),
            parameters.text("target"),
            parameters.choice("severity", Severity.values),
            parameters.choice("resolution", Resolution.values, "Why it ended; all but `brief` without it."),
            *parameters.SPAN,
            *parameters.PAGE,
        ],
        responses=schema.answers({200: answers.Incidents}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, {*_FILTERS, "limit", "offset"})
        page = pagination.page(request, _matching(request, self.caller(request)))
        actions = queries.for_incidents([found.pk for found in page.rows])
        marks = flaps.marks([found.pk for found in page.rows])
        at = self.at(request)
        shown = [
            shapes.incident(
                found,
                actions.get(found.pk, []),
                mute=kept.of_incident(found, at=at),
                flap=marks.get(found.pk),
            )
            for found in page.rows
        ]
        return Response({**page.head(), "incidents": shown})


class IncidentView(ApiView):
    """One episode with its timeline, decisions and actions."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(summary="One incident with its timeline", responses=schema.answers({200: answers.WholeIncident}))
    def get(self, request: Request, incident_id: str) -> Response:
        known = _visible(incident_id, self.caller(request))
        return Response(shapes.whole_incident(story.of(known, at=self.at(request))))


class AcknowledgeView(ApiView):
    """A person has seen it and deals with it."""

    required_scopes = {"POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        summary="Acknowledge an incident: it is silenced until it is over",
        request=schema.body(Note),
        responses=schema.answers({200: answers.Incident}, 409),
    )
    def post(self, request: Request, incident_id: str) -> Response:
        known = _visible(incident_id, self.caller(request))
        moved = incidents.acknowledge(
            incident_id=known, actor=self.caller(request).actor, note=_note(self, request), at=self.at(request)
        )
        mute = kept.of_incident(moved, at=self.at(request))
        flap = flaps.marks([known]).get(known)
        return Response(shapes.incident(moved, queries.for_incident(known), mute=mute, flap=flap))


class ResolveView(ApiView):
    """A person closes it."""

    required_scopes = {"POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        summary="Resolve an incident by hand; what it had ordered but not begun is cancelled",
        request=schema.body(Note),
        responses=schema.answers({200: answers.Incident}, 409),
    )
    def post(self, request: Request, incident_id: str) -> Response:
        known = _visible(incident_id, self.caller(request))
        moved = incidents.resolve(
            incident_id=known, actor=self.caller(request).actor, note=_note(self, request), at=self.at(request)
        )
        flap = flaps.marks([known]).get(known)
        return Response(shapes.incident(moved, queries.for_incident(known), flap=flap))


class ExplainView(ApiView):
    """The story in plain words."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        summary="The story of an incident in plain text, and why Vigil acts on it or does not",
        responses=schema.answers({200: explained.IncidentExplanation}, 409),
    )
    def get(self, request: Request, incident_id: str) -> Response:
        known, now = _visible(incident_id, self.caller(request)), self.at(request)
        told = story.lines(story.of(known, at=now))
        why = explanations.explanation(explaining.of_incident(known, now=now))
        return Response({"incident_id": known, "lines": told, "text": "\n".join(told), "explanation": why})


def _note(view: ApiView, request: Request) -> str:
    return view.body(request, Note).note if view.raw_body(request).strip() else ""


def _visible(incident_id: str, caller: Principal) -> int:
    """The id, if there is such an incident and the caller may know of it."""
    found = incidents.get(int(incident_id))
    if not bounds.covers(caller.targets, found.target):
        raise NotFound(f"There is no incident {incident_id}.")
    return found.pk


def _matching(request: Request, caller: Principal) -> QuerySet[Incident]:
    rows = Incident.objects.select_related("policy", "policy_version").order_by("-id")
    rows = rows.filter(bounds.among(caller.targets))
    if status := query.choice(request, "status", IncidentStatus.values):
        rows = rows.filter(status=status)
    if severity := query.choice(request, "severity", Severity.values):
        rows = rows.filter(severity=severity)
    if policy := query.text(request, "policy"):
        rows = rows.filter(policy__name=policy)
    if target := query.text(request, "target"):
        rows = rows.filter(target=target)
    if (since := query.moment(request, "since")) is not None:
        rows = rows.filter(since__gte=since)
    if (until := query.moment(request, "until")) is not None:
        rows = rows.filter(since__lt=until)
    resolution = query.choice(request, "resolution", Resolution.values)
    return rows.filter(resolution=resolution) if resolution else rows.exclude(resolution=Resolution.BRIEF)
