"""Settings are read strictly, and a mistake is one sentence."""

import json
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from vigil import environment


def test_an_empty_number_keeps_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", "")
    assert environment.whole("VIGIL_SAMPLE", default=7) == 7


@pytest.mark.parametrize("text", ["ten", "1.5", "-1", "99999999999"])
def test_a_wrong_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", text)
    with pytest.raises(ImproperlyConfigured, match="VIGIL_SAMPLE"):
        environment.whole("VIGIL_SAMPLE", default=7)


@pytest.mark.parametrize(("text", "means"), [("1", True), ("Yes", True), ("off", False), ("", False)])
def test_flags_are_words(monkeypatch: pytest.MonkeyPatch, text: str, means: bool) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", text)
    assert environment.flag("VIGIL_SAMPLE") is means


def test_a_flag_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", "maybe")
    with pytest.raises(ImproperlyConfigured, match="neither yes nor no"):
        environment.flag("VIGIL_SAMPLE")


HEXADECIMAL = "0123456789abcdef" * 3
PLACEHOLDERS = [
    *("change-me", "short", "x" * 50, "abcabc" * 10, f"change-me-{HEXADECIMAL}", f"CHANGEME{HEXADECIMAL}"),
    *("<50 random characters, please make some>", f"insecure-{HEXADECIMAL}", f"django-insecure-{HEXADECIMAL}"),
]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_secret_key_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("SECRET_KEY", text)
    with pytest.raises(ImproperlyConfigured, match="placeholder or shorter"):
        environment.secret_key(tmp_path)


def test_a_missing_secret_key_is_made_once_and_kept_private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = environment.secret_key(tmp_path)
    assert environment.secret_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_a_secret_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with ProcessPoolExecutor(8, mp_context=get_context("fork")) as pool:
        found = set(pool.map(environment.secret_key, [tmp_path] * 64))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_a_damaged_secret_key_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    (tmp_path / "secret_key").write_text("")
    with pytest.raises(ImproperlyConfigured, match="damaged"):
        environment.secret_key(tmp_path)


def test_a_socket_is_named_as_celery_names_it() -> None:
    assert environment.celery_broker("unix:///run/v.sock?db=0") == "redis+socket:///run/v.sock"
    assert environment.celery_broker("redis://host:6379/0") == "redis://host:6379/0"


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="mysql"):
        environment.database("mysql://host/name", sqlite_path=tmp_path / "x")


def test_postgresql_gets_its_timeouts(tmp_path: Path) -> None:
    config = environment.database("postgresql://u:p@host:5432/name", sqlite_path=tmp_path / "x")
    assert config["ENGINE"] == "vigil.kernel.postgresql"
    assert "statement_timeout=5000" in config["OPTIONS"]["options"]  # type: ignore[index]


def test_a_table_that_is_not_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", "restart=/bin/true")
    with pytest.raises(ImproperlyConfigured, match="not JSON"):
        environment.table("VIGIL_SAMPLE")


PINNED = {"path": "/bin/true", "sha256": "0A" * 32}


@pytest.mark.parametrize("entry", ["/bin/true", {"path": "/bin/true"}, PINNED], ids=["path", "object", "pinned"])
def test_a_command_is_a_path_with_or_without_a_digest(monkeypatch: pytest.MonkeyPatch, entry: object) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", json.dumps({"true": entry}))
    assert environment.commands("VIGIL_SAMPLE") == {"true": entry}


@pytest.mark.parametrize(
    "entry",
    [5, {}, {"sha256": "0A" * 32}, {"path": "/bin/true", "sha265": "0A" * 32}, {"path": "/bin/true", "sha256": "0A"}],
    ids=["number", "empty", "no path", "misspelled digest", "short digest"],
)
def test_a_command_that_is_neither_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, entry: object) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", json.dumps({"true": entry}))
    with pytest.raises(ImproperlyConfigured, match="'true' must be a path"):
        environment.commands("VIGIL_SAMPLE")


@pytest.mark.parametrize(
    "url", ["foo", "postgresql://u:p@host:port/name", "postgresql://[::1/name", "postgresql://host", "sqlite://"]
)
def test_a_database_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        environment.database(url, sqlite_path=tmp_path / "x")


@pytest.mark.parametrize("url", ["foo", "redis://", "redis://h:port/0", "redis://[::1/0", "http://h:6379", "unix://"])
def test_a_redis_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", url)
    with pytest.raises(ImproperlyConfigured, match="VIGIL_SAMPLE"):
        environment.redis_url("VIGIL_SAMPLE", default="")


@pytest.mark.parametrize("url", ["redis://h", "rediss://:pw@h:6380/1", "unix:///run/a%20b/v.sock?db=0"])
def test_redis_addresses_are_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", url)
    assert environment.redis_url("VIGIL_SAMPLE", default="") == url


def test_a_password_that_breaks_its_address_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="percent-encoded") as raised:
        environment.database("postgresql://vigil:hunter2#@host/name", sqlite_path=tmp_path / "x")
    assert "hunter2" not in str(raised.value)


def test_a_word_that_is_none_of_the_few_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", "loud")
    with pytest.raises(ImproperlyConfigured, match="none of DEBUG, INFO"):
        environment.choice("VIGIL_SAMPLE", default="INFO", among=("DEBUG", "INFO"))


def test_a_network_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", "127.0.0.0/8,home")
    with pytest.raises(ImproperlyConfigured, match="'home'"):
        environment.networks("VIGIL_SAMPLE", default="")


def test_a_server_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", '{"main": "prometheus:9090"}')
    with pytest.raises(ImproperlyConfigured, match="'main'"):
        environment.addresses("VIGIL_SAMPLE")


def test_a_settings_file_that_was_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", str(tmp_path / "vigil.env"))
    with pytest.raises(ImproperlyConfigured, match="does not exist"):
        environment.env_file("VIGIL_SAMPLE", default=tmp_path / ".env")


@pytest.mark.parametrize("text", ["vigil.example", "https://vigil.example/", "ftp://vigil.example", "https:"])
def test_an_origin_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", text)
    with pytest.raises(ImproperlyConfigured, match="VIGIL_SAMPLE"):
        environment.origins("VIGIL_SAMPLE")


def test_origins_may_name_a_port_and_any_name_below_a_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_SAMPLE", "http://localhost:3000, https://*.example.org")
    assert environment.origins("VIGIL_SAMPLE") == ["http://localhost:3000", "https://*.example.org"]
