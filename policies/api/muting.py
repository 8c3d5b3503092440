"""Silences, maintenance windows and inhibition rules: made, read, changed and ended, never removed."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Model, Q, QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policies.api import shapes, written
from policies.api.answers import muting as answers
from policies.engine import muting, targets
from policies.models import CommonCause, Incident, InhibitionRule, MaintenanceWindow, Silence
from policies.muting import bodies, common_causes, inhibitions, kept, maintenance, reach, silences
from policies.muting.bodies import Json, SilenceDraft
from vigil.access import scopes
from vigil.access.principal import Principal
from vigil.http import pagination, parameters, query, schema
from vigil.http.views import ApiView
from vigil.kernel.errors import NotFound, VigilError

_WRITING = {
    "GET": scopes.READ,
    "PUT": scopes.ACTIONS_WRITE,
    "PATCH": scopes.ACTIONS_WRITE,
    "DELETE": scopes.ACTIONS_WRITE,
}
_MAKING = {"GET": scopes.READ, "POST": scopes.ACTIONS_WRITE}
_STATES = ("live", "expired")
_LISTED = [
    parameters.choice("state", _STATES, "live (pending or active) or expired; all without it."),
    *parameters.PAGE,
]
_SILENCE = OpenApiExample(
    "two hours of a deploy",
    value={"matchers": ["target = web-*", "severity != critical"], "duration": "2h", "comment": "deploy of the shop"},
    request_only=True,
)
_WINDOW = OpenApiExample(
    "every Saturday night",
    value={
        "target": "db-*",
        "weekly": {"days": ["sat"], "from": "22:00", "to": "02:00", "timezone": "Europe/Berlin"},
        "comment": "backups",
    },
    request_only=True,
)
_RULE = OpenApiExample(
    "a dead host holds its services",
    value={
        "name": "a dead host holds its services",
        "source": ["policy = host-down"],
        "target": ["policy != host-down"],
        "equal": ["host"],
    },
    request_only=True,
)


class SilencesView(ApiView):
    """All silences; a new one."""

    required_scopes = _MAKING

    @extend_schema(
        operation_id="silences_list",
        summary="Silences, newest first",
        parameters=_LISTED,
        responses=schema.answers({200: answers.Silences}),
    )
    def get(self, request: Request) -> Response:
        rows = _listed(request, Silence.objects.order_by("-id"), self.at(request))
        page = pagination.page(request, _theirs(rows, self.caller(request)))
        return Response({**page.head(), "silences": [silence(row, at=self.at(request)) for row in page.rows]})

    @extend_schema(
        summary="Silence incidents",
        request=schema.body(written.SilenceBody),
        responses=schema.answers({201: answers.Silence}),
        examples=[_SILENCE],
    )
    def post(self, request: Request) -> Response:
        raw, at, caller = self.body(request, dict[str, object]), self.at(request), self.caller(request)
        if caller.targets:
            _speak_for(caller, _targets_of_silence(bodies.silence(raw, at=at)))
        return Response(silence(silences.create(raw=raw, actor=caller.actor, at=at), at=at), status=201)


class SilenceView(ApiView):
    """One silence."""

    required_scopes = _WRITING

    @extend_schema(summary="Read a silence", responses=schema.answers({200: answers.Silence}))
    def get(self, request: Request, silence_id: str) -> Response:
        return Response(silence(_silence(silence_id, self.caller(request)), at=self.at(request)))

    @extend_schema(
        summary="Change a silence with a partial body",
        request=schema.body(written.SilenceChange),
        responses=schema.answers({200: answers.Silence}, 409),
    )
    def put(self, request: Request, silence_id: str) -> Response:
        at, caller = self.at(request), self.caller(request)
        known, change = _silence(silence_id, caller), self.body(request, dict[str, object])
        if caller.targets:
            whole = silences.merged(silences.written(known), change)
            _speak_for(caller, _targets_of_silence(bodies.silence(whole, at=at)))
        return Response(silence(silences.update(silence_id=known.pk, change=change, actor=caller.actor, at=at), at=at))

    @extend_schema(
        summary="Change a silence with a partial body",
        request=schema.body(written.SilenceChange),
        responses=schema.answers({200: answers.Silence}, 409),
    )
    def patch(self, request: Request, silence_id: str) -> Response:
        return self.put(request, silence_id)

    @extend_schema(
        summary="End a silence now; it stays in the history", responses=schema.answers({200: answers.Silence}, 409)
    )
    def delete(self, request: Request, silence_id: str) -> Response:
        at, caller = self.at(request), self.caller(request)
        known = _silence(silence_id, caller)
        return Response(silence(silences.end(silence_id=known.pk, actor=caller.actor, at=at), at=at))


class SilencePreviewView(ApiView):
    """What a silence would mute."""

    required_scopes = {"POST": scopes.READ}

    @extend_schema(
        summary="What these matchers would mute now; nothing is stored",
        request=schema.body(written.MatchersBody),
        responses=schema.answers({200: answers.Reach}),
        examples=[OpenApiExample("matchers", value={"matchers": ["target = web-*"]}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        raw = _only(self.body(request, dict[str, object]), "matchers")
        found = reach.of_matchers(
            bodies.matchers(raw.get("matchers")), at=self.at(request), within=self.caller(request).targets
        )
        return Response(_reach(found))


class MaintenancesView(ApiView):
    """All maintenance windows; a new one."""

    required_scopes = _MAKING

    @extend_schema(
        operation_id="maintenance_list",
        summary="Maintenance windows, newest first",
        parameters=_LISTED,
        responses=schema.answers({200: answers.MaintenanceWindows}),
    )
    def get(self, request: Request) -> Response:
        rows = _listed(request, MaintenanceWindow.objects.order_by("-id"), self.at(request))
        page = pagination.page(request, _theirs(rows, self.caller(request)))
        return Response({**page.head(), "maintenance": [window(row, at=self.at(request)) for row in page.rows]})

    @extend_schema(
        summary="Announce maintenance: Vigil does not act in it",
        request=schema.body(written.MaintenanceBody),
        responses=schema.answers({201: answers.Maintenance}),
        examples=[_WINDOW],
    )
    def post(self, request: Request) -> Response:
        raw, at, caller = self.body(request, dict[str, object]), self.at(request), self.caller(request)
        _speak_for(caller, [raw.get("target")])
        return Response(window(maintenance.create(raw=raw, actor=caller.actor, at=at), at=at), status=201)


class MaintenanceView(ApiView):
    """One maintenance window."""

    required_scopes = _WRITING

    @extend_schema(summary="Read a maintenance window", responses=schema.answers({200: answers.Maintenance}))
    def get(self, request: Request, window_id: str) -> Response:
        return Response(window(_window(window_id, self.caller(request)), at=self.at(request)))

    @extend_schema(
        summary="Change a maintenance window with a partial body",
        request=schema.body(written.MaintenanceChange),
        responses=schema.answers({200: answers.Maintenance}, 409),
    )
    def put(self, request: Request, window_id: str) -> Response:
        at, caller = self.at(request), self.caller(request)
        known, change = _window(window_id, caller), self.body(request, dict[str, object])
        _speak_for(caller, [change.get("target", known.target)])
        return Response(window(maintenance.update(window_id=known.pk, change=change, actor=caller.actor, at=at), at=at))

    @extend_schema(
        summary="Change a maintenance window with a partial body",
        request=schema.body(written.MaintenanceChange),
        responses=schema.answers({200: answers.Maintenance}, 409),
    )
    def patch(self, request: Request, window_id: str) -> Response:
        return self.put(request, window_id)

    @extend_schema(
        summary="End a maintenance window now; conditions are judged afresh",
        responses=schema.answers({200: answers.Maintenance}, 409),
    )
    def delete(self, request: Request, window_id: str) -> Response:
        at, caller = self.at(request), self.caller(request)
        known = _window(window_id, caller)
        return Response(window(maintenance.end(window_id=known.pk, actor=caller.actor, at=at), at=at))


class MaintenancePreviewView(ApiView):
    """What a maintenance window would mute."""

    required_scopes = {"POST": scopes.READ}

    @extend_schema(
        summary="What maintenance of these targets would mute now; nothing is stored",
        request=schema.body(written.TargetBody),
        responses=schema.answers({200: answers.Reach}),
        examples=[OpenApiExample("targets", value={"target": "web-*"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        raw = _only(self.body(request, dict[str, object]), "target")
        found = reach.of_window(
            bodies.target(raw.get("target")), at=self.at(request), within=self.caller(request).targets
        )
        return Response(_reach(found))


class InhibitionsView(ApiView):
    """All inhibition rules; a new one."""

    required_scopes = _MAKING

    @extend_schema(
        operation_id="inhibitions_list",
        summary="Inhibition rules in force, by name",
        parameters=[*parameters.PAGE],
        responses=schema.answers({200: answers.Inhibitions}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, {"limit", "offset"})
        page = pagination.page(request, InhibitionRule.objects.filter(ended_at=None).order_by("name"))
        return Response({**page.head(), "inhibitions": [inhibition(row) for row in page.rows]})

    @extend_schema(
        summary="Hold incidents while others are open",
        request=schema.body(written.InhibitionBody),
        responses=schema.answers({201: answers.Inhibition}, 409),
        examples=[_RULE],
    )
    def post(self, request: Request) -> Response:
        raw, caller = self.body(request, dict[str, object]), self.caller(request)
        _speak_for_all(caller)
        made = inhibitions.create(raw=raw, actor=caller.actor, at=self.at(request))
        return Response(inhibition(made), status=201)


class InhibitionView(ApiView):
    """One inhibition rule."""

    required_scopes = _WRITING

    @extend_schema(summary="Read an inhibition rule", responses=schema.answers({200: answers.Inhibition}))
    def get(self, request: Request, rule_id: str) -> Response:
        return Response(inhibition(inhibitions.get(int(rule_id))))

    @extend_schema(
        summary="Change an inhibition rule with a partial body",
        request=schema.body(written.InhibitionChange),
        responses=schema.answers({200: answers.Inhibition}, 409),
    )
    def put(self, request: Request, rule_id: str) -> Response:
        caller, change = self.caller(request), self.body(request, dict[str, object])
        _speak_for_all(caller)
        changed = inhibitions.update(rule_id=int(rule_id), change=change, actor=caller.actor, at=self.at(request))
        return Response(inhibition(changed))

    @extend_schema(
        summary="Change an inhibition rule with a partial body",
        request=schema.body(written.InhibitionChange),
        responses=schema.answers({200: answers.Inhibition}, 409),
    )
    def patch(self, request: Request, rule_id: str) -> Response:
        return self.put(request, rule_id)

    @extend_schema(
        summary="Take an inhibition rule out of force; it stays in the history",
        responses=schema.answers({200: answers.Inhibition}, 409),
    )
    def delete(self, request: Request, rule_id: str) -> Response:
        caller = self.caller(request)
        _speak_for_all(caller)
        ended = inhibitions.end(rule_id=int(rule_id), actor=caller.actor, at=self.at(request))
        return Response(inhibition(ended))


class CommonCausesView(ApiView):
    """Groups of targets that went bad at once."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="common_causes_list",
        summary="Common causes, newest first: many targets that went bad at once, of which no single one is acted on",
        parameters=_LISTED,
        responses=schema.answers({200: answers.CommonCauses}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, {"state", "limit", "offset"})
        rows = CommonCause.objects.select_related("policy").order_by("-id")
        if state := query.choice(request, "state", _STATES):
            rows = rows.filter(ended_at__isnull=state == "live")
        allowed = self.caller(request).targets
        page = pagination.page(request, rows.none() if allowed else rows)
        return Response({**page.head(), "common_causes": [common_cause(row) for row in page.rows]})


