"""What is done to the database."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.faults.agent import Agent
from tests.faults.history import Closed
from tests.faults.rows.table import Plan, Result, all_consume, campaign, row
from tests.faults.scene import Scene, now, scene
from tests.servers.faultproxy import PASS, Mode
from tests.servers.processes import descendants

LASTS = 15.0


@row("F6", "PostgreSQL restarts: fast, immediate, kill -9 of a backend, of all", full=(300, 8), databases=("postgres",))
def restarted_database(plan: Plan) -> Result:
    """Under ingest; nothing that was acknowledged may be missing afterwards."""
    ways = (_restart_fast, _restart_at_once, _kill_backend, _kill_postmaster)
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=5)
        mains = running.mains("worker")

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 2, seconds=10)
            with running.fault("database restarts"):
                ways[number % len(ways)](running)
            running.wait(3)

        result = campaign(running, plan, strike)
        lost = len(set(mains) - set(running.mains("worker")))
        return result | {"worker mains lost": lost} | agent.stop() | all_consume(running)


def _restart_fast(running: Scene) -> None:
    running.restart_database(signal.SIGINT)


def _restart_at_once(running: Scene) -> None:
    running.restart_database(signal.SIGQUIT)


def _kill_backend(running: Scene) -> None:
    """The server ends all others and recovers by itself."""
    assert running.server is not None
    backends = sorted(descendants(running.server.process.pid))
    running.send([running.rng.choice(backends)], signal.SIGKILL)
    running.wait(2)


def _kill_postmaster(running: Scene) -> None:
    """With all below it: PostgreSQL refuses to start while one of them lives."""
    assert running.server is not None
    below = descendants(running.server.process.pid)
    running.server.process.kill()
    running.send(sorted(below), signal.SIGKILL)
    running.restart_database(signal.SIGKILL)


@row("F7", "PostgreSQL away, hung, slow, without a free connection, 15 s each", full=(200, 4), databases=("postgres",))
def absent_database(plan: Plan) -> Result:
    """Under ingest. No effect begins later than a second into an outage. The design's minute is 15 s here."""
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=5)
        ways = (
            lambda: _behaving(running, Mode(name="refuse")),
            lambda: _behaving(running, Mode(name="blackhole")),
            lambda: _behaving(running, Mode(name="latency", ms=250, jitter=50)),
            lambda: _exhausted(running),
        )

        def strike(number: int) -> None:
            with ways[number % len(ways)]():
                running.wait(LASTS)
            running.wait(3)

        result = campaign(running, plan, strike)
        return result | agent.stop() | all_consume(running)


@contextmanager
def _behaving(running: Scene, mode: Mode) -> Iterator[None]:
    """What lies between Vigil and its database."""
    assert running.proxy is not None
    began = now()
    with running.fault(f"database: {mode.name}"):
        running.proxy.behave(mode)
        yield
        ended = now()
        running.proxy.behave(PASS)
    if mode.name != "latency":
        running.closed.append(Closed(why=f"database: {mode.name}", after=began + 1, until=ended))


@contextmanager
def _exhausted(running: Scene) -> Iterator[None]:
    """Somebody else holds every connection; Vigil's own are ended first."""
    assert running.server is not None
    url = running.server.url("vigil")
    with running.fault("database: no connection left"):
        held = [psycopg.connect(url, autocommit=True)]
        held[0].execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        with suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(url, connect_timeout=3))
        yield
        for connection in held:
            connection.close()
