"""The simulator's endpoints."""

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from simulator import runs
from simulator.api import answers, shapes
from simulator.api.shapes import StartBody
from vigil.access.scopes import READ, SIMULATOR
from vigil.http import schema
from vigil.http.views import ApiView

EVERYWHERE = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104  recognised, not bound


class Start(ApiView):
    """POST: start a simulation against this Vigil."""

    required_scopes = {"POST": SIMULATOR}

    @extend_schema(
        summary="Start a simulation; every field has a default",
        request=schema.body(StartBody),
        responses=schema.answers({200: answers.SimulatorStarted}, 409),
        examples=[
            OpenApiExample(
                "chaos",
                value={"rate": 500, "mode": "chaos", "scenario": "cpu-spike", "targets": 20, "seed": 1},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        runs.check_enabled()
        standing = runs.start(
            wanted=shapes.configuration(self.body(request, StartBody)),
            url=own_address(request._request),
            actor=self.caller(request).actor,
            at=self.at(request),
        )
        return Response(
            {
                "ok": True,
                "message": standing.message,
                "running": standing.running,
                "configuration": standing.configuration,
            }
        )


class Stop(ApiView):
    """POST: stop the simulation and answer its summary."""

    required_scopes = {"POST": SIMULATOR}

    @extend_schema(
        summary="Stop the simulation and tell how it went",
        request=None,
        responses=schema.answers({200: answers.SimulatorStopped}),
    )
    def post(self, request: Request) -> Response:
        standing = runs.stop(actor=self.caller(request).actor, at=self.at(request))
        return Response(
            {"ok": True, "message": standing.message, "running": standing.running, "summary": standing.report}
        )


class Status(ApiView):
    """GET: how the running simulation, or the latest one, stands."""

    required_scopes = {"GET": READ}

    @extend_schema(
        summary="How the running simulation, or the latest one, stands",
        responses=schema.answers({200: answers.SimulatorStatus}),
    )
    def get(self, request: Request) -> Response:
        standing = runs.status(at=self.at(request))
        return Response({"running": standing.running, "message": standing.message, **standing.report})


def own_address(request: HttpRequest) -> str:
    """Where the simulator, on this machine, reaches this server: its own socket, not what a Host header claims."""
    said: str = getattr(settings, "VIGIL_URL", "")
    if said:
        return said
    name, port = str(request.META.get("SERVER_NAME", "")), str(request.META.get("SERVER_PORT", "8000"))
    host = "127.0.0.1" if name in EVERYWHERE else name
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