def silence(row: Silence, *, at: datetime) -> Json:
    """A silence as the API shows it."""
    return {"id": row.pk, "state": silences.state(row, at=at), **silences.written(row), **shapes.signed(row)}


def window(row: MaintenanceWindow, *, at: datetime) -> Json:
    """A maintenance window as the API shows it, with the opening it is in or the next one."""
    span = maintenance.opening(row, at=at)
    opening = None if span is None else {"from": shapes.moment(span.starts_at), "to": shapes.moment(span.ends_at)}
    return {
        "id": row.pk,
        "state": maintenance.state(row, at=at),
        **maintenance.written(row),
        "opening": opening,
        "sentence": maintenance.said(row),
        **shapes.signed(row),
    }


def inhibition(row: InhibitionRule) -> Json:
    """An inhibition rule as the API shows it."""
    return {"id": row.pk, **inhibitions.written(row), "sentence": inhibitions.said(row), **shapes.signed(row)}


def common_cause(row: CommonCause) -> Json:
    """A common cause as the API shows it, with the incidents that it holds now."""
    return {
        "id": row.pk,
        "state": "active" if row.ended_at is None else "expired",
        "policy_name": row.policy.name,
        "group_by": row.group_by or None,
        "group": row.group or None,
        "bad": row.bad,
        "known": row.known,
        "percent": row.percent,
        "within_seconds": row.within_seconds,
        "reason": row.reason,
        "began_at": shapes.moment(row.began_at),
        "ended_at": shapes.moment(row.ended_at),
        "incidents": [{"incident_id": one.pk, "target": one.target} for one in common_causes.held(row)],
    }


