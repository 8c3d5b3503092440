"""Reads settings from the environment and `.env`, and fails with a sentence rather than a traceback."""

import ipaddress
import json
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlparse

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

PLACEHOLDER = re.compile(r"django-insecure|change-?me|insecure|<.*>", re.IGNORECASE)
"""How keys begin that people leave in by mistake, whatever follows; a start with one of these is refused."""
FEWEST_LETTERS = 8
"""A random key has many different ones; "xxxx..." does not."""


asked: set[str] = set()
"""The names of all settings there are: filled while vigil/settings.py reads them."""


def flag(name: str, *, default: bool = False) -> bool:
    """A yes/no setting: 1, true, yes, on or 0, false, no, off."""
    text = _given(name).strip().lower()
    if text == "":
        return default
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={text!r} is neither yes nor no; set it to 1 or 0.")


def whole(name: str, *, default: int, least: int = 0, most: int = 2**31) -> int:
    """A whole number within bounds."""
    text = _given(name).strip() or str(default)
    try:
        number = int(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={text!r} is not a whole number.") from error
    if not least <= number <= most:
        raise ImproperlyConfigured(f"{name}={number} is out of range: {least} to {most}.")
    return number


def text(name: str, *, default: str = "") -> str:
    """Any text; an empty variable counts as not set."""
    return _given(name) or default


def _given(name: str) -> str:
    asked.add(name)
    value: str = env.str(name, default="")
    return value


def names(name: str, *, default: str = "") -> list[str]:
    """A comma-separated list, blanks dropped."""
    return [part.strip() for part in text(name, default=default).split(",") if part.strip()]


def choice(name: str, *, default: str, among: Sequence[str]) -> str:
    """One of a few words, in whatever case they are written."""
    given = text(name, default=default).strip().upper()
    if given not in among:
        raise ImproperlyConfigured(f"{name}={given!r} is none of {', '.join(among)}.")
    return given


def networks(name: str, *, default: str) -> list[str]:
    """A comma-separated list of networks in CIDR form."""
    found = names(name, default=default)
    for network in found:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} names {network!r}, which is no network such as 10.0.0.0/8.") from error
    return found


def origins(name: str) -> list[str]:
    """A comma-separated list of origins: a scheme and a host, and nothing behind them."""
    found = names(name)
    for origin in found:
        scheme, rest = _scheme(name, origin), urlparse(origin)
        if scheme not in {"http", "https"} or origin != f"{scheme}://{rest.netloc}" or not rest.hostname:
            raise ImproperlyConfigured(
                f"{name} names {origin!r}, which is no origin such as https://vigil.example.org."
            )
    return found


def addresses(name: str) -> dict[str, str]:
    """A JSON object from names to http(s) addresses of servers."""
    found = table(name)
    for server, address in found.items():
        if _scheme(name, address) not in {"http", "https"} or not urlparse(address).hostname:
            raise ImproperlyConfigured(f"{name} gives {server!r} an address that is none: write http://host:port.")
    return found


def env_file(name: str, *, default: Path) -> Path:
    """The file of settings; one that somebody named has to be there."""
    given = text(name)
    if given and not Path(given).exists():
        raise ImproperlyConfigured(f"{name}={given} does not exist: correct it, or unset it to read {default}.")
    return Path(given) if given else default


def table(name: str) -> dict[str, str]:
    """A JSON object from text to text, such as kinds of remediators with their dotted paths."""
    value = _object(name)
    if not all(isinstance(item, str) for item in value.values()):
        raise ImproperlyConfigured(f'{name} must be a JSON object of texts, such as {{"name": "value"}}.')
    return value


def commands(name: str) -> dict[str, str | dict[str, str]]:
    """An allow-list of executables: each a path, or a path with the digest that the file must have."""
    value = _object(name)
    for known, entry in value.items():
        if not (isinstance(entry, str) or _is_pinned(entry)):  # a misspelled sha256 must not pass for none
            raise ImproperlyConfigured(
                f'{name}: {known!r} must be a path, or {{"path": "/usr/local/sbin/it", "sha256": "..."}} with the '
                "64 hexadecimal digits of the file's digest."
            )
    return value


def _object(name: str) -> dict[str, Any]:
    try:
        value = json.loads(text(name, default="{}"))
    except json.JSONDecodeError as error:
        raise ImproperlyConfigured(f'{name} is not JSON ({error}); write it as {{"name": "value"}}.') from error
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object, such as {{"name": "value"}}.')
    return value


