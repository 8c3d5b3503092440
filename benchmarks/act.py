"""Actions: how many a second, and how soon after the reading that asks for one. On both databases."""

import itertools
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import requests

from benchmarks import noop
from benchmarks.report import Figure, percentile
from benchmarks.scene import Load, running
from tests.servers import postgres
from tests.servers.stack import ROOT, Stack

COUNT = 500
TURNS = 100
PROCESSES = 4
LOAD_CONNECTIONS = 2
POLICY = {
    "name": "bench",
    "severity": "info",
    "target": "web-*",
    "auto_remediate": True,
    "condition": "cpu_usage > 90",
    "action": "restart",
    "rate": {"count": 1_000, "per": "10m"},
}
LIFTED = {
    "VIGIL_COMMON_CAUSE_PERCENT": "100",
    "VIGIL_GLOBAL_RATE_COUNT": "1000000",
    "VIGIL_STORM_PROPOSALS": "1000000",
    "VIGIL_BLAST_RADIUS_PERCENT": "100",
    "VIGIL_FLEET_AT_ONCE_PERCENT": "100",
}
"""Guards that this must not meet: a fleet that goes bad for measurement's sake is what they are there to stop."""


class Stub:
    """The remediator's process, and what it told."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen([sys.executable, "-m", "benchmarks.stub"], cwd=ROOT, stdout=subprocess.PIPE)
        self._told = cast("IO[bytes]", self._process.stdout)
        self.url = f"http://127.0.0.1:{int(self._told.readline())}/"
        self.called_at: dict[str, float] = {}
        """Target and the monotonic second of its last call."""
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)

    def _listen(self) -> None:
        for line in self._told:
            target, at = line.decode().split()
            self.called_at[target] = float(at)


def run() -> list[Figure]:
    """First Celery alone, then Vigil with each database."""
    peer = noop.per_second(2_000, processes=PROCESSES)
    figures = [Figure(what=f"Celery alone, a task that does nothing, {PROCESSES} processes", value=peer, unit="/s")]
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as temporary:
        server = postgres.start(Path(temporary) / "postgres")
        try:
            for database in ("PostgreSQL", "SQLite"):
                url = server.create_database(f"act_{secrets.token_hex(4)}") if database == "PostgreSQL" else ""
                figures += _measure(database, url, peer=peer)
        finally:
            server.stop()
    return figures


def _measure(database: str, url: str, *, peer: float) -> list[Figure]:
    stub = Stub()
    try:
        with running(REMEDIATOR_URL=stub.url, DATABASE_URL=url, **LIFTED) as stack:
            told = _throughput(stack)
            figures = [_of_throughput(database, told, peer), _of_cost(database, told)]
            key = stack.create_key("bench")
            vigil = stack.session(key)
            vigil.post(f"{stack.base_url}/api/v1/policies", json=POLICY, timeout=10).raise_for_status()
            time.sleep(2)
            names = itertools.count()
            figures += _of_latency(database, "idle", _waits(stack, vigil, stub, names))
            with _load(stack, key) as load:
                waits = _waits(stack, vigil, stub, names)
            return figures + _of_latency(database, f"{len(load.seconds) / load.lasted:,.0f} other readings/s", waits)
    finally:
        stub.stop()


def _throughput(stack: Stack) -> dict[str, Any]:
    env = {**stack.environment, "DJANGO_SETTINGS_MODULE": "vigil.settings", "VIGIL_LOG_LEVEL": "ERROR"}
    env["REDIS_URL"] = f"unix://{stack.data_dir}/run/valkey.sock?db=0"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.acting", str(COUNT)], cwd=ROOT, env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2_000:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _of_throughput(database: str, told: dict[str, Any], peer: float) -> Figure:
    rate = told["count"] / told["seconds"]
    return Figure(
        what=f"actions, claim to result, {PROCESSES} processes, {database} "
        f"({told['queries']} statements and {told['commits']} commits each)",
        value=rate,
        unit="/s",
        beside=f"Celery alone: {peer:,.0f}/s",
        ratio=rate / peer,
    )


def _of_cost(database: str, told: dict[str, Any]) -> Figure:
    return Figure(what=f"CPU of the worker for one of them, {database}", value=told["cpu_ms"], unit="ms")


def _waits(stack: Stack, vigil: requests.Session, stub: Stub, names: Iterator[int]) -> list[float]:
    """Milliseconds from a bad reading's answer until the remediator was called, each on a fresh target."""
    waits = []
    for _ in range(TURNS):
        target = f"web-{next(names)}"
        reading = {"name": "cpu_usage", "value": 99, "tags": {"host": target}}
        vigil.post(f"{stack.base_url}/api/v1/ingest", json=reading, timeout=10).raise_for_status()
        accepted = time.monotonic()
        while target not in stub.called_at:
            if time.monotonic() - accepted > 20:
                raise SystemExit(f"the remediator was not called within 20 s: {_why(stack, vigil, target)}")
            time.sleep(0.0005)
        waits.append((stub.called_at[target] - accepted) * 1000)
        vigil.post(f"{stack.base_url}/api/v1/ingest", json={**reading, "value": 10}, timeout=10).raise_for_status()
        time.sleep(0.05)
    return waits


def _why(stack: Stack, vigil: requests.Session, target: str) -> str:
    """What Vigil itself says of it."""
    asked = {"policy": str(POLICY["name"]), "target": target}
    answer = vigil.get(f"{stack.base_url}/api/v1/explain", params=asked, timeout=10)
    said: dict[str, Any] = answer.json()
    return str(said.get("text", said))


class _Timed(Load):
    lasted: float = 1.0


@contextmanager
def _load(stack: Stack, key: str) -> Iterator[_Timed]:
    """Healthy readings, as fast as the connections let them."""
    load = _Timed(stack, key=key)
    reading = {"name": "cpu_usage", "value": 50, "tags": {"host": "quiet-1"}}
    stop = threading.Event()
    began = time.monotonic()

    def keep_on() -> None:
        while not stop.is_set():
            load.run("POST", "/api/v1/ingest", reading, connections=LOAD_CONNECTIONS, seconds=1.0)

    thread = threading.Thread(target=keep_on)
    thread.start()
    time.sleep(1)
    try:
        yield load
    finally:
        stop.set()
        thread.join()
        load.lasted = time.monotonic() - began


def _of_latency(database: str, when: str, waits: list[float]) -> list[Figure]:
    return [
        Figure(
            what=f"reading accepted to remediator called, {database}, {when}, p{percent}",
            value=percentile(waits, percent / 100),
            unit="ms",
        )
        for percent in (50, 99)
    ]