def _reach(found: reach.Reach) -> Json:
    return {
        "ok": True,
        "incidents": found.incidents_total,
        "targets": found.targets,
        "known_targets": found.known_targets,
        "policies": list(found.policies),
        "sentence": found.sentence,
        "muted": [
            {"incident_id": one.pk, "policy_name": one.policy.name, "target": one.target, "severity": one.severity}
            for one in found.incidents
        ],
    }


def _only(raw: Mapping[str, object], field: str) -> Mapping[str, object]:
    unknown = [name for name in raw if name != field]
    if unknown:
        raise bodies.UnableToMute(f"A preview takes `{field}` alone; leave out `{str(unknown[0])[:80]}`.")
    return raw


def _listed[M: Model](request: Request, rows: QuerySet[M], at: datetime) -> QuerySet[M]:
    query.only(request, {"state", "limit", "offset"})
    over = Q(ended_at__lte=at) | Q(ends_at__lte=at)
    match query.choice(request, "state", _STATES):
        case "live":
            return rows.exclude(pk__in=rows.filter(over).values("pk"))
        case "expired":
            return rows.filter(over)
        case _:
            return rows


def _silence(silence_id: str, caller: Principal) -> Silence:
    found = silences.get(int(silence_id))
    if not _may_know(found, caller):
        raise NotFound(f"There is no silence {silence_id}.")
    return found


