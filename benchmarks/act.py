"""From a reading to the remediator's door, on an idle Vigil."""

import tempfile
import time
from pathlib import Path

import requests

from benchmarks.report import Figure, percentile
from benchmarks.scene import running
from tests.servers.ledger import Ledger

TURNS = 40


def run() -> list[Figure]:
    """Post a bad reading on a fresh target, and wait for the call."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.jsonl", latency=0.0)
        try:
            with running(REMEDIATOR_URL=ledger.url) as stack:
                waits = _measure(stack.session(stack.create_key("bench")), stack.base_url, ledger)
        finally:
            ledger.stop()
    return [
        Figure(what="reading accepted to remediator called, idle, p50", value=percentile(waits, 0.5), unit="ms"),
        Figure(what="reading accepted to remediator called, idle, p99", value=percentile(waits, 0.99), unit="ms"),
    ]


def _measure(vigil: requests.Session, base_url: str, ledger: Ledger) -> list[float]:
    policy = {
        "name": "bench",
        "severity": "info",
        "target": "web-*",
        "auto_remediate": True,
        "condition": "cpu_usage > 90",
        "action": "scale-up",
        "params": {"replicas": 2},
        "rate": {"count": 1_000, "per": "10m"},
    }
    vigil.post(f"{base_url}/api/v1/policies", json=policy, timeout=10).raise_for_status()
    time.sleep(2)
    waits = []
    for turn in range(TURNS):
        seen = len(ledger.effects)
        reading = {"name": "cpu_usage", "value": 99, "tags": {"host": f"web-{turn}"}}
        vigil.post(f"{base_url}/api/v1/ingest", json=reading, timeout=10).raise_for_status()
        accepted = time.monotonic()
        while len(ledger.effects) == seen:
            if time.monotonic() - accepted > 20:
                raise SystemExit("the remediator was not called within 20 s")
            time.sleep(0.0005)
        waits.append((ledger.effects[-1].began - accepted) * 1000)
        time.sleep(0.1)
    return waits
