"""API keys: shown once, found by their hash, dead at once when revoked."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client

from vigil.access import keys
from vigil.access.models import ApiKey
from vigil.audit import entries
from vigil.kernel import clock
from vigil.kernel.errors import Invalid

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_cache() -> Iterator[None]:
    keys.forget_cache()
    yield
    keys.forget_cache()


def test_a_key_is_stored_only_as_a_hash() -> None:
    key, plain = keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
    stored = [str(value) for value in ApiKey.objects.filter(pk=key.pk).values_list()[0]]
    assert not any(plain in value or plain.split("_", 2)[2] in value for value in stored)


def test_it_is_found_by_its_plain_text() -> None:
    _, plain = keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
    found = keys.find(plain, at=clock.now())
    assert found is not None
    assert found.scopes == {"ingest"}


@pytest.mark.parametrize("wrong", ["", "vgl_", "vgl_deadbeef_x_00000000", "Bearer", "vgl_é_x", "x" * 9000])
def test_anything_else_finds_nothing(wrong: str) -> None:
    keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
    assert keys.find(wrong, at=clock.now()) is None


def test_one_wrong_character_finds_nothing() -> None:
    _, plain = keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
    changed = plain[:-1] + ("0" if plain[-1] != "0" else "1")
    assert keys.find(changed, at=clock.now()) is None


def test_an_expired_key_opens_nothing() -> None:
    at = clock.now()
    _, plain = keys.create(name="agent-1", scopes=["ingest"], actor="a", expires_at=at + timedelta(hours=1), at=at)
    assert keys.find(plain, at=at + timedelta(minutes=59)) is not None
    assert keys.find(plain, at=at + timedelta(hours=1)) is None


def test_a_key_made_a_moment_ago_opens_at_once() -> None:
    assert keys.find("vgl_00000000_x_00000000", at=clock.now()) is None
    time.sleep(keys.UNKNOWN_ASKED_EVERY_SECONDS * 2)
    _, plain = keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
    assert keys.find(plain, at=clock.now()) is not None


def test_a_revoked_key_opens_nothing_within_a_second() -> None:
    key, plain = keys.create(name="agent-1", scopes=["read"], actor="user:ana")
    keys.forget_cache()
    assert keys.find(plain, at=clock.now()) is not None
    keys.revoke(key=key, actor="user:ana", at=clock.now())
    keys._cache._checked -= 1.0
    assert keys.find(plain, at=clock.now()) is None


def test_making_and_revoking_are_in_the_audit() -> None:
    key, _ = keys.create(name="agent-1", scopes=["read"], actor="user:ana")
    keys.revoke(key=key, actor="user:bob", at=clock.now())
    story = list(entries.of(f"key:{key.pk}").values_list("kind", "actor"))
    assert story == [("key.created", "user:ana"), ("key.revoked", "user:bob")]


def test_revoking_twice_is_once() -> None:
    key, _ = keys.create(name="agent-1", scopes=["read"], actor="user:ana")
    assert keys.revoke(key=key, actor="user:ana", at=clock.now())
    assert not keys.revoke(key=key, actor="user:ana", at=clock.now())


@pytest.mark.parametrize("scopes", [[], ["reed"], ["read", "root"]])
def test_unknown_scopes_are_refused_with_the_list(scopes: list[str]) -> None:
    with pytest.raises(Invalid, match="policies:write"):
        keys.create(name="agent-1", scopes=scopes, actor="user:ana")


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "agent\x1b[2J", "agent\n1"])
def test_a_key_has_a_name_that_can_be_read(name: str) -> None:
    with pytest.raises(Invalid, match="printable"):
        keys.create(name=name, scopes=["read"], actor="user:ana")


def test_a_key_may_not_live_for_ever() -> None:
    with pytest.raises(Invalid, match="365 days"):
        keys.create(name="a", scopes=["read"], actor="a", expires_at=clock.now() + timedelta(days=366))


def test_use_is_noted_to_the_minute() -> None:
    key, plain = keys.create(name="agent-1", scopes=["read"], actor="user:ana")
    at = clock.now()
    known = keys.find(plain, at=at)
    assert known is not None
    keys.note_use(known, at=at)
    keys.note_use(known, at=at + timedelta(seconds=30))
    assert ApiKey.objects.get(pk=key.pk).last_used_at == at


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic YTpi", "Bearer", "Bearer " + "x" * 8192, "Bearer \x00"])
def test_a_wrong_credential_is_401_everywhere(client: Client, header: str) -> None:
    answer = client.get("/api/v1/audit", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_nobody_gets_in_without_a_key(client: Client) -> None:
    answer = client.get("/api/v1/audit")
    assert answer.status_code == 401
    assert "create_key" in answer.json()["detail"]


def test_a_key_in_the_query_string_opens_nothing(client: Client) -> None:
    _, plain = keys.create(name="agent-1", scopes=["read"], actor="user:ana")
    assert client.get("/api/v1/audit", {"api_key": plain}).status_code == 401


def test_the_wrong_scope_is_403_and_says_which_is_needed(client: Client) -> None:
    _, plain = keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
    answer = client.get("/api/v1/audit", headers={"Authorization": f"Bearer {plain}"})
    assert answer.status_code == 403
    assert "'read'" in answer.json()["detail"]


def test_the_right_scope_opens(client: Client) -> None:
    _, plain = keys.create(name="reader", scopes=["read"], actor="user:ana")
    answer = client.get("/api/v1/audit", headers={"Authorization": f"Bearer {plain}"})
    assert answer.status_code == 200
    assert answer.json()["count"] == 1
