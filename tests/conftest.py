"""What every test runs under: a database of its own, no way out of this machine, and real servers on request.

VIGIL_TEST_DATABASE=sqlite (default) or postgres says which database. Nothing of the person's own environment or `.env`
gets in.
"""

import atexit
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import hypothesis
import pytest
from django.conf import settings

from tests.servers import network, postgres, stack, valkey

pytest_plugins = ["tests.promised"]

ROOT = Path(__file__).resolve().parent.parent
DATABASE = os.environ.get("VIGIL_TEST_DATABASE", "sqlite")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
IS_CONTROLLER = WORKER == ""

_postgres: postgres.Postgres | None = None


def _forget_own_settings() -> None:
    """Drop every setting the person exported: a test must never meet somebody's real database."""
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE):
        os.environ.pop(name, None)
    os.environ["VIGIL_ENV_FILE"] = os.devnull


def _prepare() -> None:
    """Set the environment before Django reads it; the controller of parallel runs does it for all its workers."""
    global _postgres
    if DATABASE not in ("sqlite", "postgres"):
        raise pytest.UsageError(f"VIGIL_TEST_DATABASE={DATABASE!r}: say sqlite or postgres.")
    if IS_CONTROLLER:
        _forget_own_settings()
        os.environ["VIGIL_TEST_DIR"] = tempfile.mkdtemp(prefix="vigil-test-", dir="/tmp")
        atexit.register(_clean_up)
        os.environ["VIGIL_TESTING"] = "1"
        os.environ["SECRET_KEY"] = "a-key-that-only-tests-use-" + uuid.uuid4().hex
        if DATABASE == "postgres":
            _postgres = postgres.start(Path(os.environ["VIGIL_TEST_DIR"]) / "postgres")
            os.environ["DATABASE_URL"] = _postgres.url("vigil")
            os.environ["VIGIL_TEST_SERVER_URL"] = _postgres.url()
    os.environ["VIGIL_DATA_DIR"] = str(_own_dir())
    os.environ["DJANGO_SETTINGS_MODULE"] = "vigil.settings"


def _clean_up() -> None:
    """At the end of the process, also of one that never came as far as running tests."""
    if _postgres is not None:
        _postgres.stop()
    shutil.rmtree(os.environ["VIGIL_TEST_DIR"], ignore_errors=True)


def _own_dir() -> Path:
    return Path(os.environ["VIGIL_TEST_DIR"]) / (WORKER or "main")


_prepare()
network.confine()

# Two busy cores make deadlines lie; a failing example is printed, so no example database is needed.
hypothesis.settings.register_profile("vigil", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("vigil")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if getattr(session.config.option, "numprocesses", None):
        # A worker that inherited it would read Django's settings before its own data directory is set.
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_configure() -> None:
    """pytest-django looked for settings before this file named them."""
    django.setup()
    _let_tests_empty_the_audit()


def _let_tests_empty_the_audit() -> None:
    """After a test of whole transactions all tables are emptied, which the guard of the audit rightly refuses.

    Whole Vigils, in processes of their own, have it; and tests/integration/floor/test_audit.py installs it.
    """
    from django.apps import apps
    from django.db.models.signals import post_migrate

    from vigil.audit.apps import GUARD

    assert post_migrate.disconnect(sender=apps.get_app_config("audit"), dispatch_uid=GUARD)


def pytest_report_header() -> str:
    return f"database: {DATABASE}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "unit" in item.path.relative_to(ROOT / "tests").parts[:1] and _wants_database(item):
            raise pytest.UsageError(f"{item.nodeid} wants a database: move it to tests/integration.")
        for marker, needed, package in (("browser", "chromium", "chromium"), ("peers", "promtool", "prometheus")):
            if item.get_closest_marker(marker) and shutil.which(needed) is None:
                item.add_marker(pytest.mark.skip(reason=f"{needed} is not installed (Debian package {package})"))
        if item.get_closest_marker("postgres_only") and DATABASE != "postgres":
            item.add_marker(pytest.mark.skip(reason="says something about PostgreSQL alone"))


def _wants_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(
        fixtures & {"db", "transactional_db", "live_server"}
    )


@pytest.fixture(autouse=True)
def _stays_on_this_machine() -> Iterator[None]:
    network.breaches.clear()
    yield
    assert not network.breaches, f"this test tried to leave the machine: {network.breaches}"


@pytest.fixture(autouse=True)
def _nobody_is_throttled_for_another_test() -> None:
    from vigil.http import throttling  # Django is ready only now

    throttling.forget()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
) -> None:
    """SQLite in a file, not in memory: only a file has the locking that Vigil meets in life."""
    if DATABASE == "sqlite":
        database: dict[str, Any] = settings.DATABASES["default"]
        database.setdefault("TEST", {})["NAME"] = str(_own_dir() / "test.sqlite3")


@pytest.fixture(scope="session")
def broker() -> Iterator[valkey.Valkey]:
    """A real broker where this process's settings expect one; hints given during the test arrive there."""
    server = valkey.Valkey(_own_dir() / "run" / "valkey.sock")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def broker_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.Valkey]:
    """A broker a test may kill; its socket path is short."""
    directory = Path(tempfile.mkdtemp(prefix="vk-", dir="/tmp"))
    server = valkey.Valkey(directory / "valkey.sock")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def live_stack() -> Iterator[Callable[..., stack.Stack]]:
    """Starts whole Vigils (`manage.py up`) on free ports with data directories of their own; stops them at the end."""
    with stack.launcher() as start:
        yield start
