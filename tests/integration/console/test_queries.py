"""A list asks the database as often for twelve rows as for two."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from policies import authoring
from policies.muting import inhibitions, maintenance, silences
from tests.browser import scene
from tests.integration.console.test_who_may import LISTS
from vigil.access import keys
from vigil.http import pagination
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]


def _grow(numbers: range) -> None:
    """A row for most lists with each number."""
    at, said = clock.now(), {"comment": "deploy"}
    for one in numbers:
        policy, actor = f"cpu-{one}", "user:ana"
        scene.policy(policy, "cpu_percent > 90", target=f"web-{one}", action="scale-up")
        authoring.update(name=policy, change={"description": "New."}, actor=actor, at=at)
        scene.send("cpu_percent", 97, f"web-{one}")
        scene.happen("deploy", f"web-{one}")
        scene.person(f"bo-{one}", "operator", "editor")
        keys.create(name=f"agent-{one}", scopes=["ingest"], actor=actor)
        silences.create(raw={"matchers": [f"target = db-{one}"], "duration": "2h", **said}, actor=actor, at=at)
        maintenance.create(raw={"target": f"lab-{one}", "duration": "2h", **said}, actor=actor, at=at)
        rule = {"name": f"rule {one}", "source": [f"policy = {policy}"], "target": [f"target = db-{one}"]}
        inhibitions.create(raw=rule, actor=actor, at=at)


def _asked(browser: Client, name: str) -> int:
    address = reverse(f"admin:{name}_changelist")
    browser.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert browser.get(address).status_code == 200
    return len(asked)


def test_no_list_asks_more_for_more_rows(as_role: SignIn) -> None:
    browser = as_role("superuser")
    _grow(range(2))
    few = {name: _asked(browser, name) for name in LISTS}
    _grow(range(2, 12))
    many = {name: _asked(browser, name) for name in LISTS}
    # One more now and then: what mutes is read anew when half a second is over.
    assert {name for name in LISTS if many[name] > few[name] + 1} == set()


def test_a_long_list_counts_no_further_than_pages_are_turned(as_role: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, address = as_role("superuser"), reverse("admin:metrics_series_changelist")
    for number in range(6):
        scene.send("cpu_percent", 10, f"web-{number}")
    assert "6 series" in " ".join(browser.get(address).content.decode().split())
    monkeypatch.setattr(pagination, "COUNTED_MOST", 4)
    with CaptureQueriesContext(connection) as asked:
        page = " ".join(browser.get(address).content.decode().split())
    assert "more than 4 series" in page
    assert all("LIMIT 5" in query["sql"] for query in asked if "COUNT(*)" in query["sql"] and "series" in query["sql"])
