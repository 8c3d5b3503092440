"""Accounts made and changed outside the console are in the audit too."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from vigil.audit import entries
from vigil.audit.models import Entry

# The commands keep no transaction open, and what happens inside one is the console's to tell.
pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a-good-long-password"


def _told(name: str) -> list[tuple[str, str]]:
    return list(entries.of(f"user:{name}").values_list("kind", "actor"))


def test_createsuperuser_leaves_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", username="root", email="", interactive=False)
    assert _told("root") == [("user.created", "command line")]


def test_a_change_by_command_leaves_one_too() -> None:
    user = User.objects.create_user("ana", password=PASSWORD)
    user.set_password("another-long-one")
    user.save()
    assert _told("ana") == [("user.created", "command line"), ("user.updated", "command line")]


def _try_to_sign_in(client: Client, *, password: str) -> int:
    return client.post("/admin/login/", {"username": "root", "password": password}).status_code


def test_signing_in_and_out_is_told_with_the_address(client: Client) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    assert _try_to_sign_in(client, password=PASSWORD) == 302
    client.post("/admin/logout/")
    assert _told("root")[1:] == [("user.signed_in", "user:root"), ("user.signed_out", "user:root")]
    assert entries.of("user:root")[1].reason == "Signed in from 127.0.0.1."


def test_a_lockout_is_told_once_however_often_it_is_tried(client: Client) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    for _ in range(20):
        _try_to_sign_in(client, password="not-the-right-one")
    assert [kind for kind, _ in _told("root")] == ["user.created", "user.locked_out"]


def test_wrong_names_and_passwords_leave_the_audit_alone(client: Client) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    before = Entry.objects.count()
    assert _try_to_sign_in(client, password="not-the-right-one") == 200
    for _ in range(20):
        client.post("/admin/login/", {"username": "nobody-of-that-name", "password": "x"})
    assert Entry.objects.count() == before


def test_the_longest_name_can_be_told_of(client: Client) -> None:
    user = User.objects.create_superuser("a" * 150, password=PASSWORD)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.put("/api/v1/control", {"mode": "observe", "reason": "r"}, content_type="application/json")
    assert answer.status_code == 200
    assert Entry.objects.get(kind="control.observing").actor == "user:" + "a" * 145
