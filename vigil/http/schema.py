"""How the OpenAPI document is made from the views; docs/openapi.yaml is its agreed copy (docs/openapi.md says more)."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

_ERROR = {
    "type": "object",
    "description": "Every refusal, also 404, 405, 413 and 500.",
    "required": ["detail", "code", "errors", "request_id"],
    "additionalProperties": False,
    "properties": {
        "detail": {"type": "string", "description": "One sentence that says what to do."},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "request_id": {"type": "string", "description": "Finds the request in Vigil's logs and audit."},
    },
}


class VigilSchema(AutoSchema):  # type: ignore[misc,unused-ignore]
    """Tags each operation by its first path segment."""

    def get_tags(self) -> list[str]:
        parts = [part for part in self.path.removeprefix("/api/v1").split("/") if part and "{" not in part]
        return [parts[0] if parts else "vigil"]


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Machines."""

    target_class = "vigil.access.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key, from `manage.py create_key`."}


class ConsoleSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """People."""

    target_class = "vigil.access.authentication.ConsoleSession"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        said = "The console's session; writing verbs also need the X-CSRFToken header."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": said}


class DemoLoopbackScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The demo's open door is no part of the contract."""

    target_class = "vigil.access.authentication.DemoLoopback"
    name: list[str] = []

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        return []

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        return []


def canonical_paths(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Our routes take an optional slash; the document shows the path without it."""
    return [(path.rstrip("?").rstrip("/") or path, *rest) for path, *rest in endpoints]


def with_errors(result: dict[str, Any], **_context: object) -> dict[str, Any]:
    """Every operation may be refused, always in the same shape."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = _ERROR
    refused = {
        "description": "Refused; `detail` says why.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = refused
    return result
