"""What `manage.py up` refuses: one clear sentence, a non-zero exit code, no traceback, nothing left behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.processes import free_port
from tests.servers.stack import ROOT

pytestmark = pytest.mark.one_database


def refused(data_dir: Path, *arguments: str, **env: str) -> str:
    """Run `up`, expect it to give up, and return its one sentence."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up", *(arguments or ("--port", str(free_port())))],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VIGIL_ENV_FILE": os.devnull, "VIGIL_DATA_DIR": str(data_dir), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("vigil: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        sentence = refused(tmp_path, "--port", port)
    assert port in sentence
    assert "--port" in sentence


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "VIGIL_DATA_DIR" in refused(tmp_path / "file" / "data")


def test_a_database_that_cannot_be_reached(tmp_path: Path) -> None:
    port = free_port()
    sentence = refused(tmp_path, DATABASE_URL=f"postgresql://vigil:hunter2@127.0.0.1:{port}/vigil")
    assert f"127.0.0.1:{port}" in sentence
    assert "DATABASE_URL" in sentence
    assert "hunter2" not in sentence


def test_a_redis_that_cannot_be_reached(tmp_path: Path) -> None:
    port = free_port()
    sentence = refused(tmp_path, REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0")
    assert f"127.0.0.1:{port}" in sentence
    assert "REDIS_URL" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("key", ["change-me", "short"])
def test_a_secret_key_that_is_no_secret(tmp_path: Path, key: str) -> None:
    assert "SECRET_KEY" in refused(tmp_path, SECRET_KEY=key)


def test_a_demo_that_others_could_reach(tmp_path: Path) -> None:
    assert "without --demo" in refused(tmp_path, "--demo", "--host", "0.0.0.0")  # noqa: S104  refused


def test_a_setting_that_is_no_number(tmp_path: Path) -> None:
    assert "VIGIL_BATCH_MAX" in refused(tmp_path, VIGIL_BATCH_MAX="many")


def test_a_remediator_that_is_no_address(tmp_path: Path) -> None:
    assert "REMEDIATOR_URL" in refused(tmp_path, REMEDIATOR_URL="the one in the cellar")


def test_a_database_that_is_none_of_ours(tmp_path: Path) -> None:
    assert "DATABASE_URL" in refused(tmp_path, DATABASE_URL="oracle://vigil@db/vigil")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://vigil:hunter2@db:port/vigil"),
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:port/0"),
        ("VIGIL_LOG_LEVEL", "loud"),
        ("CORS_ORIGINS", "vigil.example"),
        ("VIGIL_REMEDIATORS", '{"mine": "no.such.Remediator"}'),
    ],
)
def test_a_setting_that_cannot_be_meant(tmp_path: Path, name: str, value: str) -> None:
    sentence = refused(tmp_path, **{name: value})
    assert name in sentence
    assert "hunter2" not in sentence


def test_a_sqlite_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "vigil.sqlite3").write_text("a shopping list, not a database" * 100)
    assert "vigil.sqlite3" in refused(tmp_path)
