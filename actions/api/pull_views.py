"""Pull mode: what a remediator behind a firewall fetches and reports. Its key has the scope `remediator`."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import pulling
from actions.api import answers, bodies, shapes
from vigil.access import scopes
from vigil.http import parameters, query, schema
from vigil.http.views import ApiView

_PARAMETERS = ("limit", "remediator_id")
_DEFAULT_LIMIT = 10


class TasksView(ApiView):
    """Tasks for a remediator that fetches them. Fetching is taking: a task is in one answer only."""

    http_method_names = ["get", "options"]  # HEAD would take tasks and throw them away
    required_scopes = {"GET": scopes.REMEDIATOR}

    @extend_schema(
        operation_id="remediator_tasks",
        summary="Fetch tasks: each is handed over once, and is yours to report on from then on",
        parameters=[
            parameters.whole("limit", least=1, most=pulling.MOST_TASKS, default=_DEFAULT_LIMIT),
            parameters.text("remediator_id", "Who fetches.", required=True),
        ],
        responses=schema.answers({200: answers.Tasks}, 409),
    )
    def get(self, request: Request) -> Response:
        query.only(request, _PARAMETERS)
        tasks = pulling.fetch(
            remediator_id=query.text(request, "remediator_id"),
            limit=query.whole(request, "limit", default=_DEFAULT_LIMIT, least=1, most=pulling.MOST_TASKS),
            caller=self.caller(request),
        )
        return Response({"tasks": [shapes.task(task) for task in tasks]})


class ResultsView(ApiView):
    """Results of tasks that were fetched."""

    required_scopes = {"POST": scopes.REMEDIATOR}

    @extend_schema(
        operation_id="remediator_results",
        summary="Report how a fetched task ended",
        request=schema.body(bodies.TaskResultBody),
        responses=schema.answers({200: answers.Recorded}, 404, 409),
    )
    def post(self, request: Request) -> Response:
        said = self.body(request, bodies.TaskResultBody)
        recorded = pulling.record(bodies.task_result(said), caller=self.caller(request))
        return Response({"ok": True, "action_id": recorded.action_id, "message": recorded.message})
