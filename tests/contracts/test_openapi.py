"""The API's document is valid, whole, and the one that was agreed on: an API changes because somebody means it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from tests import promised
from tests.contracts import repository
from vigil.http.views import ApiView

AGREED = repository.ROOT / "docs" / "openapi.yaml"
COMMAND = "manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml"
VERBS = {"get", "post", "put", "patch", "delete"}
PROBES = {"/health": {"get"}, "/ready": {"get"}, "/metrics": {"get"}}
"""Plain views, which anybody may ask whose network may."""

CONTROL = {"mode": "active", "reason": "", "by": "", "at": "2026-01-19T12:00:00Z"}
INFLUX = "/api/v1/ingest/influx/write"
ERROR = {"detail": "No.", "code": "no", "errors": [], "request_id": ""}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as the documented command writes it; a warning or an invalid document is an error."""
    target = tmp_path_factory.mktemp("openapi") / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))
    return target


@pytest.fixture(scope="module")
def document(generated: Path) -> Any:
    return yaml.safe_load(generated.read_text())


def _routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, route)
        elif isinstance(entry, URLPattern):
            yield route, getattr(entry.callback, "view_class", None) or getattr(entry.callback, "cls", None)


def _path(route: str) -> str:
    """A route as people write it: `^policies/(?P<name>[^/]+)/?$` is `policies/{name}`; an optional part is an alias."""
    named = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", route)
    return "/" + re.sub(r"\(\?:[^)]*\)\?|\^|\$|/\?", "", named)


def _api() -> dict[str, set[str]]:
    """Every path of the API with the verbs that its view has a scope for."""
    found = {}
    for route, view in _routes(get_resolver()):
        if isinstance(view, type) and issubclass(view, ApiView):
            found[_path(route)] = {verb.lower() for verb in view.required_scopes}
    return found


def test_the_walk_found_the_api() -> None:
    assert {"/api/v1/ingest", "/api/v1/policies/{name}/enable", "/api/v1/simulator/start"} <= set(_api())
    assert len(_api()) >= 30


def test_it_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")


def test_every_route_and_verb_is_in_it_and_nothing_else(document: Any) -> None:
    described = {path: set(operations) & VERBS for path, operations in document["paths"].items()}
    assert described == _api() | PROBES


def test_paths_are_written_for_people(document: Any) -> None:
    odd = [path for path in document["paths"] if not re.fullmatch(r"(?:/(?:[a-z0-9-]+|\{[a-z_]+\}))+", path)]
    assert odd == []


def test_every_operation_has_a_name_of_its_own_a_summary_and_needs_a_credential(document: Any) -> None:
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    assert [one["operationId"] for one in operations if not one.get("summary")] == []
    opened = {one["operationId"]: str(one["security"]) for one in operations if one["tags"] != ["probes"]}
    assert opened.pop("actions_result_create") == "[{'signature': []}]"
    assert set(opened.values()) == {"[{'apiKey': []}, {'session': []}]"}


def test_every_operation_tells_how_it_refuses(document: Any) -> None:
    """Where clients of another system look for the sentence elsewhere, it stands there as well."""
    schemas = document["components"]["schemas"]
    defaults = [one["responses"]["default"] for path in document["paths"].values() for one in path.values()]
    shapes = {one["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2] for one in defaults}
    assert shapes == {"Error", "InfluxRefusal", "OtlpRefusal"}
    assert all(set(schemas["Error"]["required"]) <= set(schemas[shape]["required"]) for shape in shapes)


def test_no_answer_is_just_an_object(document: Any) -> None:
    vague = {
        (one["operationId"], code)
        for address, path in document["paths"].items()
        if not address.startswith(promised.NOT_YET)
        for one in path.values()
        for code, answer in one["responses"].items()
        for media in answer.get("content", {}).values()
        if not {"$ref", "anyOf"} & set(media["schema"]) and media["schema"].get("type") != "string"
    }
    assert vague == set()


def test_whatever_is_refused_has_the_shape_of_errors(document: Any) -> None:
    shapes = {str(one["content"]) for one in document["components"]["responses"].values()}
    assert shapes == {"{'application/json': {'schema': {'$ref': '#/components/schemas/Error'}}}"}


def test_answers_have_no_fields_beyond_those_described(document: Any) -> None:
    """Otherwise no test could tell that one was forgotten."""
    schemas = document["components"]["schemas"]
    assert [name for name, one in schemas.items() if "properties" in one and one["additionalProperties"]] == []


@pytest.mark.parametrize(
    ("seen", "flaw"),
    [
        ({"status": 200, "body": CONTROL}, None),
        ({"status": 200, "body": CONTROL | {"more": 1}}, "more"),
        ({"status": 200, "body": CONTROL | {"mode": "off"}}, "off"),
        ({"status": 200, "body": CONTROL | {"at": "2026-01-19T12:00:00"}}, "date-time"),
        ({"status": 200, "body": {"mode": "active"}}, "required"),
        ({"status": 201, "body": CONTROL}, "201"),
        ({"status": 404, "body": ERROR}, "404"),
        ({"status": 403, "body": ERROR}, None),
        ({"status": 403, "body": {"detail": "no"}}, "required"),
        ({"status": 405, "body": ERROR}, None),
        ({"status": 200, "body": CONTROL, "media": "text/html"}, "text/html"),
        ({"status": 200, "body": CONTROL, "query": "limit=1"}, "limit"),
        ({"status": 200, "body": CONTROL, "method": "PUT", "sent": {"mode": "paused"}}, None),
        ({"status": 200, "body": CONTROL, "method": "PUT", "sent": {"mode": "paused", "modus": 1}}, "modus"),
        ({"status": 200, "body": {}, "path": "/api/v1/nowhere"}, "not described"),
        ({"status": 404, "body": ERROR, "path": "/api/v1/nowhere"}, None),
        ({"status": 204, "body": None, "path": INFLUX, "method": "POST"}, None),
        ({"status": 204, "body": {}, "path": INFLUX, "method": "POST"}, "none is described"),
        ({"status": 400, "body": ERROR, "path": INFLUX, "method": "POST"}, "required"),
        ({"status": 405, "body": ERROR | {"error": "No.", "message": "No."}, "path": INFLUX, "method": "POST"}, None),
        ({"status": 401, "body": ERROR | {"error": "No.", "message": "No."}, "path": INFLUX}, None),
        ({"status": 200, "body": {}, "path": INFLUX}, "not described"),
    ],
)
def test_a_broken_promise_is_noticed(seen: dict[str, Any], flaw: str | None) -> None:
    found = promised.agreed().broken(promised.Exchange(**{"method": "GET", "path": "/api/v1/control", **seen}))
    assert found is None if flaw is None else flaw in str(found)


def test_every_parameter_in_a_path_is_described(document: Any) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            described = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert described == set(re.findall(r"\{(\w+)\}", path)), path


def test_the_agreed_copy_says_the_same(generated: Path) -> None:
    assert generated.read_text() == AGREED.read_text(), f"if the API shall change, run .venv/bin/python {COMMAND}"


def test_the_command_is_documented() -> None:
    assert COMMAND in (repository.ROOT / "docs" / "openapi.md").read_text()
