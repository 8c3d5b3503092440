"""Celery alone, with Vigil's settings of it and a task that does nothing: the peer of an action."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
from celery import Celery

from tests.servers.processes import wait_until
from tests.servers.valkey import Valkey

QUEUE = "noop"

app = Celery("noop", broker=os.environ.get("NOOP_BROKER", ""), fixups=[])  # none: Django's would bring all of Vigil
app.conf.update(
    task_ignore_result=True,
    task_default_queue=QUEUE,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_enable_remote_control=False,
)


@app.task(name="noop")
def noop(*, action_id: int) -> None:
    """Nothing."""


def per_second(count: int, *, processes: int) -> float:
    """No-ops a second by a worker of so many processes, from the first one sent to the last one taken up."""
    with tempfile.TemporaryDirectory(prefix="vk-", dir="/tmp") as folder:  # a socket's path is short
        server = Valkey(Path(folder) / "valkey.sock")
        server.start()
        address = f"redis+socket://{server.socket}"
        app.conf.update(broker_url=address)
        flags = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR")
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-q", "-A", "benchmarks.noop", "worker", "-c", str(processes), *flags],
            env={**os.environ, "NOOP_BROKER": address},
        )
        try:
            return _timed(redis.Redis(unix_socket_path=str(server.socket)), count)
        finally:
            worker.terminate()
            worker.wait(30)
            server.stop()


def _timed(broker: redis.Redis, count: int) -> float:
    noop.apply_async(kwargs={"action_id": 0})
    wait_until(lambda: _done(broker), seconds=60, what="the worker takes up the first task")
    began = time.monotonic()
    for number in range(count):
        noop.apply_async(kwargs={"action_id": number})
    while not _done(broker):
        time.sleep(0.005)
    return count / (time.monotonic() - began)


def _done(broker: redis.Redis) -> bool:
    return broker.llen(QUEUE) == 0 and broker.hlen("unacked") == 0
