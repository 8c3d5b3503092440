"""Hours of ordinary work, with a process restarted now and then: does anything grow that should not?"""

import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.faults.agent import Agent
from tests.faults.caller import Caller
from tests.faults.rows.table import KINDS, Plan, Result, finish, row
from tests.faults.scene import Scene, scene
from tests.servers.processes import descendants

MINUTES = 240.0
SAMPLE_EVERY = 10.0
RESTARTS = 24
"""Over the whole run, each time of one process: every ten minutes of four hours."""
LEAST_BETWEEN = 60.0
"""In a short run there are fewer: what is always restarted shows no slope."""

PARTS = ("worker-0", "dispatcher-0", "worker-1", "web-0", "beat-0", "chores-0")
LEAST_SAMPLES = 12
LONG_MINUTES = 120.0
"""From here on a slope is more than the noise of a start, and a bound is set."""

MB_PER_HOUR = 1.0
P99_RATIO = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One process at one moment."""

    at: float
    megabytes: float
    """Resident, of the process and of all below it."""
    files: int


class Steady(Caller):
    """Orders one action after the other, so many seconds apart."""

    seconds = 1.0

    def _next(self) -> int | None:
        number = super()._next()
        self._stop.wait(self.seconds)
        return number


@row("F26", "a soak: 50 readings and one action a second, a process restarted now and then", full=(0, 0), alone=True)
def soak(plan: Plan) -> Result:
    """`python -m tests.faults --rows F26 --minutes 10` is the short form; slopes are bounds from two hours on."""
    minutes = plan.minutes or MINUTES
    with scene(database=plan.database, seed=plan.seed) as running:
        began = time.monotonic()
        agent = Agent(running, per_second=10)
        caller = Steady(running, actions=round(minutes * 60), kinds=KINDS, targets=100, threads=1)
        watch = Watch(running)
        every = max(minutes * 60 / (RESTARTS + 1), LEAST_BETWEEN)
        due = [(number + 1) * every for number in range(RESTARTS)]

        def over() -> bool:
            passed = time.monotonic() - began
            watch.look()
            if due and passed > due[0]:
                due.pop(0)
                running.send(running.mains(PARTS[len(due) % len(PARTS)]), signal.SIGTERM)
            return passed > minutes * 60

        running.until(over, seconds=minutes * 60 + 60)
        caller.stop()
        result = finish(running, caller, began=began)
        notes = agent.stop() | watch.notes() | _p99(agent.seconds)
        return result | notes | (_too_much(notes) if minutes >= LONG_MINUTES else {})


class Watch:
    """Looks at every process, the database and the broker every ten seconds."""

    def __init__(self, running: Scene) -> None:
        """Nothing is looked at yet."""
        self._running = running
        self._next = time.monotonic()
        self._began = self._next
        self._processes: dict[tuple[str, int], list[Sample]] = defaultdict(list)
        self._others: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def look(self) -> None:
        """If it is time to."""
        at = time.monotonic()
        if at < self._next:
            return
        self._next = at + SAMPLE_EVERY
        for name in (*PARTS, "dispatcher-1", "worker-2"):
            for pid in self._running.mains(name):
                below = [pid, *descendants(pid)]
                memory = sum(map(_resident, below))
                self._processes[name, pid].append(Sample(at=at, megabytes=memory, files=sum(map(_files, below))))
        for what, value in self._outside().items():
            self._others[what].append((at, value))

    def notes(self) -> dict[str, object]:
        """The steepest slope of each process, by the hour, and how far everything else went."""
        memory: dict[str, float] = {}
        files: dict[str, float] = {}
        for (name, _), samples in sorted(self._processes.items()):
            warm = _warm(samples, self._began)
            if len(warm) >= LEAST_SAMPLES:
                times = [one.at for one in warm]
                memory[name] = max(memory.get(name, 0.0), _per_hour(times, [one.megabytes for one in warm]))
                files[name] = max(files.get(name, 0.0), _per_hour(times, [float(one.files) for one in warm]))
        return {
            "MB an hour": memory,
            "open files an hour": files,
            "others, first/last/most": {what: _spread(values) for what, values in sorted(self._others.items())},
        }

    def _outside(self) -> dict[str, float]:
        client = redis.Redis.from_url(self._running.broker.url)
        found = {
            "redis keys": float(client.dbsize()),
            "redis MB": round(client.info("memory")["used_memory"] / 1e6, 2),
            "redis pidboxes": float(sum(1 for _ in client.scan_iter("*.pidbox"))),
        }
        client.close()
        if self._running.server is not None:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'vigil'"
            found["database connections"] = float(self._running.ask(sql)[0][0])
        return found


def _warm(samples: Sequence[Sample], began: float) -> list[Sample]:
    """Without the first third of a process's life; in a long run without its first hour too."""
    own = list(samples[len(samples) // 3 :])
    later = [one for one in own if one.at > began + 3600]
    return later if len(later) >= LEAST_SAMPLES else own


def _per_hour(times: Sequence[float], values: Sequence[float]) -> float:
    return round(statistics.linear_regression(times, values).slope * 3600, 2)


def _spread(values: Sequence[tuple[float, float]]) -> str:
    numbers = [value for _, value in values]
    return f"{numbers[0]:g}/{numbers[-1]:g}/{max(numbers):g}"


def _resident(pid: int) -> float:
    return _read(pid, lambda place: int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)


def _files(pid: int) -> int:
    return int(_read(pid, lambda place: float(len(os.listdir(place / "fd")))))


def _read(pid: int, what: Callable[[Path], float]) -> float:
    try:
        return what(Path(f"/proc/{pid}"))
    except OSError:
        return 0.0


def _p99(seconds: Sequence[float]) -> dict[str, object]:
    """Of the first and of the last quarter of all requests."""
    quarter = len(seconds) // 4
    if quarter < 100:
        return {}
    first, last = (statistics.quantiles(part, n=100)[98] for part in (seconds[:quarter], seconds[-quarter:]))
    return {"ingest p99 s, first/last quarter": f"{first:.3f}/{last:.3f}", "ingest p99 grew": round(last / first, 2)}


def _too_much(notes: Mapping[str, object]) -> dict[str, object]:
    memory, others = notes["MB an hour"], notes["others, first/last/most"]
    assert isinstance(memory, dict)
    assert isinstance(others, dict)
    grew = notes.get("ingest p99 grew", 0.0)
    return {
        "memory that grows": {name: slope for name, slope in memory.items() if slope > MB_PER_HOUR},
        "ingest that slows down": int(isinstance(grew, float) and grew > P99_RATIO),
        "pidboxes": int(not str(others["redis pidboxes"]).endswith("/0")),
    }
