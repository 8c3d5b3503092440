"""Policies by name: read, write, switch, try out."""

import re
from typing import Annotated

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import queries
from policies import authoring, conflicts, demotion, preview, runner
from policies.api import shapes, written
from policies.api.answers import policies as answers
from policies.models import Policy, Severity
from vigil.access import scopes
from vigil.http import parameters, query, schema
from vigil.http.views import ApiView
from vigil.kernel.errors import NotFound, VigilError

_ETAG = re.compile(r'(?:W/)?"(\d{1,9})"')
_EXAMPLE = OpenApiExample(
    "a policy",
    value={
        "name": "high-cpu-alert",
        "description": "Scale up when CPU exceeds 90%",
        "severity": "warning",
        "target": "web-*",
        "enabled": True,
        "auto_remediate": True,
        "condition": {"type": "metric_exceeds", "metric": "cpu_percent", "threshold": 90},
        "action": "scale-up",
        "params": {"replicas": 2},
    },
    request_only=True,
)
_IF_MATCH = parameters.header(
    "If-Match", {"type": "string", "examples": ['"3"']}, "The version you read, as `ETag` showed it, or `*`."
)


class SampleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST /policies/evaluate takes."""

    metrics: Annotated[dict[str, float], msgspec.Meta(min_length=1, max_length=100)]
    target: Annotated[str, msgspec.Meta(min_length=1, max_length=250)] = "default"
    tags: Annotated[dict[str, str], msgspec.Meta(max_length=32)] = {}
    policies: list[str] | None = None


class PoliciesView(ApiView):
    """All policies; a new one."""

    required_scopes = {"GET": scopes.READ, "POST": scopes.POLICIES_WRITE}

    @extend_schema(
        operation_id="policies_list",
        summary="All policies and settings",
        responses=schema.answers({200: answers.Policies}, 422),
    )
    def get(self, request: Request) -> Response:
        query.only(request, set())
        return Response(shapes.policies(_all()))

    @extend_schema(
        summary="Create a policy",
        request=schema.body(written.NewPolicy),
        responses=schema.answers({201: answers.SavedPolicy}, 409),
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        created = authoring.create(
            raw=self.body(request, dict[str, object]), actor=self.caller(request).actor, at=self.at(request)
        )
        return _saved(authoring.get(created.name), status=201)


class PolicyView(ApiView):
    """One policy; both writing verbs merge a partial body."""

    required_scopes = {
        "GET": scopes.READ,
        "PUT": scopes.POLICIES_WRITE,
        "PATCH": scopes.POLICIES_WRITE,
        "DELETE": scopes.POLICIES_WRITE,
    }

    @extend_schema(summary="Read a policy", responses=schema.answers({200: answers.Policy}))
    def get(self, request: Request, name: str) -> Response:
        return _shown(authoring.get(name))

    @extend_schema(
        summary="Update a policy with a partial body",
        request=schema.body(written.PolicyChange),
        parameters=[_IF_MATCH],
        responses=schema.answers({200: answers.SavedPolicy}, 409, 412),
    )
    def put(self, request: Request, name: str) -> Response:
        authoring.update(
            name=name,
            change=self.body(request, dict[str, object]),
            actor=self.caller(request).actor,
            at=self.at(request),
            expected_version=_if_match(request),
        )
        return _saved(authoring.get(name))

    @extend_schema(
        summary="Update a policy with a partial body",
        request=schema.body(written.PolicyChange),
        parameters=[_IF_MATCH],
        responses=schema.answers({200: answers.SavedPolicy}, 409, 412),
    )
    def patch(self, request: Request, name: str) -> Response:
        return self.put(request, name)

    @extend_schema(
        summary="Remove a policy; its incidents are withdrawn and its history stays",
        parameters=[_IF_MATCH],
        responses=schema.answers({200: answers.PolicyDeleted}, 409, 412),
    )
    def delete(self, request: Request, name: str) -> Response:
        authoring.delete(
            name=name,
            actor=self.caller(request).actor,
            at=self.at(request),
            expected_version=_if_match(request),
        )
        return Response({"ok": True, "name": name, "deleted": True})


class EnableView(ApiView):
    """Put a policy in force."""

    required_scopes = {"PUT": scopes.POLICIES_WRITE}

    @extend_schema(summary="Enable a policy", request=None, responses=schema.answers({200: answers.SavedPolicy}, 409))
    def put(self, request: Request, name: str) -> Response:
        authoring.enable(name=name, actor=self.caller(request).actor, at=self.at(request))
        return _saved(authoring.get(name))


class DisableView(ApiView):
    """Take a policy out of force."""

    required_scopes = {"PUT": scopes.POLICIES_WRITE}

    @extend_schema(
        summary="Disable a policy: its incidents are withdrawn, its pending actions cancelled",
        request=None,
        responses=schema.answers({200: answers.Policy}, 409),
    )
    def put(self, request: Request, name: str) -> Response:
        authoring.disable(name=name, actor=self.caller(request).actor, at=self.at(request))
        return _shown(authoring.get(name))


class PromotionNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The optional body of a promotion."""

    note: Annotated[str, msgspec.Meta(max_length=500)] = ""


