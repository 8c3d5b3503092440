"""An agent that sends batches of readings, each again under its key until it is acknowledged, and counts."""

import threading
import time
from collections import Counter
from contextlib import suppress

import requests

from tests.faults.history import spread
from tests.faults.scene import Scene

BATCH = 5
OWN_DELAY = 1.0
"""Seconds that a caller on a crowded machine may itself be late; Vigil has three."""


class Agent:
    """Sends `per_second` batches until `stop`."""

    def __init__(self, scene: Scene, *, per_second: float, threads: int = 4, copies: int = 1) -> None:
        """Each batch is sent `copies` times at once."""
        self.acknowledged = 0
        """Batches."""
        self.answers: Counter[int] = Counter()
        """By status; 0 stands for no answer."""
        self.seconds: list[float] = []
        """How long each answered request took."""
        self.refused_after = 0.0
        """Seconds that the slowest 503 took."""
        self.different: list[str] = []
        """Batches that were answered in two ways."""
        self._scene = scene
        self._pause = threads / per_second
        self._copies = copies
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> dict[str, object]:
        """Stop once the last batch of each thread is acknowledged; what came of it all, as notes."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        stored = int(self._scene.ask("SELECT count(*) FROM metrics_sample WHERE value > 1000000")[0][0])
        return {
            "ingest batches": self.acknowledged,
            "ingest rows told/stored": f"{self.acknowledged * BATCH}/{stored}",
            "ingest lost or doubled": stored - self.acknowledged * BATCH,
            "ingest 5xx but 503": sum(n for status, n in self.answers.items() if status >= 500 and status != 503),
            "ingest 503": self.answers[503],
            "slowest 503 s": round(self.refused_after, 1),
            "503 later than 4 s": self.refused_after > 3 + OWN_DELAY,
            "ingest unanswered": self.answers[0],
            "ingest s": spread(self.seconds),
            "ingest answered differently": len(self.different),
        }

    def _run(self, thread: int) -> None:
        session = self._scene.session()
        number = 0
        while not self._stop.is_set():
            number += 1
            self._send(session, thread, number)
            time.sleep(self._pause)

    def _send(self, session: requests.Session, thread: int, number: int) -> None:
        tags = {"host": f"agent-{thread}"}
        body = [{"name": f"load_{n}", "value": 1_000_001.0 + number, "tags": tags} for n in range(BATCH)]
        key = f"agent-{thread}-{number}"
        until = time.monotonic() + 100
        said: list[str] = []
        while time.monotonic() < until:
            copies = [
                threading.Thread(target=self._post, args=(None, body, key, said)) for _ in range(self._copies - 1)
            ]
            for copy in copies:
                copy.start()
            good = self._post(session, body, key, said)
            for copy in copies:
                copy.join()
            if good or said:
                self.acknowledged += 1
                if len(set(said)) > 1:
                    self.different.append(key)
                return
            time.sleep(0.3)

    def _post(self, session: requests.Session | None, body: object, key: str, said: list[str]) -> bool:
        caller = session or self._scene.session()
        began = time.monotonic()
        status = 0
        with suppress(requests.RequestException):
            answer = caller.post(f"{self._scene.api}/ingest", json=body, headers={"Idempotency-Key": key}, timeout=10)
            status = answer.status_code
            self.seconds.append(time.monotonic() - began)
            if status == 503:
                self.refused_after = max(self.refused_after, self.seconds[-1])
            if status == 201:
                said.append(answer.text)
        self.answers[status] += 1
        return status == 201
