"""The way into the console: locked for those who guess, and shut behind those who leave."""

import pytest
from axes.models import AccessAttempt
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from tests.browser import scene

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


@pytest.fixture(autouse=True)
def _people(db: None) -> None:
    scene.person("ana", "admin")
    scene.person("bob", "admin")


def _try(client: Client, password: str, *, username: str = "ana", **headers: str) -> int:
    wish = {"username": username, "password": password}
    return client.post(
        LOGIN, wish, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status_code


def _is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def test_the_right_password_opens() -> None:
    client = Client()
    assert _try(client, scene.PASSWORD) == 302
    assert _is_in(client)


def test_who_guesses_is_locked_out_with_the_right_password_too() -> None:
    client = Client()
    assert [_try(client, f"guess-{number}") for number in range(6)][-1] == 429
    assert _try(client, scene.PASSWORD) == 429
    assert not _is_in(client)


def test_a_made_up_address_does_not_help() -> None:
    client = Client()
    for number in range(6):
        _try(client, "guess", X_Forwarded_For=f"198.51.100.{number}")
    assert _try(client, scene.PASSWORD, X_Forwarded_For="198.51.100.99") == 429


def test_behind_a_proxy_the_address_it_saw_counts(settings: LazySettings) -> None:
    settings.VIGIL_PROXIES = 1
    client = Client()
    for number in range(6):
        _try(client, "guess", X_Forwarded_For=f"198.51.100.{number}, 203.0.113.9")
    assert _try(client, scene.PASSWORD, X_Forwarded_For="203.0.113.9") == 429
    assert _try(client, scene.PASSWORD, X_Forwarded_For="203.0.113.10") == 302


def test_nobody_locks_another_out() -> None:
    guesser = Client(REMOTE_ADDR="198.51.100.1")
    for _ in range(6):
        _try(guesser, "guess")
    assert _try(guesser, scene.PASSWORD, username="bob") == 302
    assert _try(Client(REMOTE_ADDR="198.51.100.2"), scene.PASSWORD) == 302


def test_what_was_guessed_is_not_kept() -> None:
    _try(Client(), "my-real-one-mistyped")
    kept = [str(value) for row in AccessAttempt.objects.values() for value in row.values()]
    assert kept
    assert not any("my-real-one-mistyped" in value for value in kept)


def test_a_new_session_begins_at_the_door_and_ends_there() -> None:
    client = Client()
    client.get(LOGIN)
    client.cookies["sessionid"] = "a-session-that-somebody-planted"
    _try(client, scene.PASSWORD)
    stolen = client.cookies["sessionid"].value
    assert stolen != "a-session-that-somebody-planted"
    assert client.post("/admin/logout/").status_code in {200, 302}
    thief = Client()
    thief.cookies["sessionid"] = stolen
    assert not _is_in(thief)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_who_is_no_longer_one_of_us_is_out_at_once(change: dict[str, bool]) -> None:
    client = Client()
    _try(client, scene.PASSWORD)
    User.objects.filter(username="ana").update(**change)
    assert not _is_in(client)


def test_a_new_password_ends_the_other_sessions() -> None:
    here, elsewhere = Client(), Client()
    _try(here, scene.PASSWORD)
    _try(elsewhere, scene.PASSWORD)
    fresh = "another-long-one"
    wish = {"old_password": scene.PASSWORD, "new_password1": fresh, "new_password2": fresh}
    assert here.post("/admin/password_change/", wish).status_code == 302
    assert _is_in(here)
    assert not _is_in(elsewhere)


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_the_door_leads_to_no_other_site(address: str) -> None:
    wish = {"username": "ana", "password": scene.PASSWORD, "next": address}
    answer = Client().post(f"{LOGIN}?next={address}", wish)
    assert answer.headers["Location"] == "/admin/"


def test_passwords_are_kept_as_argon2() -> None:
    assert User.objects.get(username="ana").password.startswith("argon2$argon2id$")
