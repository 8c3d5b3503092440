"""How the OpenAPI document is made from the views; docs/openapi.yaml is its agreed copy (docs/openapi.md says more)."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from msgspec import Meta

from vigil.http.answers import Answer

type Schema = dict[str, Any]

_PLACE = "#/components/schemas/{name}"


class Flaw(Answer, frozen=True, kw_only=True):
    """One thing that is wrong with what was sent."""

    path: Annotated[str, Meta(description="Where, as in `[3].value`; empty for the whole.")]
    message: str


class Error(Answer, frozen=True, kw_only=True):
    """Every refusal, also 404, 405, 413 and 500."""

    detail: Annotated[str, Meta(description="One sentence that says what to do.")]
    code: str
    errors: list[Flaw]
    request_id: Annotated[str, Meta(description="Finds the request in Vigil's logs and audit.")]


_REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("Malformed", "The body is not what its content type says, or the host is not one of ours."),
    401: ("Unauthenticated", "No valid credential came with the request."),
    403: ("Forbidden", "The caller may not do that."),
    404: ("NotFound", "There is no such thing, or the caller may not know of it."),
    409: ("Conflict", "What there is stands in the way; `detail` says what."),
    412: ("Changed", "`If-Match`, or the body's `version`, names another version than the one in force."),
    413: ("TooLarge", "The body is too large, or holds too many readings."),
    415: ("UnsupportedMediaType", "The content type, its charset or its encoding is not taken here."),
    422: ("Invalid", "Well formed but invalid; `errors` names each place."),
    429: ("Throttled", "Too many requests, or too many new series (code `cardinality`)."),
    503: ("Unavailable", "The database is away or too slow; what was sent may or may not be stored."),
}
_ALWAYS = (400, 401, 403, 429, 503)
_OF_A_BODY = (413, 415, 422)
_WAITING = (429, 503)
_described: dict[str, Any] = {}
"""Every type that an operation named, by how it is referred to."""
_given: Schema = {}
"""Components that came as they are."""


def of(*shapes: Any) -> Schema:
    """The schema of a type, or of any of several: a reference to a component where a type has a name."""
    _described.update((repr(shape), shape) for shape in shapes)
    found = [_components([shape])[0][0] for shape in shapes]
    return found[0] if len(found) == 1 else {"anyOf": found}


def body(*shapes: Any) -> Schema:
    """A request's JSON body."""
    return {"application/json": of(*shapes)}


def foreign(kind: str | list[str], described: str) -> Schema:
    """JSON in another system's format, which is described where that system is."""
    return {"type": kind, "description": described}


def answers(answered: Mapping[Any, Any], *refused: int) -> dict[Any, Schema]:
    """The answers of an operation (several in a tuple), and the refusals that do not follow from what it takes.

    A `default` among them is the shape of all its refusals, where that is not `Error`.
    """
    shown = {code: of(*shape) if isinstance(shape, tuple) else of(shape) for code, shape in answered.items()}
    return shown | {code: {} for code in refused}


def component(name: str, described: Schema) -> Meta:
    """Makes components of a JSON Schema's `$defs`; what is annotated with the answer refers to that of this name."""
    _given.update({_named(key, name): _moved(part, name) for key, part in described["$defs"].items()})
    return Meta(extra_json_schema={"$ref": _PLACE.format(name=name)})


def _moved(part: Any, name: str) -> Any:
    """The same with references to `$defs` going to components."""
    match part:
        case {"$ref": str(place), **rest}:
            return {"$ref": _PLACE.format(name=_named(place.removeprefix("#/$defs/"), name)), **_moved(rest, name)}
        case dict():
            return {key: _moved(value, name) for key, value in part.items()}
        case list():
            return [_moved(value, name) for value in part]
        case _:
            return part


def _named(key: str, name: str) -> str:
    return name if key == name.lower() else name + key.capitalize()


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


def whole(result: Schema, **_context: object) -> Schema:
    """Adds the shapes that operations refer to, and that each of them may be refused, as a rule in the same shape."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    _, shapes = _components([Error, *_described.values()])
    schemas.update(sorted((shapes | _given).items()))
    result["components"]["responses"] = {name: _refusal(code) for code, (name, _) in _REFUSALS.items()}
    for path, operations in result["paths"].items():
        for operation in operations.values():
            _add_refusals(path, operation)
    return result


def _components(shapes: list[Any]) -> tuple[tuple[Schema, ...], Schema]:
    return msgspec.json.schema_components(shapes, ref_template=_PLACE, schema_hook=_anything)


def _anything(kind: type) -> Schema:
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError  # msgspec then says what it does not know


def _add_refusals(path: str, operation: Schema) -> None:
    answered = {int(code): answer for code, answer in operation["responses"].items() if code != "default"}
    own: Schema = {key: said for key, said in operation["responses"].get("default", {}).items() if key == "content"}
    declared = {code for code in answered if code >= 400}
    refusals = sorted(declared.union(_ALWAYS, _following(path, operation)))
    operation["responses"] = {
        **{str(code): answer for code, answer in sorted(answered.items()) if code < 400},
        **{str(code): {**_refusal(code), **own} if own else _ref(code) for code in refusals},
        "default": {**refused(), **own},
    }


def refused() -> Schema:
    """What stands for every refusal that is not listed."""
    return {"description": "Refused; `detail` says why.", "content": _of_error()}


def _following(path: str, operation: Schema) -> Iterator[int]:
    """The refusals that follow from what an operation takes."""
    if "requestBody" in operation:
        yield from _OF_A_BODY
    if any(one["in"] != "path" for one in operation.get("parameters", [])):
        yield 422
    if "{" in path:
        yield 404


def _refusal(code: int) -> Schema:
    wait = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
    headers = {"headers": {"Retry-After": wait}} if code in _WAITING else {}
    return {"description": _REFUSALS[code][1], **headers, "content": _of_error()}


def _ref(code: int) -> Schema:
    return {"$ref": f"#/components/responses/{_REFUSALS[code][0]}"}


def _of_error() -> Schema:
    return {"application/json": {"schema": {"$ref": _PLACE.format(name=Error.__name__)}}}
