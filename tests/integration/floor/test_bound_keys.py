"""A key that is bound to targets sees those, speaks for those, and learns nothing of the rest."""

from collections.abc import Iterator

import pytest
from django.test import Client

from actions.models import Action
from metrics.models import Sample
from policies import book
from tests.browser import scene
from vigil.access import bounds, keys
from vigil.access.models import ApiKey
from vigil.kernel.errors import Invalid

pytestmark = pytest.mark.django_db

INGEST, READ, WRITE = "ingest", "read", "actions:write"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    book.forget()
    keys.forget_cache()
    yield
    book.forget()
    keys.forget_cache()


def _bound(*targets: str) -> Client:
    _, plain = keys.create(name="agent", scopes=[INGEST, READ, WRITE], actor="user:ana", targets=targets)
    keys.forget_cache()
    return Client(headers={"Authorization": f"Bearer {plain}"})


def _send(client: Client, **tags: str) -> int:
    reading = {"name": "cpu_percent", "value": 97, "tags": tags}
    return client.post("/api/v1/ingest", reading, content_type="application/json").status_code


def test_series_of_other_targets_are_not_there() -> None:
    scene.send("cpu_percent", 1.0, "web-01")
    scene.send("cpu_percent", 2.0, "db-01")
    client = _bound("web-?1")
    assert [one["target"] for one in client.get("/api/v1/metrics").json()["metrics"]] == ["web-01"]
    for asked, seen in (({}, ["web-01"]), ({"target": "db-01"}, [])):
        found = client.get("/api/v1/metrics/query", {"metric": "cpu_percent", "step": "60s", **asked}).json()["series"]
        assert [one["target"] for one in found] == seen


def test_the_audit_is_about_every_target() -> None:
    answer = _bound("web-*").get("/api/v1/audit")
    assert answer.status_code == 403
    assert "speaks for web-* alone" in answer.json()["detail"]


@pytest.mark.parametrize(("pattern", "last"), [("web-*", None), ("db-*", "db-01"), ("all", "db-01")])
def test_the_last_task_of_another_target_is_not_told(pattern: str, last: str | None) -> None:
    scene.policy("db", "cpu_percent > 90", action="scale-up")
    scene.send("cpu_percent", 97.0, "db-01")
    scene.work()
    told = _bound(pattern).get("/api/v1/queue/stats").json()["last_processed_task"]
    assert (told and told["target"]) == last


@pytest.mark.parametrize("pattern", ["db-0?", "db-*", "*", "all", "db-01"])
def test_a_pattern_means_the_same_at_every_door(pattern: str) -> None:
    scene.policy("db", "cpu_percent > 90", action="scale-up")
    client = _bound(pattern)
    assert _send(client, host="db-01") == 201
    assert _send(client, host="web-01") == (201 if pattern in {"*", "all"} else 403)
    for name in ("actions", "incidents", "metrics"):
        found = client.get(f"/api/v1/{name}").json()[name]
        assert "db-01" in {one["target"] for one in found}, name
    number = Action.objects.get(target="db-01").pk
    assert client.get(f"/api/v1/actions/{number}").status_code == 200


def test_a_policys_own_target_tag_lends_no_other_target() -> None:
    """To the usual order this is about web-01; the policy would act on db-01."""
    scene.policy("by-service", "cpu_percent > 90", target_tag="owner", action="scale-up")
    client = _bound("web-*")
    assert _send(client, host="web-01", owner="db-01") == 403
    assert not Sample.objects.exists()
    assert _send(client, host="web-01", owner="web-02") == 201
    assert set(Action.objects.values_list("target", flat=True)) == {"web-02"}


def test_a_tag_that_names_no_target_may_say_anything() -> None:
    scene.policy("by-service", "cpu_percent > 90", target="shop-*", target_tag="owner", action="scale-up")
    assert _send(_bound("web-*"), host="web-01", owner="ana") == 201


@pytest.mark.parametrize("pattern", ["", " ", " web-*", "**", "?", "a*b*c*d*e*", "x" * 129, "web-\x1b[2J", "web\n"])
def test_a_key_is_bound_to_nothing_odd(pattern: str) -> None:
    with pytest.raises(Invalid, match="write a target such as web-01"):
        keys.create(name="agent", scopes=[READ], actor="user:ana", targets=["web-*", pattern])
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("patterns", "target", "covered"),
    [
        ((), "db-01", True),
        (("web-*",), "web-", True),
        (("web-*",), "my-web-01", False),
        (("web.01",), "web-01", False),
        (("web-??",), "web-1", False),
        (("*-01", "x"), "db-01", True),
        (("a[bc]*",), "ab", False),
        (("a[bc]*",), "a[bc]d", True),
    ],
)
def test_a_pattern_covers_what_it_says(patterns: tuple[str, ...], target: str, covered: bool) -> None:
    scene.send("cpu_percent", 1.0, target)
    assert bounds.covers(patterns, target) is covered
    listed = _bound(*patterns).get("/api/v1/metrics").json()["metrics"]
    assert [one["target"] for one in listed] == [target] * covered
