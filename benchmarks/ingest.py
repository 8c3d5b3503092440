"""Readings a second, single and in batches, durable, authenticated and judged; beside a view that does nothing."""

from benchmarks.report import Figure
from benchmarks.scene import Load, running
from tests.servers.stack import Stack

SECONDS = 5.0
POLICIES = 100
BATCH = 1_000


def run() -> list[Figure]:
    """Measure with 100 policies on the metric."""
    with running() as stack:
        key = stack.create_key("bench")
        _write_policies(stack, key)
        return [*_single(stack, key), _batches(stack, key)]


def _write_policies(stack: Stack, key: str) -> None:
    vigil = stack.session(key)
    for number in range(POLICIES):
        answer = vigil.post(
            f"{stack.base_url}/api/v1/policies",
            json={
                "name": f"bench-{number}",
                "severity": "info",
                "target": "web-*",
                "condition": f"cpu_usage > {1_000 + number}",
                "action": "scale-up",
                "params": {"replicas": 2},
            },
            timeout=10,
        )
        answer.raise_for_status()


def _single(stack: Stack, key: str) -> list[Figure]:
    reading = {"name": "cpu_usage", "value": 87.5, "tags": {"host": "web-01"}}
    figures = []
    for connections in (1, 16):
        bare = Load(stack, key=key)
        limit = bare.run("GET", "/health", None, connections=connections, seconds=SECONDS)
        load = Load(stack, key=key)
        rate = load.run("POST", "/api/v1/ingest", reading, connections=connections, seconds=SECONDS)
        figures.append(
            Figure(
                what=f"single readings, {connections} connections ({_told(load)})",
                value=rate,
                unit="requests/s",
                beside=f"/health: {limit:,.0f}/s",
                ratio=rate / limit,
            )
        )
    return figures


def _batches(stack: Stack, key: str) -> Figure:
    batch = [{"name": "cpu_usage", "value": 50.5, "tags": {"host": f"web-{number}"}} for number in range(BATCH)]
    load = Load(stack, key=key)
    rate = load.run("POST", "/api/v1/ingest", batch, connections=4, seconds=SECONDS)
    return Figure(
        what=f"batches of {BATCH:,} readings, 4 connections (p50 {load.p(0.5):.0f} ms)",
        value=rate * BATCH,
        unit="readings/s",
    )


def _told(load: Load) -> str:
    refused = {status: count for status, count in load.answers.items() if status >= 300}
    return f"p50 {load.p(0.5):.1f} ms, p99 {load.p(0.99):.1f} ms" + (f", refused: {refused}" if refused else "")