class PromoteView(ApiView):
    """A person gives a demoted policy back what its version says."""

    required_scopes = {"POST": scopes.POLICIES_WRITE}

    @extend_schema(
        summary="Promote a demoted policy; the answer shows the actions that had spoken against it",
        request=schema.body(PromotionNote),
        responses=schema.answers({200: answers.PromotedPolicy}, 409),
        examples=[OpenApiExample("why", value={"note": "The restart script was repaired."}, request_only=True)],
    )
    def post(self, request: Request, name: str) -> Response:
        policy = authoring.get(name)
        note = self.body(request, PromotionNote).note if self.raw_body(request).strip() else ""
        ended = demotion.promote(policy, actor=self.caller(request).actor, note=note, at=self.at(request))
        response = _shown(authoring.get(name))
        response.data["evidence"] = [shapes.evidence(one) for one in queries.some(ended.evidence)]
        return response


class SeverityView(ApiView):
    """Policies of one severity."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        summary="Policies of one severity",
        parameters=[parameters.path("severity", Severity.values)],
        responses=schema.answers({200: answers.Policies}),
    )
    def get(self, request: Request, severity: str) -> Response:
        if severity not in Severity.values:
            raise NotFound(f"There is no severity {severity[:40]!r}; there are {', '.join(Severity.values)}.")
        return Response(shapes.policies(_all().filter(current__severity=severity)))


class EvaluateView(ApiView):
    """Try policies against given values."""

    required_scopes = {"POST": scopes.READ}

    @extend_schema(
        summary="Test policies against sample metrics; nothing is stored or ordered",
        request=schema.body(SampleBody),
        responses=schema.answers({200: answers.Evaluation}, 404),
        examples=[
            OpenApiExample("values", value={"metrics": {"cpu_percent": 95}, "target": "web-01"}, request_only=True)
        ],
    )
    def post(self, request: Request) -> Response:
        at, sample = self.at(request), self.body(request, SampleBody)
        outlooks = preview.on_sample(
            metrics=sample.metrics,
            target=sample.target,
            at=at,
            tags=sample.tags,
            names=None if sample.policies is None else _known(sample.policies),
        )
        return Response(
            {
                "ok": True,
                "violations": [shapes.outlook(one) for one in outlooks if one.verdict.violated],
                "actions_triggered": [shapes.dry_run(one) for one in outlooks if one.would_order],
                "evaluated": [
                    {"policy_name": one.rule.name, "verdict": one.verdict.outcome.value, "reason": one.verdict.reason}
                    for one in outlooks
                ],
                "timestamp": at.isoformat().replace("+00:00", "Z"),
            }
        )


class RunnerView(ApiView):
    """Health of the background policy runner."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        summary="Health of the background policy runner: lag, overruns, and the errors of each policy",
        responses=schema.answers({200: answers.RunnerStatus}),
    )
    def get(self, request: Request) -> Response:
        return Response({"ok": True, "runner": shapes.runner(runner.status(at=self.at(request)))})


class ReloadView(ApiView):
    """Drop every cached policy book."""

    required_scopes = {"POST": scopes.POLICIES_WRITE}

    @extend_schema(
        summary="Drop every cached policy book now", request=None, responses=schema.answers({200: answers.Reloaded})
    )
    def post(self, request: Request) -> Response:
        authoring.reload(actor=self.caller(request).actor, at=self.at(request))
        enabled = Policy.objects.filter(enabled=True).count()
        return Response({"ok": True, "message": "Every policy book is dropped.", "enabled_count": enabled})


def _all() -> QuerySet[Policy]:
    return Policy.objects.filter(current__isnull=False).select_related("current", "health", "demotion").order_by("name")


def _known(names: list[str]) -> list[str]:
    for name in names:
        authoring.get(name)
    return names


def _shown(policy: Policy, *, status: int = 200) -> Response:
    response = Response(shapes.policy(policy), status=status)
    response["ETag"] = f'"{authoring.current(policy).number}"'
    return response


def _saved(policy: Policy, *, status: int = 200) -> Response:
    """The policy, and what it can fight with."""
    response = _shown(policy, status=status)
    response.data["warnings"] = [one.as_json() for one in conflicts.of(policy.name)]
    return response


def _if_match(request: Request) -> int | None:
    """The version that the caller read; None when it does not say, or says `*`."""
    said = request.headers.get("If-Match", "*").strip()
    if said == "*":
        return None
    found = _ETAG.fullmatch(said)
    if found is None:
        raise VigilError(
            'If-Match names the version you read, as GET showed it in ETag: "3".', code="version_mismatch", status=412
        )
    return int(found[1])
