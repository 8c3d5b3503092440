"""Readings a second, durable, authenticated and judged, beside their peers and limits of the same run.

`python -m benchmarks.ingest`; `--help` says how to run a part of it alone.
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import driving, peers, writes
from benchmarks.driving import Driven
from benchmarks.processor import Meter
from benchmarks.report import Figure, tell
from benchmarks.scene import running
from tests.servers import postgres
from tests.servers.postgres import Postgres
from tests.servers.stack import Stack

METRIC = "cpu_usage"
HOSTS = 1_000
BATCH = 1_000
WRITE = 2_000
SENDERS = 4
"""Connections that send batches, and remote write."""
WRITES_EACH = 1_000
PARTS = ("peers", "singles", "batches", "writes")
DATABASES = ("postgres", "sqlite")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure."""

    parts: Sequence[str] = PARTS
    databases: Sequence[str] = DATABASES
    policies: Sequence[int] = (0, 100)
    connections: Sequence[int] = (1, 4, 16, 64)
    seconds: float = 5.0


@dataclass(slots=True)
class Limits:
    """The best of each peer, to stand beside."""

    bare: dict[int, float] = field(default_factory=dict)
    """Requests a second of the bare DRF view, by connections."""
    copy: float | None = None
    prometheus: float | None = None


def run(options: Options | None = None) -> list[Figure]:
    """Everything the options ask for, peers first."""
    wanted = options or Options()
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder:
        server = postgres.start(Path(folder) / "postgres", durable=True) if "postgres" in wanted.databases else None
        try:
            limits = Limits()
            figures = list(_peers(wanted, server, limits)) if "peers" in wanted.parts else []
            for database in wanted.databases:
                for policies in wanted.policies:
                    figures += _vigil(wanted, database, server, policies, limits)
            return figures
        finally:
            if server is not None:
                server.stop()


def _peers(wanted: Options, server: Postgres | None, limits: Limits) -> Iterator[Figure]:
    if "singles" in wanted.parts:
        yield from _bare(wanted, server, limits)
    if "batches" in wanted.parts and server is not None:
        limits.copy = peers.copied_per_second(_database(server), rows=BATCH, seconds=wanted.seconds)
        yield Figure(what=f"COPY alone, {BATCH:,} rows and a commit at a time", value=limits.copy, unit="samples/s")
    if "writes" in wanted.parts:
        with peers.receiver() as (url, pid):
            driven = _write(url, {}, wanted.seconds, Meter({"Prometheus": lambda: [pid]}))
        limits.prometheus = driven.rate * WRITE
        what = f"Prometheus as a receiver of remote write, {WRITE:,} samples a request ({driven.told(items=WRITE)})"
        yield Figure(what=what, value=limits.prometheus, unit="samples/s")


def _bare(wanted: Options, server: Postgres | None, limits: Limits) -> Iterator[Figure]:
    names = {"rest": "bare DRF view", "plain": "bare Django view"}
    if server is not None:
        names["insert"] = "bare view with one INSERT a request"
    with peers.views("" if server is None else _database(server)) as (address, pid):
        meter = Meter({"web": lambda: [pid]} | _roots_of(server))
        for path, name in names.items():
            for connections in wanted.connections:
                driven = _single(f"{address}/{path}", JSON, connections, wanted.seconds, meter)
                if path == "rest":
                    limits.bare[connections] = driven.rate
                what = f"{name}, {connections} connections ({driven.told()})"
                yield Figure(what=what, value=driven.rate, unit="requests/s")


def _vigil(wanted: Options, database: str, server: Postgres | None, policies: int, limits: Limits) -> Iterator[Figure]:
    url = "" if server is None or database == "sqlite" else _database(server)
    with running(DATABASE_URL=url) as stack:
        headers = {"Authorization": f"Bearer {stack.create_key('bench')}"}
        _write_policies(stack, headers, policies)
        meter = Meter(
            {"web": lambda: stack.pids_of("-m granian")[:1]}
            | (_roots_of(server) if url else {})
            | {"the rest of Vigil": lambda: _others(stack)}
        )
        where = f"{database}, {policies} policies"
        _single(f"{stack.base_url}/api/v1/ingest", {**JSON, **headers}, 4, 1.0, meter)  # nobody's first second counts
        before = meter.megabytes()
        sent = 0
        for what, driven, items, limit in _driven(wanted, stack, headers, meter, limits):
            sent += driven.requests * items
            beside, peer = limit
            value = driven.rate * items
            yield Figure(
                what=f"{what}, {where} ({driven.told(items=items)})",
                value=value,
                unit="samples/s",
                beside="" if peer is None else f"{beside}: {peer:,.0f}/s",
                ratio=None if peer is None else value / peer,
            )
        yield from _memory(where, sent, before, meter.megabytes())


