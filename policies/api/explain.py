"""Why Vigil acts, or does not."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import queries
from policies import explaining
from policies.api import explanations
from policies.api.answers import explain as answers
from vigil.access import bounds, scopes
from vigil.http import parameters, query, schema
from vigil.http.views import ApiView
from vigil.kernel.errors import FieldError, Invalid, NotFound


class ExplainView(ApiView):
    """A policy on a target, now or at an earlier time."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="explain",
        summary="Why a policy acts on a target, or does not: each comparison with its samples, each gate, a paragraph",
        parameters=[
            parameters.text("policy", required=True),
            parameters.text("target", required=True),
            parameters.moment("at", "Now if left out."),
        ],
        responses=schema.answers({200: answers.Explanation}, 404, 409),
    )
    def get(self, request: Request) -> Response:
        query.only(request, {"policy", "target", "at"})
        policy, target = _said(request, "policy"), _said(request, "target")
        if not bounds.covers(self.caller(request).targets, target):
            raise NotFound(f"There is no target {target} for this key.")
        found = explaining.of_pair(
            policy_name=policy, target=target, now=self.at(request), at=query.moment(request, "at")
        )
        return Response(explanations.explanation(found))


class ExplainActionView(ApiView):
    """An action."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="actions_explain",
        summary="Why an action was ordered, with the samples that were seen, its attempts and what became of it",
        responses=schema.answers({200: answers.ActionExplanation}, 409),
    )
    def get(self, request: Request, action_id: str) -> Response:
        known = queries.get(int(action_id))
        if not bounds.covers(self.caller(request).targets, known.target):
            raise NotFound(f"There is no action {action_id}; GET /api/v1/actions lists those there are.")
        return Response(explanations.action(explaining.of_action(known.id, now=self.at(request))))


def _said(request: Request, name: str) -> str:
    value = query.text(request, name)
    if not value:
        raise Invalid(
            f"{name}: say which.", errors=[FieldError(path=name, message="say which; it may not be left out")]
        )
    return value
