"""The demo lets this machine's callers in without a key, and nobody who comes through them."""

import pytest
from django.conf import LazySettings
from django.test import Client

pytestmark = pytest.mark.django_db

ELSEWHERE = {
    "another site's page": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a page of another port": {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    "a page of a file": {"Origin": "null"},
    "an old browser": {"Origin": "https://evil.example"},
    "a link in a page": {"Sec-Fetch-Site": "cross-site"},
    "a proxy": {"X-Forwarded-For": "203.0.113.9"},
    "a proxy that lies": {"X-Forwarded-For": "127.0.0.1"},
    "another proxy": {"Forwarded": "for=203.0.113.9"},
    "a third proxy": {"X-Real-IP": "203.0.113.9"},
    "a polite proxy": {"Via": "1.1 gateway"},
}


@pytest.fixture(autouse=True)
def _demo(settings: LazySettings) -> None:
    settings.VIGIL_DEMO = True


def _observe(client: Client, **headers: str) -> int:
    wish = '{"mode": "observe", "reason": "a page wanted it"}'
    return client.put("/api/v1/control", wish, content_type="application/json", headers=headers).status_code


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1"])
def test_this_machine_needs_no_key(address: str) -> None:
    assert _observe(Client(REMOTE_ADDR=address)) == 200


def test_nor_do_the_demos_own_pages(client: Client) -> None:
    own = {"Host": "localhost:8000", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    assert _observe(client, **own) == 200


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1", "", "unix:"])
def test_every_other_machine_does(address: str) -> None:
    assert _observe(Client(REMOTE_ADDR=address)) == 401


@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_who_comes_through_this_machine_from_elsewhere_does(client: Client, headers: dict[str, str]) -> None:
    assert _observe(client, **headers) == 401
    assert client.get("/api/v1/control", headers=headers).status_code == 401


def test_a_name_that_was_made_to_lead_here_is_refused(settings: LazySettings) -> None:
    """DNS rebinding: to the browser it is the page's own origin."""
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]  # the default; test runs add a name of their own
    own = {"Host": "evil.example:8000", "Origin": "http://evil.example:8000", "Sec-Fetch-Site": "same-origin"}
    assert _observe(Client(), **own) == 400


@pytest.mark.parametrize("credential", ["Bearer vgl_00000000_x_00000000", "Basic YTpi"])
def test_a_wrong_key_is_no_better_for_being_sent_from_here(client: Client, credential: str) -> None:
    assert _observe(client, Authorization=credential) == 401


@pytest.mark.parametrize("sort", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_a_form_of_any_site_can_send_is_no_reading(client: Client, sort: str) -> None:
    assert client.post("/api/v1/ingest", '{"name": "cpu", "value": 1}', content_type=sort).status_code == 415


def test_without_the_demo_the_door_is_shut(client: Client, settings: LazySettings) -> None:
    settings.VIGIL_DEMO = False
    assert _observe(client) == 401