def _is_pinned(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and set(entry) in ({"path"}, {"path", "sha256"})
        and all(isinstance(part, str) for part in entry.values())
        and re.fullmatch("[0-9A-Fa-f]{64}", entry.get("sha256", "0" * 64)) is not None
    )


def data_dir(name: str, *, base: Path) -> Path:
    """The directory of Vigil's own files, made (0700) where it is missing."""
    path = Path(text(name, default="var"))
    path = path if path.is_absolute() else base / path
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error
    return path


def secret_key(data_dir: Path) -> str:
    """SECRET_KEY, or the one kept in the data directory (0600), made there the first time."""
    given = text("SECRET_KEY")
    if given:
        if PLACEHOLDER.match(given) or len(given) < 32 or len(set(given)) < FEWEST_LETTERS:
            raise ImproperlyConfigured(
                "SECRET_KEY is a placeholder or shorter than 32 characters. Remove it to let Vigil keep one of its own "
                "in the data directory, or set a long random one."
            )
        return given
    return _kept_secret(data_dir / "secret_key")


def _kept_secret(path: Path) -> str:
    try:
        if not path.exists():
            _keep_new_secret(path)
        kept = path.read_text().strip()
    except OSError as error:
        raise _unusable(path.parent, error) from error
    if len(kept) < 32:
        raise ImproperlyConfigured(f"{path} is damaged: remove it, and Vigil makes a new key (people sign in again).")
    return kept


def _keep_new_secret(path: Path) -> None:
    """Processes that start together agree on one key: it is there whole or not at all, and the first one stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    try:
        draft.write_text(secrets.token_urlsafe(64))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _unusable(directory: Path, error: OSError) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"The data directory {directory} cannot be used ({error.strerror}). Make it writable, or name another with "
        "VIGIL_DATA_DIR."
    )


def redis_url(name: str, *, default: str) -> str:
    """Where the broker is, in redis-py's notation."""
    url = text(name, default=default)
    place = urlparse(url) if _scheme(name, url) in {"redis", "rediss", "unix"} else None
    if place is None or not (place.path if place.scheme == "unix" else place.hostname):
        raise ImproperlyConfigured(
            f"{name} is no address of a Redis server: write redis://host:6379/0, rediss:// or unix:///path, or unset "
            "it to use the embedded broker."
        )
    return url


def celery_broker(redis_url: str) -> str:
    """What Celery calls the address that redis-py calls `unix:///path`."""
    if not redis_url.startswith("unix://"):
        return redis_url
    return "redis+socket://" + quote(unquote(urlparse(redis_url).path))


def database(url: str, *, sqlite_path: Path) -> dict[str, object]:
    """Django's description of the database at `url` ("" is the SQLite file)."""
    if url == "":
        return sqlite(sqlite_path)
    scheme = _scheme("DATABASE_URL", url)
    if scheme and not urlparse(url).path.strip("/"):
        raise ImproperlyConfigured(
            "DATABASE_URL names no database; write postgresql://user:password@host:5432/vigil or sqlite:////path/file."
        )
    if scheme in {"sqlite", "sqlite3"}:
        return sqlite(Path(unquote(urlparse(url).path)))
    if scheme not in {"postgres", "postgresql", "psql", "pgsql"}:
        raise ImproperlyConfigured(f"DATABASE_URL begins with {scheme!r}; Vigil runs on postgresql:// or sqlite://.")
    config: dict[str, object] = dict(env.db_url_config(url))
    options = dict(config.get("OPTIONS") or {})  # type: ignore[call-overload]
    options.update(
        {
            "connect_timeout": 3,
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "application_name": "vigil",
            "prepare_threshold": 3,  # of the statements of vigil.kernel.statements alone
            "options": "-c statement_timeout=5000 -c lock_timeout=2000 "
            "-c idle_in_transaction_session_timeout=15000 -c timezone=UTC",
        }
    )
    config.update(ENGINE="vigil.kernel.postgresql", OPTIONS=options, CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    return config


def sqlite(path: Path) -> dict[str, object]:
    """IMMEDIATE matters: a deferred read that turns into a write fails at once, whatever the timeout."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            "timeout": 2,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        },
    }


def _scheme(name: str, url: str) -> str:
    """How an address begins. One that cannot be taken apart is refused without quoting it: it may hold a password."""
    try:
        place = urlparse(url)
        _ = place.port
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} is no address: its port is no number, a bracket is missing, or the password holds a character "
            "that has to be percent-encoded (/ is %2F, # is %23)."
        ) from error
    return place.scheme
