"""Processes on machines of their own tell their metrics on a port of their own, to those who may know."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.conf import LazySettings

from tests.servers.processes import free_port, wait_until
from vigil.telemetry import exposition

pytestmark = pytest.mark.one_database

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = (
    "-m",
    "celery",
    "-A",
    "vigil",
    "worker",
    "-Q",
    "vigil.chores",
    "-c",
    "1",
    "--without-gossip",
    "--without-mingle",
)


@pytest.fixture(params=[("manage.py", "dispatcher"), WORKER], ids=["dispatcher", "worker"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Where such a process serves its metrics; all its other work fails for want of a database."""
    chosen = free_port()
    env = {
        **os.environ,
        "VIGIL_DATA_DIR": str(tmp_path),
        "VIGIL_METRICS_PORT": str(chosen),
        "DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite3",
    }
    process = subprocess.Popen([sys.executable, *request.param], cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    try:
        yield chosen
    finally:
        process.terminate()
        process.wait(40)


def _answers(port: int) -> str:
    try:
        return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=2).text
    except requests.ConnectionError:
        return ""


def test_what_is_scraped_in_production_answers(port: int) -> None:
    """deploy/prometheus/prometheus.yml asks both."""
    wait_until(lambda: "vigil_sweep_duration_seconds_count" in _answers(port), seconds=40, what="its metrics")


@pytest.mark.parametrize(("allowed", "status"), [(["127.0.0.0/8"], 200), (["10.0.0.0/8"], 403), ([], 403)])
def test_strangers_are_told_nothing(settings: LazySettings, allowed: list[str], status: int) -> None:
    settings.VIGIL_METRICS_ALLOW = allowed
    server = exposition.serve(port=0)
    try:
        answer = requests.get(f"http://127.0.0.1:{server.server_port}/metrics", timeout=5)
    finally:
        server.shutdown()
        server.server_close()
    assert answer.status_code == status
    assert ("vigil_" in answer.text) == (status == 200)
