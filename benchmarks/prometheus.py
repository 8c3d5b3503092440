"""A real Prometheus that evaluates alerting rules over series written to it a moment before."""

import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import requests
import yaml

from benchmarks import rules, writes
from benchmarks.rules import Rule
from tests.servers.processes import free_port, wait_until
from tests.unit.metrics import wire_out as out

AHEAD_SECONDS = 90
"""Samples are written ahead, so that every evaluation finds the whole window filled."""
SERIES_A_REQUEST = 1_000


def seconds_to_evaluate(several: Sequence[Rule], *, hosts: int, folder: Path, turns: int) -> list[float]:
    """How long evaluating all the rules, as one group, took at each of so many turns."""
    port = free_port()
    config = _configure(several, folder)
    process = subprocess.Popen(
        [  # noqa: S607
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--log.level=error",
        ],
        env={"PATH": os.environ["PATH"]},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{address}/-/ready"), seconds=60, what="Prometheus is ready")
        _write(address, hosts)
        return _watch(address, turns)
    finally:
        process.terminate()
        process.wait(30)


def _configure(several: Iterable[Rule], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    alerts = [{"alert": rule.name, "expr": rule.promql} for rule in several]
    group = {"name": "bench", "interval": "5s", "rules": alerts}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
    config = folder / "prometheus.yml"
    config.write_text(f"rule_files: ['{folder / 'rules.yml'}']\n")
    return config


def answers(url: str) -> bool:
    """Whether anything good comes from there."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


def _watch(address: str, turns: int) -> list[float]:
    """The group's own clock; the first turn, which may have met half the data, does not count."""
    found: dict[str, float] = {}
    until = time.monotonic() + 30 + 20 * turns
    while len(found) <= turns and time.monotonic() < until:
        [group] = requests.get(f"{address}/api/v1/rules", timeout=30).json()["data"]["groups"]
        if group["evaluationTime"]:
            found[group["lastEvaluation"]] = group["evaluationTime"]
        time.sleep(0.5)
    alerts = requests.get(f"{address}/api/v1/alerts", timeout=30).json()["data"]["alerts"]
    if len(found) <= turns or not alerts:
        raise SystemExit("Prometheus did not evaluate the rules over the series it was sent.")
    return list(found.values())[1:]


def _write(address: str, hosts: int) -> None:
    now = int(time.time() * 1000)  # noqa: TID251
    moments = range(now - 1000 * rules.WINDOW_SECONDS, now + 1000 * AHEAD_SECONDS, 1000 * rules.EVERY_SECONDS)
    names = list(rules.hosts(hosts))
    for first in range(0, hosts, SERIES_A_REQUEST):
        body = out.snappy(
            b"".join(_series(number, names[number], moments) for number in range(hosts)[first:][:SERIES_A_REQUEST])
        )
        requests.post(f"{address}/api/v1/write", data=body, headers=writes.HEADERS, timeout=60).raise_for_status()


def _series(number: int, host: str, moments: range) -> bytes:
    samples = ((rules.value(number, place), moment) for place, moment in enumerate(moments))
    return out.series({"__name__": rules.METRIC, "host": host}, *samples)
