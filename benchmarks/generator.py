"""Sends requests as fast as they are answered, in a process of its own: `python -m benchmarks.generator < JOB`.

A job is JSON: url, headers, seconds, and for each connection the files of its bodies and whether they come round again.
Prints one JSON line: requests, seconds, p50 and p99 in milliseconds, and the number of answers by status (0: none).
"""

import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.report import percentile


class Connection(threading.Thread):
    """One connection."""

    def __init__(self, job: dict[str, Any], bodies: list[bytes]) -> None:
        """What it has to send."""
        super().__init__()
        self._job, self._bodies = job, bodies
        self.waits: list[float] = []
        self.answers: dict[int, int] = {}

    def run(self) -> None:
        """Until the time or the bodies are used up."""
        place = urlsplit(self._job["url"])
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        until = time.monotonic() + self._job["seconds"]
        number = 0
        while time.monotonic() < until and (self._job["again"] or number < len(self._bodies)):
            began = time.monotonic()
            try:
                connection.request("POST", place.path, self._bodies[number % len(self._bodies)], self._job["headers"])
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()  # the next request opens it again
                status = 0
            self.waits.append(time.monotonic() - began)
            self.answers[status] = self.answers.get(status, 0) + 1
            number += 1
        connection.close()


def main() -> None:
    """Do the job."""
    job = json.load(sys.stdin)
    connections = [Connection(job, [Path(name).read_bytes() for name in names]) for names in job["bodies"]]
    began = time.monotonic()
    for one in connections:
        one.start()
    for one in connections:
        one.join()
    waits = [wait for one in connections for wait in one.waits]
    told: dict[str, Any] = {
        "requests": len(waits),
        "seconds": time.monotonic() - began,
        "p50": percentile(waits, 0.5) * 1000,
        "p99": percentile(waits, 0.99) * 1000,
        "answers": {},
    }
    for one in connections:
        for status, count in one.answers.items():
            told["answers"][status] = told["answers"].get(status, 0) + count
    print(json.dumps(told))


if __name__ == "__main__":
    main()
