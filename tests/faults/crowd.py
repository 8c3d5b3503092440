"""People who order, approve, cancel and annotate the same actions at the same moment, again and again."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import requests

from tests.faults.history import Told, spread
from tests.faults.scene import Scene, now

TRIES = 20
CANCELLED = 0.3
"""So many of the actions are cancelled while they are approved."""


class Crowd:
    """`people` tell `stories` stories: an order, then two approvals and perhaps a cancellation and a note at once."""

    def __init__(
        self,
        scene: Scene,
        *,
        stories: int,
        people: int,
        targets: Sequence[str],
        keys: Sequence[str],
        kinds: Sequence[str],
    ) -> None:
        """`keys` are those of the approvers."""
        self.told: list[Told] = []
        self.refused: list[str] = []
        self.attempted = 0
        self.longest = 0.0
        self.answers: Counter[str] = Counter()
        """By what was asked, and the status."""
        self.seconds: list[float] = []
        self._scene = scene
        self._targets, self._keys, self._kinds = targets, keys, kinds
        self._stories = stories
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(4 * people)
        """Four requests of each person may be under way."""
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(people)]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Whether every story was told."""
        return not any(thread.is_alive() for thread in self._threads)

    def notes(self) -> dict[str, object]:
        """What was answered, and how long it took."""
        return {"answers": dict(sorted(self.answers.items())), "answered within s": spread(self.seconds)}

    def _run(self, person: int) -> None:
        rng = random.Random(f"{self._scene.rng.random()} {person}")
        while (number := self._next()) is not None:
            self._tell(number, rng)

    def _next(self) -> int | None:
        with self._lock:
            if self.attempted >= self._stories:
                return None
            self.attempted += 1
            return self.attempted

    def _tell(self, number: int, rng: random.Random) -> None:
        action_id = self._order(number)
        if action_id is None:
            return
        wanted = [("approve", key) for key in self._keys]
        if rng.random() < CANCELLED:
            wanted.append(("cancel", self._scene.key))
        if rng.random() < 0.2:
            wanted.append(("notes", self._scene.key))
        rng.shuffle(wanted)
        for one in [self._pool.submit(self._say, what, action_id, key) for what, key in wanted]:
            one.result()

    def _order(self, number: int) -> int | None:
        kind, target = self._kinds[number % len(self._kinds)], self._targets[number % len(self._targets)]
        said = self._ask("order", "actions", self._scene.key, {"action": kind, "target": target})
        if not said:
            return None
        told = Told(action_id=int(said.get("id") or said["action_id"]), kind=kind, target=target, at=now())
        with self._lock:
            self.told.append(told)
        return told.action_id

    def _say(self, what: str, action_id: int, key: str) -> None:
        body = {"notes": "seen"} if what == "notes" else {"reason": "one of a crowd"}
        self._ask(what, f"actions/{action_id}/{what}", key, body)

    def _ask(self, what: str, path: str, key: str, body: Mapping[str, str]) -> dict[str, Any]:
        """Ask until the answer is final; {} when it is no success."""
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": uuid.uuid4().hex}
        began = time.monotonic()
        for _ in range(TRIES):
            with suppress(requests.RequestException):
                answer = requests.post(f"{self._scene.api}/{path}", json=body, headers=headers, timeout=20)
                self._note(what, answer, seconds=time.monotonic() - began)
                if answer.status_code < 300:
                    return dict(answer.json())
                if answer.status_code != 503 and "Try again" not in answer.text:
                    return {}
            time.sleep(0.2)
        return {}

    def _note(self, what: str, answer: requests.Response, *, seconds: float) -> None:
        with self._lock:
            self.answers[f"{what} {answer.status_code}"] += 1
            self.seconds.append(seconds)
            self.longest = max(self.longest, seconds)
            if answer.status_code >= 500:
                self.refused.append(f"{answer.status_code} {answer.text[:200]}")
