"""One sweep over 10,000 series: what it costs for each policy, and beside a real Prometheus with the same rules."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import prometheus, rules
from benchmarks.report import Figure, percentile
from benchmarks.scene import environment
from tests.servers import postgres

HOSTS = 10_000
BESIDE = 100
TURNS = 5
USUAL, FROM_SAMPLES = rules.SHAPES
COUNTS = {USUAL: (10, 100, 1_000), FROM_SAMPLES: (100,)}


def run() -> list[Figure]:
    """For each kind of rules first Prometheus, then Vigil, so that neither slows the other down."""
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as temporary:
        server = postgres.start(Path(temporary) / "postgres")
        try:
            return [figure for shape in COUNTS for figure in _compare(shape, server, Path(temporary))]
        finally:
            server.stop()


def _compare(shape: str, server: postgres.Postgres, folder: Path) -> list[Figure]:
    name = f"shape{list(COUNTS).index(shape)}"
    peer = _prometheus(shape, folder / name)
    figures = [] if peer is None else [_of_prometheus(shape, peer)]
    return figures + [
        _of_vigil(shape, measured, peer) for measured in _measured(shape, server.create_database(name), folder)
    ]


def _prometheus(shape: str, folder: Path) -> list[float] | None:
    if shutil.which("prometheus") is None:
        return None
    return prometheus.seconds_to_evaluate(rules.rules(shape, BESIDE), hosts=HOSTS, folder=folder, turns=TURNS)


def _measured(shape: str, url: str, folder: Path) -> list[dict[str, Any]]:
    env = environment(url, folder)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.sweeping", shape, str(HOSTS), *map(str, COUNTS[shape])],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"policies": ')]


def _of_prometheus(shape: str, seconds: list[float]) -> Figure:
    middle = percentile(seconds, 0.5) * 1000
    return Figure(
        what=f"Prometheus, {BESIDE} rules ({shape}) over {HOSTS:,} series of 20 samples",
        value=middle,
        unit="ms",
        beside=f"{middle / BESIDE:.2f} ms for each rule",
    )


def _of_vigil(shape: str, measured: dict[str, Any], peer: list[float] | None) -> Figure:
    policies = measured["policies"]
    middle = percentile(measured["seconds"], 0.5) * 1000
    compared = policies == BESIDE and peer is not None
    return Figure(
        what=f"Vigil, {policies:,} policies ({shape}) over {HOSTS:,} series, {measured['incidents']:,} incidents open; "
        f"first sweep {measured['first_seconds'] * 1000:,.0f} ms; "
        f"{measured['queries']} queries, {measured['database_seconds'] * 1000:,.0f} ms",
        value=middle,
        unit="ms",
        beside=f"{middle / policies:.2f} ms for each policy" + ("; times faster than Prometheus:" if compared else ""),
        ratio=percentile(peer, 0.5) * 1000 / middle if compared and peer is not None else None,
    )
