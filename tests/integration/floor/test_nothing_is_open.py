"""Every address and verb, tried by those who may not: nothing is open that should not be."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from vigil.access import keys

pytestmark = pytest.mark.django_db

OPEN = {"/health", "/ready", "/metrics"}
READ_ONLY_POSTS = {
    "/api/v1/policies/evaluate",
    "/api/v1/policies/check",
    "/api/v1/policies/some-name/backtest",
    "/api/v1/silences/preview",
    "/api/v1/maintenance/preview",
}
CHANGES_NOTHING = {("POST", path) for path in READ_ONLY_POSTS}
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _paths(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if "admin" not in route:
                yield from _paths(entry, route)
        elif isinstance(entry, URLPattern):
            yield "/" + _example(route)


def _example(route: str) -> str:
    """A path that the route matches."""
    route = re.sub(r"\(\?P<\w*(?:id|number)>[^)]*\)", "1", route)
    route = re.sub(r"\(\?P<severity>[^)]*\)", "warning", route)
    route = re.sub(r"\(\?P<status>[^)]*\)", "pending", route)
    route = re.sub(r"\(\?P<\w+>(?:[^()]|\([^)]*\))*\)", "some-name", route)
    route = re.sub(r"\(\?:([^|)]*)[^)]*\)\??", r"\1", route)
    return route.replace("^", "").replace("$", "").replace("\\Z", "").replace("/?", "")


LEADS_TO_THE_CONSOLE = {"/", "/admin"}
API = sorted(set(_paths(get_resolver())) - OPEN - LEADS_TO_THE_CONSOLE)


def test_the_walk_found_the_api() -> None:
    assert {"/api/v1/ingest", "/api/v1/actions", "/api/v1/policies", "/api/v1/control", "/api/schema"} <= set(API)
    assert len(API) > 30


@pytest.fixture(autouse=True)
def _no_cache() -> Iterator[None]:
    keys.forget_cache()
    yield
    keys.forget_cache()


def _bearer(*scopes: str) -> dict[str, str]:
    _, plain = keys.create(name="stranger", scopes=scopes, actor="user:ana")
    keys.forget_cache()
    return {"Authorization": f"Bearer {plain}"}


@pytest.mark.parametrize("path", API)
def test_strangers_get_nowhere(client: Client, path: str) -> None:
    for verb in VERBS:
        answer = client.generic(verb, path, "{}", content_type="application/json")
        assert answer.status_code in {401, 404, 405}, f"{verb} {path}: {answer.status_code}"


@pytest.mark.parametrize("path", [path for path in API if path.startswith("/api/v1")])
def test_a_key_for_something_else_gets_nowhere(client: Client, path: str) -> None:
    headers = _bearer("remediator")
    for verb in VERBS:
        answer = client.generic(verb, path, "{}", content_type="application/json", headers=headers)
        assert answer.status_code in {403, 404, 405}, f"{verb} {path}: {answer.status_code}"


@pytest.mark.parametrize(
    "path", [path for path in API if path.startswith("/api/v1") and not path.startswith("/api/v1/ingest")]
)
def test_an_agents_key_is_good_for_ingest_alone(client: Client, path: str) -> None:
    headers = _bearer("ingest")
    for verb in VERBS:
        answer = client.generic(verb, path, "{}", content_type="application/json", headers=headers)
        assert answer.status_code in {403, 404, 405}, f"{verb} {path}: {answer.status_code}"


@pytest.mark.parametrize("path", [path for path in API if path.startswith("/api/v1")])
def test_a_readers_key_changes_nothing(client: Client, path: str) -> None:
    headers = _bearer("read")
    for verb in VERBS[1:]:
        answer = client.generic(verb, path, "{}", content_type="application/json", headers=headers)
        read_only_post = path in READ_ONLY_POSTS and verb == "POST"
        assert read_only_post or answer.status_code in {403, 404, 405}, f"{verb} {path}: {answer.status_code}"
