"""A whole Vigil to measure, and a caller that wastes no time."""

import http.client
import json
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import percentile
from tests.servers.stack import Stack

UNTHROTTLED = {
    **dict.fromkeys(("VIGIL_REQUESTS_PER_MINUTE", "VIGIL_INGEST_REQUESTS_PER_MINUTE"), "10000000"),
    "VIGIL_NEW_SERIES_PER_KEY": "0",
}


@contextmanager
def running(**env: str) -> Iterator[Stack]:
    """A `manage.py up` in a data directory of its own; DATABASE_URL of the caller's environment is used when set."""
    directory = Path(tempfile.mkdtemp(prefix="vigil-bench-"))
    url = os.environ.get("VIGIL_BENCH_DATABASE_URL", "")
    stack = Stack(data_dir=directory, env={"DATABASE_URL": url, **UNTHROTTLED, **env})
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(directory, ignore_errors=True)


def environment(url: str, folder: Path, **more: str) -> dict[str, str]:
    """What a process of Vigil's own needs to work on the database at `url`, and nothing else of this one's."""
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "vigil.settings",
        "SECRET_KEY": secrets.token_hex(32),
        "VIGIL_DATA_DIR": str(folder / "data"),
        "VIGIL_ENV_FILE": os.devnull,
        "VIGIL_LOG_LEVEL": "ERROR",
        **more,
    }


class Load:
    """Connections that send the same request again and again for a while."""

    def __init__(self, stack: Stack, *, key: str) -> None:
        self._port = stack.port
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.answers: dict[int, int] = {}
        self.seconds: list[float] = []

    def run(self, method: str, path: str, body: object | None, *, connections: int, seconds: float) -> float:
        """Requests a second; `answers` and `seconds` have the rest."""
        content = None if body is None else json.dumps(body).encode()
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._send, args=(method, path, content, until)) for _ in range(connections)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(self.seconds) / (time.monotonic() - started)

    def p(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        return percentile(self.seconds, share) * 1000

    def _send(self, method: str, path: str, content: bytes | None, until: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while time.monotonic() < until:
            started = time.monotonic()
            connection.request(method, path, content, self._headers)
            answer = connection.getresponse()
            answer.read()
            self.seconds.append(time.monotonic() - started)
            self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        connection.close()
