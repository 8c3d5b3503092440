"""The API's document is valid, whole, and the one that was agreed on: an API changes because somebody means it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from tests.contracts import repository
from vigil.http.views import ApiView

AGREED = repository.ROOT / "docs" / "openapi.yaml"
COMMAND = "manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml"
VERBS = {"get", "post", "put", "patch", "delete"}


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
    assert described == _api()


def test_paths_are_written_for_people(document: Any) -> None:
    odd = [path for path in document["paths"] if not re.fullmatch(r"(?:/(?:[a-z0-9-]+|\{[a-z_]+\}))+", path)]
    assert odd == []


def test_every_operation_has_a_name_of_its_own_a_summary_and_needs_a_credential(document: Any) -> None:
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    assert [one["operationId"] for one in operations if not one.get("summary")] == []
    opened = {one["operationId"]: str(one["security"]) for one in operations}
    assert opened.pop("actions_result_create") == "[{'signature': []}]"
    assert set(opened.values()) == {"[{'apiKey': []}, {'session': []}]"}


def test_every_operation_tells_how_it_refuses(document: Any) -> None:
    told = {str(one["responses"]["default"]["content"]) for path in document["paths"].values() for one in path.values()}
    assert told == {"{'application/json': {'schema': {'$ref': '#/components/schemas/Error'}}}"}


def test_every_parameter_in_a_path_is_described(document: Any) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            described = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert described == set(re.findall(r"\{(\w+)\}", path)), path


def test_the_agreed_copy_says_the_same(generated: Path) -> None:
    assert generated.read_text() == AGREED.read_text(), f"if the API shall change, run .venv/bin/python {COMMAND}"


def test_the_command_is_documented() -> None:
    assert COMMAND in (repository.ROOT / "docs" / "openapi.md").read_text()
