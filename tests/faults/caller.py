"""Somebody who orders actions and writes down what was acknowledged."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

import requests

from tests.faults.history import Told
from tests.faults.scene import Scene, now

GIVE_UP_AFTER = 180.0


class Caller:
    """Orders `actions` actions from a few threads, each again with its own key until it is acknowledged."""

    def __init__(
        self,
        scene: Scene,
        *,
        actions: int,
        kinds: Sequence[str],
        targets: int,
        outstanding: int = 60,
        threads: int = 4,
        target_of: Callable[[int], str] | None = None,
    ) -> None:
        """At most `outstanding` orders more than effects, so that none waits past its deadline."""
        self.told: list[Told] = []
        self.refused: list[str] = []
        self.attempted = 0
        self.longest = 0.0
        """Seconds that the slowest answered order took, failed tries included."""
        self._scene = scene
        self._run_id = uuid.uuid4().hex
        self._actions = actions
        self._kinds = kinds
        self._target_of = target_of or (lambda number: f"web-{number % targets:03}")
        self._outstanding = outstanding
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Whether everything was ordered."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Order no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _run(self) -> None:
        session = self._scene.session()
        while (number := self._next()) is not None:
            self._order(session, number)

    def _next(self) -> int | None:
        while not self._stop.is_set():
            with self._lock:
                if self.attempted >= self._actions:
                    return None
                if self.attempted - len(self._scene.ledger.effects) < self._outstanding:
                    self.attempted += 1
                    return self.attempted
            time.sleep(0.05)
        return None

    def _order(self, session: requests.Session, number: int) -> None:
        kind, target = self._kinds[number % len(self._kinds)], self._target_of(number)
        headers = {"Idempotency-Key": f"{self._run_id}-{number}"}
        began = time.monotonic()
        while time.monotonic() - began < GIVE_UP_AFTER and not self._stop.is_set():
            with suppress(requests.RequestException, ValueError):
                body = {"action": kind, "target": target}
                answer = session.post(f"{self._scene.api}/actions", json=body, headers=headers, timeout=10)
                if answer.status_code in (200, 201, 202):
                    said = answer.json()
                    self.longest = max(self.longest, time.monotonic() - began)
                    told = Told(action_id=int(said.get("id") or said["action_id"]), kind=kind, target=target, at=now())
                    self.told.append(told)
                    return
                self.refused.append(f"{answer.status_code} {answer.text[:200]}")
            time.sleep(0.3)
