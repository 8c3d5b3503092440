"""Transactions of several processes on one SQLite file, whichever database the other tests run on."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vigil.kernel import database

COUNT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import django
from django.conf import settings
from vigil import environment
settings.configure(DATABASES={"default": environment.sqlite(Path(sys.argv[1]))})
django.setup()
from django.db import OperationalError, connection
from vigil.kernel import database

def count():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS counted (value integer)")
        cursor.execute("INSERT INTO counted SELECT coalesce(max(value), 0) + 1 FROM counted")

try:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: database.tx(count), range(int(sys.argv[2]))))
except OperationalError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vigil.sqlite3"


@pytest.fixture
def held(file: Path) -> Callable[[], None]:
    """The turn is another's; calling it ends that."""
    held = os.open(f"{file}-turn", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    return lambda: os.close(held)


def _count(file: Path, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COUNT, str(file), str(times)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def _counted(file: Path) -> list[int]:
    with sqlite3.connect(file) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM counted ORDER BY value")]


def test_threads_of_processes_that_write_at_once_all_get_their_turn(file: Path) -> None:
    processes = [_count(file, 50) for _ in range(3)]
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 3
    assert _counted(file) == list(range(1, 151))
    assert Path(f"{file}-turn").stat().st_mode & 0o777 == 0o600


def test_a_turn_that_does_not_come_is_a_locked_database(file: Path, held: Callable[[], None]) -> None:
    began = time.monotonic()
    process = _count(file, 1)
    error = process.communicate(timeout=60)[1]
    assert error == "database is locked: other processes that write took too long\n"
    assert database.RETRY_FOR_SECONDS <= time.monotonic() - began < database.RETRY_FOR_SECONDS + 20
    held()
    assert _count(file, 1).communicate(timeout=60)[1] == ""
    assert _counted(file) == [1]


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        (":memory:", ""),
        ("file:memorydb_default?mode=memory&cache=shared", ""),
        (Path("/var/lib/vigil.sqlite3"), "/var/lib/vigil.sqlite3-turn"),
    ],
)
def test_only_a_database_in_a_file_is_shared(name: str | Path, turns: str) -> None:
    assert database._turns_file(name) == turns
