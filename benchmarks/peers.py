"""What ingest is measured against: bare views, COPY alone, and a Prometheus that takes remote write."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks import bare, prometheus
from tests.servers.processes import free_port, wait_until
from tests.servers.stack import ROOT
from vigil.runner import programs


@contextmanager
def views(database_url: str) -> Iterator[tuple[str, int]]:
    """The bare views, served as Vigil is: where they are, and the process."""
    if database_url:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(bare.TABLE)
    port = free_port()
    command = [
        sys.executable,
        *programs.web_server(host="127.0.0.1", port=port, application="benchmarks.bare:application"),
    ]
    environment = {**os.environ, "BARE_DATABASE_URL": database_url}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: prometheus.answers(f"{address}/plain"), seconds=60, what="the bare views answer")
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def receiver() -> Iterator[tuple[str, int]]:
    """A Prometheus that takes remote write: its address, and the process."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="vigil-prometheus-") as folder:
        config = Path(folder) / "prometheus.yml"
        config.write_text("global: {}\n")
        process = subprocess.Popen(
            [  # noqa: S607
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
                "--log.level=error",
            ],
            env={"PATH": os.environ["PATH"]},
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: prometheus.answers(f"{address}/-/ready"), seconds=60, what="Prometheus is ready")
            yield f"{address}/api/v1/write", process.pid
        finally:
            process.terminate()
            process.wait(30)


def copied_per_second(database_url: str, *, rows: int, seconds: float) -> float:
    """Samples a second through COPY on one connection, `rows` and a commit at a time, into a table like Vigil's."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE copied (id bigserial PRIMARY KEY, series_id bigint NOT NULL, value double precision NOT NULL,"
            " at timestamptz NOT NULL, received_at timestamptz NOT NULL)"
        )
        connection.execute("CREATE INDEX ON copied (series_id, at)")
        connection.execute("CREATE INDEX ON copied (at)")
        began, stored = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            _copy(connection, range(rows))
            stored += rows
        return stored / (time.monotonic() - began)


def _copy(connection: psycopg.Connection, series: Sequence[int]) -> None:
    at = datetime.fromtimestamp(time.clock_gettime(time.CLOCK_REALTIME), UTC)
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY copied (series_id, value, at, received_at) FROM STDIN") as copy,
    ):
        copy.write("".join(f"{number}\t50.5\t{at}\t{at}\n" for number in series))
