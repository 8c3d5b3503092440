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


def test_signing_in_changes_nothing(client: Client) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    answer = client.post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert answer.status_code == 302
    assert _told("root") == [("user.created", "command line")]


def test_the_longest_name_can_be_told_of(client: Client) -> None:
    user = User.objects.create_superuser("a" * 150, password=PASSWORD)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.put("/api/v1/control", {"mode": "observe", "reason": "r"}, content_type="application/json")
    assert answer.status_code == 200
    assert Entry.objects.get(kind="control.observing").actor == "user:" + "a" * 145