type _Limit = tuple[str, float | None]


def _driven(
    wanted: Options, stack: Stack, headers: dict[str, str], meter: Meter, limits: Limits
) -> Iterator[tuple[str, Driven, int, _Limit]]:
    ingest = f"{stack.base_url}/api/v1/ingest"
    if "singles" in wanted.parts:
        for connections in wanted.connections:
            driven = _single(ingest, {**JSON, **headers}, connections, wanted.seconds, meter)
            yield (
                f"single readings, {connections} connections",
                driven,
                1,
                ("bare DRF view", limits.bare.get(connections)),
            )
    if "batches" in wanted.parts:
        several = [[_batch(sender)] for sender in range(SENDERS)]
        driven = driving.posted(ingest, several, {**JSON, **headers}, again=True, seconds=wanted.seconds, meter=meter)
        yield f"batches of {BATCH:,}, {SENDERS} connections", driven, BATCH, ("COPY alone", limits.copy)
    if "writes" in wanted.parts:
        driven = _write(f"{ingest}/prometheus", headers, wanted.seconds, meter)
        yield f"remote write of {WRITE:,}, {SENDERS} connections", driven, WRITE, ("Prometheus", limits.prometheus)


def _memory(where: str, sent: int, before: dict[str, float], after: dict[str, float]) -> Iterator[Figure]:
    for name in before:
        yield Figure(
            what=f"memory of {name} after {sent:,} readings, {where}",
            value=after[name],
            unit="MB",
            beside=f"before: {before[name]:,.0f} MB",
            ratio=after[name] / before[name] if before[name] else None,
        )


def _single(url: str, headers: dict[str, str], connections: int, seconds: float, meter: Meter) -> Driven:
    bodies = [json.dumps(_reading(number)) for number in range(HOSTS)]
    return driving.singles(url, bodies, headers, connections=connections, seconds=seconds, meter=meter)


def _reading(number: int) -> dict[str, object]:
    return {"name": METRIC, "value": 50 + number % 10, "tags": {"host": f"web-{number}"}}


def _batch(sender: int) -> bytes:
    """A batch of one sender, who has hosts of its own, as each gateway of agents has."""
    return json.dumps([_reading(sender * BATCH + number) for number in range(BATCH)]).encode()


def _write(url: str, headers: dict[str, str], seconds: float, meter: Meter) -> Driven:
    """Each connection has hosts of its own, as each Prometheus has."""
    newest = time.clock_gettime(time.CLOCK_REALTIME)
    bodies = [
        writes.requests(METRIC, [f"web-{sender}-{number}" for number in range(WRITE)], count=WRITES_EACH, newest=newest)
        for sender in range(SENDERS)
    ]
    return driving.posted(url, bodies, {**writes.HEADERS, **headers}, again=False, seconds=seconds, meter=meter)


def _write_policies(stack: Stack, headers: dict[str, str], count: int) -> None:
    vigil = stack.session(headers["Authorization"].removeprefix("Bearer "))
    for number in range(count):
        policy = {
            "name": f"bench-{number}",
            "severity": "info",
            "target": "web-*",
            "condition": f"{METRIC} > {1_000 + number}",
            "action": "scale-up",
            "params": {"replicas": 2},
        }
        vigil.post(f"{stack.base_url}/api/v1/policies", json=policy, timeout=30).raise_for_status()


def _others(stack: Stack) -> list[int]:
    """The programs beside the web server."""
    web = set(stack.pids_of("-m granian"))
    return [pid for part in ("celery", "dispatcher", "valkey") for pid in stack.pids_of(part) if pid not in web]


def _roots_of(server: Postgres | None) -> dict[str, Callable[[], list[int]]]:
    return {} if server is None else {"PostgreSQL": lambda: [server.process.pid]}


def _database(server: Postgres) -> str:
    return server.create_database(f"ingest_{secrets.token_hex(4)}")


def _options() -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone (default: all)")
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--policies", nargs="+", type=int, default=(0, 100), help="on the metric (default: 0 100)")
    parser.add_argument("--connections", nargs="+", type=int, default=(1, 4, 16, 64), help="of single readings")
    parser.add_argument("--seconds", type=float, default=5.0, help="each figure takes (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    return Options(
        parts=given.only,
        databases=given.database,
        policies=given.policies,
        connections=given.connections,
        seconds=given.seconds,
    ), given.json


def main() -> int:
    """Print what the options ask for."""
    options, as_json = _options()
    figures = run(options)
    about = f"Single readings are sent by {driving.generator()}, everything else by a Python process."
    tell(figures, as_json=as_json, about=about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
