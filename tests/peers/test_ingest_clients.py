"""Real clients of the ingest protocols speak to one running Vigil."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.processes import free_port, wait_until
from tests.servers.stack import Stack, launcher

pytestmark = [pytest.mark.peers, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def vigil() -> Iterator[tuple[Stack, str]]:
    """A running Vigil, and a key for it."""
    with launcher() as start:
        stack = start()
        yield stack, stack.create_key("agent", scopes="ingest,read,policies:write")


@contextmanager
def _running(*command: str) -> Iterator[None]:
    server = subprocess.Popen(
        command, env={"PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait(20)


def _series(vigil: tuple[Stack, str], metric: str) -> list[dict[str, Any]]:
    stack, key = vigil
    answer = stack.session(key).get(f"{stack.base_url}/api/v1/metrics", params={"name": metric}, timeout=10)
    found: list[dict[str, Any]] = answer.json()["metrics"]
    return found


def _scraped(port: int) -> dict[str, float]:
    """The sums of a Prometheus's own metrics, by name."""
    try:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except requests.ConnectionError:
        return {}
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, flags=re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def test_a_prometheus_writes_everything_it_scrapes(vigil: tuple[Stack, str], tmp_path: Path) -> None:
    stack, key = vigil
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, external_labels: {region: us-east-1}}\n"
        "scrape_configs:\n  - job_name: prometheus\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        "remote_write:\n"
        f"  - url: {stack.base_url}/api/v1/ingest/prometheus\n"
        f"    authorization: {{credentials: {key}}}\n"
        "    queue_config: {batch_send_deadline: 1s}\n"
    )
    command = [
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    sent = "prometheus_remote_storage_samples_total"
    with _running(*command):
        wait_until(lambda: _scraped(port).get(sent, 0) > 2_000, seconds=60, what="Prometheus writes to Vigil")
        told = _scraped(port)
    assert told["prometheus_remote_storage_samples_failed_total"] == 0
    assert told["prometheus_remote_storage_samples_retried_total"] == 0
    (up,) = _series(vigil, "up")
    assert up["last_value"] == 1
    assert up["tags"] == {"instance": f"127.0.0.1:{port}", "job": "prometheus", "region": "us-east-1"}
    assert up["target"] == f"127.0.0.1:{port}"
