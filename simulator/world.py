"""The fleet as a living thing: time passes, the story strikes, remedies arrive, and it remembers what happened.

Thread safe. The only truth about what is really broken; everything Vigil knows it learns from readings.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from simulator import fleet, scenarios
from simulator.cures import Effect
from simulator.physics import Fault
from simulator.scenarios import PlannedStrike, Scenario

SHORTEST_STEP_SECONDS = 0.05
"""Several agents ask at once; moving a thousand services on for each of them would be waste."""
REMEMBERED = 10_000

DESCRIPTIONS: Mapping[Fault, str] = {
    Fault.LOAD: "traffic surges, the CPU runs hot",
    Fault.MEMORY_LEAK: "a memory leak begins",
    Fault.CRASH: "the service crashed, every request fails",
    Fault.DISK_FILLING: "the disk is filling up",
    Fault.DEAD_AGENT: "the agent died, no readings arrive",
    Fault.SLOW_DEPENDENCY: "something it depends on is slow, no remedy can help",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that truly happened in the fleet."""

    at: datetime
    kind: Literal["broke", "remedied", "refused"]
    target: str
    text: str
    number: int
    """Counts from 1, so that a listener can ask for what is new."""


class World:
    """A fleet that lives through a scenario from `at` on."""

    def __init__(self, *, scenario: Scenario, targets: int, seed: int, at: datetime, first: int = 1) -> None:
        self._lock = threading.Lock()
        self._fleet = fleet.build(targets=targets, seed=seed, first=first)
        self._plan = scenarios.plan(scenario, names=self._fleet.names(), seed=seed)
        self._next = next(self._plan, None)
        self._started_at = self._moved_at = at
        self._happenings: deque[Happening] = deque(maxlen=REMEMBERED)
        self._happened = 0

    def names(self) -> tuple[str, ...]:
        return self._fleet.names()

    def readings(self, *, targets: Sequence[str], at: datetime) -> list[dict[str, object]]:
        """What the agents of these targets would post at that time."""
        with self._lock:
            self._move_on(at)
            return fleet.readings(self._fleet, targets=targets)

    def apply(self, *, action: str, target: str, params: Mapping[str, object], at: datetime) -> Effect:
        """Carry out a remedy on the fleet."""
        with self._lock:
            self._move_on(at)
            self._fleet, effect = fleet.apply(self._fleet, action=action, target=target, params=params)
            self._note(at=at, kind="remedied" if effect.ok else "refused", target=target, text=effect.message)
            return effect

    def faults(self) -> dict[str, Fault]:
        """What is broken right now, by target."""
        with self._lock:
            services = self._fleet.services.values()
            return {service.name: service.fault for service in services if service.fault is not None}

    def happenings(self, *, after: int = 0) -> list[Happening]:
        """What happened since the happening numbered `after`, oldest first."""
        with self._lock:
            return [happening for happening in self._happenings if happening.number > after]

    def _move_on(self, at: datetime) -> None:
        dt = (at - self._moved_at).total_seconds()
        if dt >= SHORTEST_STEP_SECONDS:
            self._fleet = fleet.advance(self._fleet, dt=dt)
            self._moved_at = at
        for strike in self._due(at):
            self._strike(strike, at)

    def _due(self, at: datetime) -> Iterator[PlannedStrike]:
        elapsed = (at - self._started_at).total_seconds()
        while self._next is not None and self._next.after <= elapsed:
            yield self._next
            self._next = next(self._plan, None)

    def _strike(self, strike: PlannedStrike, at: datetime) -> None:
        # A service that is still broken keeps its fault: two at once would make a story nobody can follow.
        if self._fleet.services[strike.target].fault is not None:
            return
        self._fleet = fleet.strike(self._fleet, target=strike.target, fault=strike.fault)
        self._note(at=at, kind="broke", target=strike.target, text=DESCRIPTIONS[strike.fault])

    def _note(self, *, at: datetime, kind: Literal["broke", "remedied", "refused"], target: str, text: str) -> None:
        self._happened += 1
        self._happenings.append(Happening(at=at, kind=kind, target=target, text=text, number=self._happened))
