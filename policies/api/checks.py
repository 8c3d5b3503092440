"""Policy tests over HTTP, for pipelines that have no checkout of Vigil."""

from datetime import timedelta

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policies import rehearse
from policies.api.answers import checks as answers
from policies.api.written import TestFileBody
from vigil.access import scopes
from vigil.http import schema
from vigil.http.views import ApiView

PATIENCE = timedelta(seconds=5)
"""A request may not hold a web worker for longer."""
_EXAMPLE = OpenApiExample(
    "a test",
    value={
        "policies": [
            {
                "name": "high-cpu",
                "target": "web-*",
                "auto_remediate": True,
                "condition": "cpu_usage > 90 for 2m",
                "action": "scale-up",
            }
        ],
        "tests": [
            {
                "name": "two minutes of high cpu scale up",
                "interval": "1m",
                "input_series": [{"series": 'cpu_usage{host="web-01"}', "values": "95x5"}],
                "expect": [{"at": "3m", "actions": [{"action": "scale-up", "target": "web-01"}]}],
            }
        ],
    },
    request_only=True,
)


class CheckView(ApiView):
    """Run the tests of a policy test file; nothing is stored or ordered."""

    required_scopes = {"POST": scopes.READ}

    @extend_schema(
        summary="Run policy tests: series in, incidents and actions expected at times; nothing is stored or ordered",
        request=schema.body(TestFileBody),
        responses=schema.answers({200: answers.TestReport}),
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        document = self.body(request, dict[str, object])
        return Response(rehearse.check(document=document, patience=PATIENCE).as_json())
