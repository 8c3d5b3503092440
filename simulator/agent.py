"""An agent: collects the readings of its services and posts them to Vigil over HTTP, with a key, like anyone."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from simulator import pace
from simulator.client import Answer, Vigil
from simulator.configuration import Chaos
from simulator.counters import Counters
from simulator.pace import Mode
from simulator.world import World

TICK_SECONDS = 0.2
READINGS_OF_A_SERVICE = 7
BATCH_MAX = 1000
TRIES = 3
LONGEST_WAIT_SECONDS = 5.0
NO_TIME_SECONDS = 0.001
"""A read timeout nothing can meet: how an impatient client looks from outside."""
READINGS_PER_SECOND_OF_ONE_AGENT = 1000
AGENTS_MAX = 4

MALFORMED: tuple[bytes, ...] = (
    b'[{"name": "cpu_usage", "value":',
    b'[{"name": "cpu_usage", "value": NaN, "tags": {"host": "web-01"}}]',
    b'[{"name": "cpu_usage", "value": true, "tags": {"host": "web-01"}}]',
    b'[{"name": "", "value": 1, "tags": {"host": "web-01"}}]',
    b'[{"name": "cpu_usage", "value": "high", "tags": {"host": "web-01"}}]',
    b'[{"name": "cpu_usage", "value": 1, "tags": {"host": "web-01"}, "colour": "red"}]',
    b'[{"name": "cpu_\xff\xfe", "value": 1}]',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What one agent is told to do."""

    targets: Sequence[str]
    rate: float
    mode: Mode
    chaos: Chaos
    seed: int


class Agent(threading.Thread):
    """Posts until told to stop. Every reading of a service goes through one agent, so that its order is kept."""

    def __init__(
        self,
        *,
        orders: Orders,
        world: World,
        vigil: Vigil,
        counters: Counters,
        stop: threading.Event,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(name="simulator-agent", daemon=True)
        self._orders, self._world, self._vigil, self._counters = orders, world, vigil, counters
        # Not `_stop`: that name belongs to Thread.
        self._stopping = stop
        self._now = now
        self._random = Random(orders.seed)  # noqa: S311  a story, not a secret
        self._budget = 0.0
        self._turn = 0

    def run(self) -> None:
        started = looked = time.monotonic()
        while not self._stopping.wait(TICK_SECONDS):
            monotonic = time.monotonic()
            self.save_up(seconds=monotonic - looked, elapsed=monotonic - started)
            looked = monotonic
            for batch in self.due():
                self.deliver(batch)
        self._vigil.close()

    def save_up(self, *, seconds: float, elapsed: float) -> None:
        """Let the mode's rate add to what may be sent; at most two seconds' worth is caught up after a stall."""
        rate = pace.rate_at(mode=self._orders.mode, rate=self._orders.rate, elapsed=elapsed)
        self._budget = min(self._budget + rate * seconds, max(2 * rate, READINGS_OF_A_SERVICE))

    def due(self) -> list[list[dict[str, object]]]:
        """The batches the saved-up rate allows, services in turn."""
        count = int(self._budget // READINGS_OF_A_SERVICE)
        if count == 0:
            return []
        self._budget -= count * READINGS_OF_A_SERVICE
        at = self._now()
        stamp = at.isoformat()
        collected = self._world.readings(targets=self._next_targets(count), at=at)
        readings = [reading | {"timestamp": stamp} for reading in collected]
        self._counters.generated(len(readings), at=at)
        return [readings[start : start + BATCH_MAX] for start in range(0, len(readings), BATCH_MAX)]

    def deliver(self, batch: list[dict[str, object]]) -> None:
        """Send one batch, going wrong on purpose as often as the chaos says; what broke is sent again, once stored."""
        body = json.dumps(batch).encode()
        key = uuid.uuid4().hex
        trouble = self._orders.chaos.pick(self._random.uniform(0, 100))
        if trouble == "malformed":
            self._send_malformed(len(batch))
            return
        if trouble == "failure":
            self._break_off(body, len(batch))
        if trouble == "timeout":
            self._lose_patience(body, key, len(batch))
        self._send(body, key, len(batch))

    def _next_targets(self, count: int) -> list[str]:
        targets = self._orders.targets
        chosen = [targets[(self._turn + index) % len(targets)] for index in range(count)]
        self._turn = (self._turn + count) % len(targets)
        return chosen

    def _send(self, body: bytes, key: str, number: int) -> None:
        for attempt in range(TRIES):
            answer = self._vigil.ingest(body, idempotency_key=key)
            self._count(answer, number)
            if not _worth_another_try(answer) or attempt == TRIES - 1:
                return
            if self._stopping.wait(_pause(answer, attempt)):
                return
            self._counters.add("resent", number)

    def _count(self, answer: Answer, number: int) -> None:
        self._counters.answered(str(answer.status) if answer.status else answer.kind)
        if answer.kind == "ok":
            rejected = answer.body.get("rejected")
            refused = len(rejected) if isinstance(rejected, list) else 0
            self._counters.add("succeeded", number - refused)
            self._counters.add("failed", refused)
            return
        self._counters.add("failed" if answer.kind == "refused" else answer.kind, number)

    def _send_malformed(self, number: int) -> None:
        answer = self._vigil.ingest(self._random.choice(MALFORMED), idempotency_key=uuid.uuid4().hex)
        self._counters.answered(str(answer.status) if answer.status else answer.kind)
        if answer.kind == "refused":
            self._counters.add("malformed", number)
        elif answer.kind == "ok":
            self._counters.add("malformed_accepted", number)
        else:
            self._counters.add(answer.kind, number)

    def _break_off(self, body: bytes, number: int) -> None:
        self._vigil.break_off(body)
        self._counters.answered("broken off")
        self._counters.add("failed", number)
        self._counters.add("resent", number)

    def _lose_patience(self, body: bytes, key: str, number: int) -> None:
        answer = self._vigil.ingest(body, idempotency_key=key, read_seconds=NO_TIME_SECONDS)
        self._count(answer, number)
        self._counters.add("resent", number)


def _worth_another_try(answer: Answer) -> bool:
    # 409: the same batch is still being stored, because we gave up waiting for it a moment ago.
    return answer.kind in ("timeout", "failed", "rate_limited") or answer.status == 409


def _pause(answer: Answer, attempt: int) -> float:
    backoff: float = 0.2 * 2.0**attempt
    return min(max(backoff, answer.retry_after or 0.0), LONGEST_WAIT_SECONDS)


def share_out(*, targets: Sequence[str], rate: float) -> list[tuple[Sequence[str], float]]:
    """Each agent's targets and rate: one agent for a modest rate, up to four for a high one."""
    wanted = 1 + int((rate - 1) // READINGS_PER_SECOND_OF_ONE_AGENT)
    agents = max(1, min(wanted, AGENTS_MAX, len(targets)))
    slices = [targets[index::agents] for index in range(agents)]
    return [(part, rate * len(part) / len(targets)) for part in slices]
