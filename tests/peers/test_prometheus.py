"""A real Prometheus scrapes a running Vigil, and every expression we ship is asked of it."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client import Counter, Histogram

from tests.servers.processes import free_port, wait_until
from tests.servers.stack import Stack, launcher
from vigil.telemetry import metrics

pytestmark = [pytest.mark.peers, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parent.parent.parent
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboards/vigil.json"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]


def _expressions() -> dict[str, str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = {f"{panel['title']} {t['refId']}": t["expr"] for panel in panels for t in panel.get("targets", ())}
    return found | {rule["alert"]: rule["expr"] for rule in RULES}


def _promtool(*arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    """A demo that healed something."""
    with launcher() as start:
        stack = start(demo=True)
        _wait_for_a_healing(stack)
        yield stack


@pytest.fixture(scope="module")
def scraped(demo: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """That demo, and a Prometheus that has seen it."""
    stack, tmp_path = demo, tmp_path_factory.mktemp("prometheus")
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: vigil\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{stack.port}']}}]\n"
    )
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        env={"PATH": os.environ["PATH"]},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _has_scraped(address), seconds=60, what="Prometheus scrapes Vigil")
        yield stack, address
    finally:
        server.terminate()
        server.wait(20)


def _wait_for_a_healing(stack: Stack) -> None:
    def healed() -> bool:
        answer = requests.get(f"{stack.base_url}/api/v1/incidents", params={"status": "resolved"}, timeout=10)
        return any(incident["time_to_heal_seconds"] is not None for incident in answer.json()["incidents"])

    wait_until(healed, seconds=60, what="the demo heals an incident")


def _has_scraped(address: str) -> bool:
    try:
        answer = requests.get(f"{address}/api/v1/query", params={"query": 'up{job="vigil"} == 1'}, timeout=2)
    except requests.ConnectionError:
        return False
    return answer.ok and bool(answer.json()["data"]["result"])  # 503, without JSON, while it starts


def test_every_shipped_expression_holds_against_a_running_vigil(scraped: tuple[Stack, str]) -> None:
    stack, address = scraped
    exposition = requests.get(f"{stack.base_url}/metrics", timeout=10).text
    lint = _promtool("check", "metrics", text=exposition)
    assert "error while linting" not in lint.stderr, lint.stderr

    exposed = set(re.findall(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{| )", exposition, flags=re.MULTILINE)) | {"up"}
    declared = {
        sample
        for instrument in vars(metrics).values()
        if isinstance(instrument, Counter | Histogram)
        for family in instrument.describe()
        for sample in (f"{family.name}_total", f"{family.name}_bucket", family.name)
    }
    for title, expression in _expressions().items():
        told = _promtool("query", "instant", address, expression)
        assert told.returncode == 0, f"{title}: {told.stderr}"
        names = set(re.findall(r"\b((?:vigil|django)_[a-z_]+|up)\b", expression))
        assert names <= exposed | declared, f"{title} asks for {names - exposed - declared}"


def test_no_target_or_tag_is_a_label(scraped: tuple[Stack, str]) -> None:
    stack, _ = scraped
    exposition = requests.get(f"{stack.base_url}/metrics", timeout=10).text
    labels = set(re.findall(r"[{,]([a-z_]+)=\"", exposition))
    assert not labels & {"target", "host", "service", "instance", "user", "actor", "tag"}
    assert "web-01" not in exposition


def test_quiet_rules_stay_quiet_while_vigil_is_well(scraped: tuple[Stack, str]) -> None:
    _, address = scraped
    time.sleep(2)
    for rule in RULES:
        if rule["alert"] in {"VigilActionNeedsHuman", "VigilActionsFail"}:
            continue  # the demo's story may do these on purpose
        answer = requests.get(f"{address}/api/v1/query", params={"query": rule["expr"]}, timeout=5).json()
        assert answer["data"]["result"] == [], rule["alert"]


def test_rules_and_configuration_are_well_formed() -> None:
    assert _promtool("check", "rules", str(ALERTS)).returncode == 0
    told = _promtool("check", "config", "--syntax-only", str(ROOT / "deploy/prometheus/prometheus.yml"))
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    ("alert", "series", "quiet_until", "fires_at"),
    [
        ("VigilBeatIsStale", "vigil_beat_stale", "15s", "30s"),
        ("VigilGuardsHold", 'vigil_guards_holding{guard="quarantine"}', "1m", "1m15s"),
        ("VigilStormBrakeHolds", 'vigil_guards_holding{guard="storm"}', "1m", "1m15s"),
        ("VigilCircuitStaysOpen", 'vigil_guards_holding{guard="circuit"}', "10m", "10m15s"),
        ("VigilTargetsAreFrozen", "vigil_targets_frozen", "1m", "1m15s"),
        ("VigilIsPaused", 'vigil_control_mode{mode="paused"}', "15m", "15m15s"),
    ],
)
def test_what_is_held_is_told_after_a_while(
    tmp_path: Path, alert: str, series: str, quiet_until: str, fires_at: str
) -> None:
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    looks = [(quiet_until, []), (fires_at, [{"labels": "{}", "value": 1}]), ("30m", [])]
    script = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "15s",  # as deploy/prometheus/prometheus.yml has it
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": series, "values": "0 1x80 0x60"}],
                "promql_expr_test": [{"expr": firing, "eval_time": at, "exp_samples": seen} for at, seen in looks],
            }
        ],
    }
    file = tmp_path / "held.yml"
    file.write_text(yaml.safe_dump(script))
    told = _promtool("test", "rules", str(file))
    assert told.returncode == 0, told.stdout + told.stderr
