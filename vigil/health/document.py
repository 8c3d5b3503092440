"""The part of the OpenAPI document about /health, /ready and /metrics, which are plain views."""

from typing import Annotated, get_args

from msgspec import UNSET, UnsetType

from vigil.health.checks import State
from vigil.http import schema
from vigil.http.answers import Answer, among
from vigil.http.schema import Schema
from vigil.telemetry import exposition


class Health(Answer, frozen=True, kw_only=True):
    """The process that was asked answers."""

    status: Annotated[str, among(["healthy"])]
    service: Annotated[str, among(["vigil"])]


class ReadyCheck(Answer, frozen=True, kw_only=True):
    """A part of Vigil; `detail` is for allowed networks and keys that may read."""

    state: Annotated[str, among(get_args(State))]
    detail: str | UnsetType = UNSET


class Ready(Answer, frozen=True, kw_only=True):
    """Whether requests should come here, and how each part stands."""

    status: Annotated[str, among(["ready", "not ready"])]
    checks: dict[str, ReadyCheck]


_FOREIGN_HOST = {"$ref": "#/components/responses/Malformed"}
_READY: Schema = {"description": "", "content": {"application/json": {"schema": schema.of(Ready)}}}
_OPERATIONS: Schema = {
    "/health": {
        "operationId": "health",
        "summary": "Whether this process answers",
        "responses": {"200": {"description": "", "content": {"application/json": {"schema": schema.of(Health)}}}},
    },
    "/ready": {
        "operationId": "ready",
        "summary": "Whether requests should come here",
        "responses": {"200": _READY, "503": {**_READY, "description": "A part that is needed has failed."}},
    },
    "/metrics": {
        "operationId": "metrics",
        "summary": "Prometheus' scrape",
        "responses": {
            "200": {
                "description": "",
                "content": {exposition.CONTENT_TYPE.split(";")[0]: {"schema": {"type": "string"}}},
            },
            "401": {"$ref": "#/components/responses/Unauthenticated"},
        },
    },
}
_OPEN: Schema = {"/health": [{}], "/ready": [{}], "/metrics": [{}, {"apiKey": []}]}


def with_probes(result: Schema, **_context: object) -> Schema:
    """Adds them; who may look is said by their networks, so none of them needs a credential."""
    for path, operation in _OPERATIONS.items():
        answered = {**operation["responses"], "400": _FOREIGN_HOST, "default": schema.refused()}
        result["paths"][path] = {
            "get": {**operation, "tags": ["probes"], "security": _OPEN[path], "responses": answered}
        }
    return result
