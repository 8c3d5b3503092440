"""Ingest while its database hangs and its own processes are killed: an answer within 3 s, and nothing told is lost."""

import itertools
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from tests.integration.ingest.sender import SENT
from tests.servers import stack
from tests.servers.faultproxy import PASS, FaultProxy, Mode
from tests.servers.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

WITHIN = 3.0
CROWD = 128
"""Callers at a time, several times more than that."""
AT_ONCE = 40
"""Callers, which is more than the web server has threads."""


class _Field:
    """One Vigil, and what its callers were told."""

    def __init__(self, running: Stack) -> None:
        self.running = running
        self.key = running.create_key("agent", scopes="ingest,read")
        self.told: list[float] = []
        """Values that were acknowledged."""
        self.numbers = itertools.count(1)

    def post(self, path: str, body: bytes, content_type: str, **headers: str) -> tuple[requests.Response, float]:
        """The answer, and after how many seconds it came."""
        began = time.monotonic()
        said = {"Authorization": f"Bearer {self.key}", "Content-Type": content_type, **headers}
        answer = requests.post(f"{self.running.base_url}/api/v1/ingest{path}", body, headers=said, timeout=30)
        return answer, time.monotonic() - began

    def read(self) -> requests.Response:
        """Send one reading with a value of its own; when it is acknowledged, remember it."""
        value = float(next(self.numbers))
        body = b'{"name": "load", "value": %d, "tags": {"host": "web-%d"}}' % (value, value % 7)
        answer, _ = self.post("", body, "application/json")
        if answer.status_code == 201:
            self.told.append(value)
        return answer

    def stored(self) -> set[float]:
        """What the database has, asked by a process of its own."""
        code = "from metrics.models import Sample; print(*Sample.objects.values_list('value', flat=True))"
        return {float(word) for word in self.running.manage("shell", "-v", "0", "-c", code).stdout.split()}


@pytest.mark.postgres_only
def test_a_database_that_hangs_is_told_within_three_seconds_at_every_address(
    live_stack: Callable[..., Stack],
) -> None:
    at = urlsplit(stack.new_database())
    with FaultProxy(host="127.0.0.1", port=at.port or 0) as proxy:
        field = _Field(
            live_stack(DATABASE_URL=at._replace(netloc=f"{at.username}:{at.password}@127.0.0.1:{proxy.port}").geturl())
        )
        assert [field.read().status_code for _ in range(20)] == [201] * 20

        def try_one(number: int) -> tuple[str, requests.Response, float]:
            names = ["one reading", *SENT]
            name = names[number % len(names)]
            if name == "one reading":
                return name, *field.post("", b'{"name": "load", "value": 1}', "application/json")
            sent = SENT[name]
            return name, *field.post(f"/{sent.path}".rstrip("/"), sent.body(), sent.content_type, **sent.headers)

        for mode in ("blackhole", "refuse"):
            proxy.behave(Mode(name=mode))
            with ThreadPoolExecutor(AT_ONCE) as callers:
                answers = list(callers.map(try_one, range(3 * AT_ONCE)))
            slow = {(name, round(seconds, 1)) for name, _, seconds in answers if seconds > WITHIN}
            assert slow == set(), mode
            assert {(name, answer.status_code) for name, answer, _ in answers if answer.status_code != 503} == set(), (
                mode
            )
            assert all(int(answer.headers["Retry-After"]) > 0 for _, answer, _ in answers), mode
            proxy.behave(PASS)
            _until(lambda: field.read().status_code == 201, seconds=20)

        assert set(field.told) <= field.stored()


def test_a_database_that_is_slow_is_told_within_three_seconds_however_many_ask(
    live_stack: Callable[..., Stack],
) -> None:
    field = _Field(live_stack())
    assert field.read().status_code == 201

    def try_one(_: int) -> tuple[requests.Response, float]:
        return field.post("", b'{"name": "load", "value": 1}', "application/json")

    with _locked(field.running), ThreadPoolExecutor(CROWD) as callers:
        answers = list(callers.map(try_one, range(CROWD)))
    assert sorted(seconds for _, seconds in answers if seconds > WITHIN) == []
    assert {answer.status_code for answer, _ in answers} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer, _ in answers)
    _until(lambda: field.read().status_code == 201, seconds=20)
    assert set(field.told) <= field.stored()


@contextmanager
def _locked(running: Stack) -> Iterator[None]:
    """Somebody holds what every reading must write to, and the database answers everything else."""
    database = running.environment.get("DATABASE_URL")
    if not database:
        with closing(sqlite3.connect(running.data_dir / "vigil.sqlite3", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield
        return
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE metrics_series, metrics_sample")
        yield


def test_readings_that_were_acknowledged_outlive_a_killed_web_server(live_stack: Callable[..., Stack]) -> None:
    field = _Field(live_stack())
    done = threading.Event()
    refused = 0

    def send() -> None:
        nonlocal refused
        while not done.is_set():
            try:
                field.read()
            except requests.RequestException:
                refused += 1
                time.sleep(0.05)

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        before = len(field.told)
        _until(lambda before=before: len(field.told) > before + 100, seconds=40)  # type: ignore[misc]
        for pid in field.running.pids_of("granian"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    before = len(field.told)
    _until(lambda: len(field.told) > before + 100, seconds=40)
    done.set()
    for thread in threads:
        thread.join(20)

    assert refused, "nobody was cut off, so nothing was shown"
    missing = set(field.told) - field.stored()
    assert missing == set(), f"{len(missing)} of {len(field.told)} acknowledged readings are missing"


def _until(condition: Callable[[], bool], *, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s"
        time.sleep(0.05)