def _window(window_id: str, caller: Principal) -> MaintenanceWindow:
    found = maintenance.get(int(window_id))
    if not _may_know(found, caller):
        raise NotFound(f"There is no maintenance window {window_id}.")
    return found


def _theirs[M: Silence | MaintenanceWindow](rows: QuerySet[M], caller: Principal) -> QuerySet[M]:
    """A key that is bound to targets knows of what is about those alone."""
    return rows.filter(pk__in=[row.pk for row in rows if _may_know(row, caller)]) if caller.targets else rows


def _may_know(row: Silence | MaintenanceWindow, caller: Principal) -> bool:
    if not caller.targets:
        return True
    named = [row.target] if isinstance(row, MaintenanceWindow) else _targets_of_silence(kept.silence_of(row))
    return _within(caller, named)


def _targets_of_silence(found: SilenceDraft | muting.Silence) -> list[str]:
    """The targets that a silence names outright; several all have to fit, so one that is allowed is enough."""
    if found.matchers:
        return [one.pattern for one in found.matchers if (one.name, one.operator) == ("target", "=")]
    incidents = Incident.objects.filter(pk=found.incident_id or 0)
    return list(incidents.values_list("target", flat=True))


def _within(caller: Principal, named: Iterable[object]) -> bool:
    return any(_allowed(caller, name) for name in named if isinstance(name, str))


def _allowed(caller: Principal, name: str) -> bool:
    plain = name not in targets.EVERYTHING and not {"*", "?"} & set(name)
    return name in caller.targets or (plain and any(targets.matches(pattern, name) for pattern in caller.targets))


def _speak_for(caller: Principal, named: Iterable[object]) -> None:
    if caller.targets and not _within(caller, named):
        allowed = ", ".join(caller.targets)
        raise VigilError(
            f"{caller.actor} may mute only its own targets: name one of {allowed} with `target =`.",
            code="forbidden",
            status=403,
        )


def _speak_for_all(caller: Principal) -> None:
    if caller.targets:
        raise VigilError(
            f"{caller.actor} is bound to some targets, and an inhibition rule is about all.",
            code="forbidden",
            status=403,
        )
